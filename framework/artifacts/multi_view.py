"""Several pictures of one object with, where they are known, their cameras; on disk a folder."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from framework.artifacts.atomic import atomic_folder, write_json
from framework.artifacts.errors import ArtifactError
from framework.artifacts.image import Image
from framework.artifacts.reading import read_mapping
from framework.geometry.camera import Camera

INDEX_FILE = "cameras.json"


@dataclass(frozen=True, eq=False)
class MultiView:
    """Named pictures in order (`front`, `right`, ...) and, if known, one camera per picture."""

    images: Mapping[str, Image]
    """View name -> picture; the order counts. Names become file names."""

    cameras: Camera | None = None
    """Cameras with a leading axis of one entry per picture, in the order of `images`; None when they are not known."""

    def __post_init__(self) -> None:
        if not self.images:
            raise ArtifactError("MultiView: no picture")
        _check_names(self.images)
        _check_count(self.cameras, len(self.images))

    def save(self, folder: Path) -> Path:
        """Write `folder`/<view>.png and `folder`/cameras.json, whole or not at all, and return `folder`."""
        with atomic_folder(folder) as temporary:
            for name, image in self.images.items():
                image.save(temporary / f"{name}.png")
            write_json(temporary / INDEX_FILE, self._index())
        return folder

    @staticmethod
    def load(folder: Path) -> "MultiView":
        """Read a folder that `save` wrote; a folder of PNGs alone is taken in alphabetical order, without cameras.

        Raises ArtifactError when a picture is missing or damaged.
        """
        index_path = folder / INDEX_FILE
        if not index_path.is_file():
            return MultiView({path.stem: Image.load(path) for path in sorted(folder.glob("*.png"))})
        try:
            names, cameras = _read_index(index_path)
        except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ArtifactError(f"{index_path}: damaged ({error}); expected what this program writes") from error
        return MultiView({name: Image.load(folder / f"{name}.png") for name in names}, cameras)

    def _index(self) -> dict[str, Any]:
        index: dict[str, Any] = {"views": list(self.images)}
        if self.cameras is not None:
            index["world_from_camera"] = self.cameras.world_from_camera.tolist()
            index["clip_from_camera"] = self.cameras.clip_from_camera.tolist()
        return index


def _check_names(names: Iterable[Any]) -> None:
    """Raise ArtifactError unless all `names` can be file names: one with a path in it would lead elsewhere."""
    for name in names:
        if not isinstance(name, str) or not name or name != Path(name).name or name.startswith(".") or "\0" in name:
            raise ArtifactError(f"MultiView: view name {name!r} can't be a file name")


def _check_count(cameras: Camera | None, pictures: int) -> None:
    """Raise ArtifactError unless there is one camera per picture, or none at all."""
    if cameras is not None and cameras.world_from_camera.shape[:-2] != (pictures,):
        shape = tuple(cameras.world_from_camera.shape)
        raise ArtifactError(f"MultiView: {pictures} pictures but cameras of shape {shape}")


def _read_index(path: Path) -> tuple[list[str], Camera | None]:
    """View names, each once, and their cameras; one of many errors when the file is damaged."""
    index = read_mapping(path)
    names, cameras = list(index["views"]), _cameras_from_index(index)
    _check_names(names)
    if len(set(names)) < len(names):
        raise ArtifactError("MultiView: a view is listed twice")
    _check_count(cameras, len(names))
    return names, cameras


def _cameras_from_index(index: Mapping[str, Any]) -> Camera | None:
    if "world_from_camera" not in index:
        return None
    matrices = [torch.tensor(index[name], dtype=torch.float32) for name in ("world_from_camera", "clip_from_camera")]
    if not all(matrix.isfinite().all() for matrix in matrices):
        raise ValueError("the cameras hold NaN or infinity")
    return Camera(*matrices)
