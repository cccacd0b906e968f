"""Compiles the kernels, once for a process; Warp keeps the machine code in the user's cache (`WARP_CACHE_PATH`).

The kernels are plain functions of modules that can be imported without Warp. Here Warp is put into these modules, and
their functions and structures are replaced by Warp's versions of them.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

from framework.optional import require_warp
from framework.renderers.warp import drawing, pixels, silhouettes

_STRUCTURES = (drawing.Scene, drawing.Target)
_FUNCTIONS = (
    *(drawing.project, drawing.meet, drawing.is_finite, drawing.is_on_screen, drawing.first_centre),
    *(drawing.last_centre, drawing.widen, drawing.draw_rows, drawing.draw_triangle),
    *(pixels.centre_x, pixels.centre_y, pixels.seen_from, pixels.corners, pixels.areas, pixels.pull),
    *(silhouettes.place, silhouettes.crossing, silhouettes.is_negative),
    *(silhouettes.find_edge, silhouettes.pull_edge, silhouettes.move),
)
_KERNELS = (
    *(drawing.draw_faces, drawing.draw_large),
    *(pixels.locate, pixels.locate_adjoint, pixels.interpolate, pixels.interpolate_adjoint),
    *(silhouettes.find_fronts, silhouettes.find_outlines, silhouettes.smooth, silhouettes.smooth_adjoint),
)


@cache
def load() -> SimpleNamespace:
    """Return Warp (`wp`), the structures and the kernels by their names. Raises MissingExtra without Warp."""
    wp: Any = require_warp("renderer=warp")
    modules = (drawing, pixels, silhouettes)
    for module in modules:
        setattr(module, "wp", wp)  # noqa: B010  (for mypy: the modules know no such type)
        # Multiply-adds stay two roundings, as in torch: the same pictures, and no holes between triangles.
        wp.set_module_options({"fuse_fp": False, "enable_backward": False}, module=module)
    loaded: dict[str, Any] = {"wp": wp}
    for compiled, parts in ((wp.struct, _STRUCTURES), (wp.func, _FUNCTIONS), (wp.kernel, _KERNELS)):
        for part in parts:
            loaded[part.__name__] = compiled(part)
            for module in modules:
                setattr(module, part.__name__, loaded[part.__name__])
    return SimpleNamespace(**loaded)
