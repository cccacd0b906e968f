"""Artifacts as files of a case folder: which type lies in which kind of file, chosen by the value and by the suffix.

| type | file |
| --- | --- |
| Image | `<name>.png` |
| Mesh | `<name>.glb` |
| LayeredMesh | `<name>.layers.glb`, a node for each part |
| LatentSet | `<name>.safetensors` |
| Video | `<name>.mp4`, or `<name>.gif` |
| MultiView | folder `<name>/` with `<view>.png` and `cameras.json` |

One artifact name has one file: the type is known from the file alone, so a file that a user edits or replaces counts.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from framework.artifacts.errors import ArtifactError
from framework.artifacts.image import Image
from framework.artifacts.latent_set import LatentSet
from framework.artifacts.layered_mesh import LayeredMesh
from framework.artifacts.multi_view import MultiView
from framework.artifacts.video import Video
from framework.export.mesh_files import load_layers, load_mesh, save_layers, save_mesh
from framework.geometry.mesh import Mesh


class _Kind(NamedTuple):
    type: type
    suffix: str  # empty: a folder
    save: Callable[[Any, Path], object]
    load: Callable[[Path], Any]


_KINDS = (
    _Kind(Image, ".png", Image.save, Image.load),
    _Kind(Mesh, ".glb", save_mesh, load_mesh),
    _Kind(LayeredMesh, ".layers.glb", save_layers, load_layers),
    _Kind(LatentSet, ".safetensors", LatentSet.save, LatentSet.load),
    _Kind(Video, ".mp4", Video.save, Video.load),
    _Kind(Video, ".gif", Video.save, Video.load),
    _Kind(MultiView, "", MultiView.save, MultiView.load),
)

ARTIFACT_TYPES: tuple[type, ...] = tuple(dict.fromkeys(kind.type for kind in _KINDS))
"""What stages may exchange."""


def save_artifact(value: object, folder: Path, name: str) -> Path:
    """Write `value` into `folder` under its plain `name`, whole or not at all, and return the path.

    Raises ArtifactError for a type that has no file; OSError when the disk refuses.
    """
    for kind in _KINDS:
        if isinstance(value, kind.type) and getattr(value, "suffix", kind.suffix) == kind.suffix:
            path = folder / (name + kind.suffix)
            kind.save(value, path)
            return path
    known = ", ".join(kind.__name__ for kind in ARTIFACT_TYPES)
    raise ArtifactError(f"artifact '{name}' is a {type(value).__name__}, which has no file. Known: {known}")


def find_artifact(folder: Path, name: str) -> Path | None:
    """Return the file or folder of the artifact `name` in `folder`, or None."""
    found = _find(folder, name)
    return None if found is None else found[1]


def load_artifact(folder: Path, name: str) -> Any:
    """Read the artifact `name` of `folder`; ArtifactError when it is missing or damaged, MeshError for a bad mesh."""
    found = _find(folder, name)
    if found is None:
        raise ArtifactError(f"{folder}: no artifact '{name}'")
    kind, path = found
    return kind.load(path)


def _find(folder: Path, name: str) -> tuple[_Kind, Path] | None:
    paths = ((kind, folder / (name + kind.suffix)) for kind in _KINDS)
    return next(((kind, path) for kind, path in paths if (path.is_file() if kind.suffix else path.is_dir())), None)
