"""Compiles the kernels, once for a process; Warp keeps the machine code in the user's cache (`WARP_CACHE_PATH`).

The kernels are plain functions of modules that can be imported without Warp. Here Warp is put into these modules, and
their functions and structures are replaced by Warp's versions of them.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from framework.optional import require
from framework.renderers.warp import drawing, pixels, silhouettes

_STRUCTURES = (drawing.Scene, drawing.Target)
_FUNCTIONS = (
    *(drawing.project, drawing.meet, drawing.is_finite, drawing.is_on_screen, drawing.first_centre),
    *(drawing.last_centre, drawing.widen, drawing.draw_rows, drawing.draw_triangle),
    *(pixels.centre_x, pixels.centre_y, pixels.seen_from, pixels.areas, pixels.pull),
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
    wp = require("warp", extra="warp", attribute="kernel", needed_by="renderer=warp")
    _start_quietly(wp)
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


def _start_quietly(wp: Any) -> None:
    """Start Warp without its banner and its reports of compilation; what it has to say about errors it still says."""
    if wp.config.log_level == wp.LOG_INFO:  # nobody has chosen another
        wp.config.log_level = wp.LOG_WARNING
    if torch.cuda.is_available():
        wp.init()
        return
    # Its library writes to the process's error stream that there is no GPU, which is no news.
    sys.stderr.flush()
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            wp.init()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
