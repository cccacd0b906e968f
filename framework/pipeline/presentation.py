"""What a person looks at first: a sheet of views and a turntable of the mesh that a case ends with.

Reads artifacts only, so it serves every method.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from framework.artifacts.image import Image
from framework.artifacts.layered_mesh import LayeredMesh
from framework.export.video import save_video
from framework.geometry.mesh import Mesh
from framework.pipeline.case import Case
from framework.pipeline.plan import PlannedStage
from framework.renderers.rasterizer import Rasterizer
from framework.renderers.turntable import preview, turntable

PREVIEW_FILE = "preview.png"
TURNTABLE = "turntable"

# Three seconds of film at a size that a laptop draws in a few seconds.
FRAMES = 48
FRAME_SIZE = 384
FRAMES_PER_SECOND = 16


def last_mesh(stages: Sequence[PlannedStage]) -> str | None:
    """Return the name of the mesh, or the mesh in layers, that a stage gives last; None when none gives any."""
    shapes = (Mesh, LayeredMesh)
    meshes = [name for stage in stages for name, kind in stage.stage_class.gives.items() if issubclass(kind, shapes)]
    return meshes[-1] if meshes else None


def present(case: Case, mesh_name: str, rasterizer: Rasterizer, with_turntable: bool = True) -> list[str]:
    """Write `preview.png` and `turntable.mp4` (or `.gif`) of a case's mesh and return their names.

    Returns nothing when the case has no such mesh.
    """
    if not case.has(mesh_name):
        return []
    shape: Mesh | LayeredMesh = case.read(mesh_name)
    mesh = shape.merged() if isinstance(shape, LayeredMesh) else shape
    Image.from_uint8(preview(mesh, rasterizer)).save(case.folder / PREVIEW_FILE)
    if not with_turntable:
        return [PREVIEW_FILE]
    return [PREVIEW_FILE, save_turntable(mesh, case.folder / TURNTABLE, rasterizer).name]


def save_turntable(
    mesh: Mesh,
    path_without_suffix: Path,
    rasterizer: Rasterizer | None = None,
    kind: Literal["mp4", "gif"] | None = None,
) -> Path:
    """Write the mesh turning once as a film and return its path; `kind` as in `save_video`."""
    frames = turntable(mesh, rasterizer, FRAMES, FRAME_SIZE)
    return save_video(frames, path_without_suffix, FRAMES_PER_SECOND, kind)
