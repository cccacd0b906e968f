"""The artifact of several views."""

from pathlib import Path

import numpy as np
import pytest
import torch

from framework.artifacts.errors import ArtifactError
from framework.artifacts.image import Image
from framework.artifacts.multi_view import MultiView
from framework.geometry.camera import Camera, orbit


def _image(value: float) -> Image:
    return Image(np.full((4, 4, 3), value, np.float32))


def _cameras(count: int) -> Camera:
    azimuths = tuple(90.0 * index for index in range(count))
    return Camera.orthographic(orbit(azimuths, 0.0, 2.0), 1.0)


def test_round_trip_keeps_order_and_cameras(tmp_path: Path) -> None:
    views = MultiView({"right": _image(0.0), "front": _image(1.0)}, _cameras(2))
    loaded = MultiView.load(views.save(tmp_path / "views"))
    assert list(loaded.images) == ["right", "front"]
    assert loaded.images["front"].pixels.min() == 1.0
    assert loaded.cameras is not None
    assert views.cameras is not None
    assert torch.equal(loaded.cameras.world_from_camera, views.cameras.world_from_camera)
    assert torch.equal(loaded.cameras.clip_from_camera, views.cameras.clip_from_camera)


def test_a_plain_folder_of_pictures_is_read(tmp_path: Path) -> None:
    for name in ("b", "a"):
        _image(0.5).save(tmp_path / f"{name}.png")
    loaded = MultiView.load(tmp_path)
    assert list(loaded.images) == ["a", "b"]
    assert loaded.cameras is None


def test_saving_again_leaves_no_old_view(tmp_path: Path) -> None:
    MultiView({"front": _image(0.0), "left": _image(0.0)}).save(tmp_path / "views")
    MultiView({"front": _image(0.0)}).save(tmp_path / "views")
    assert sorted(path.name for path in (tmp_path / "views").iterdir()) == ["cameras.json", "front.png"]


def test_wrong_values_are_refused() -> None:
    with pytest.raises(ArtifactError, match="no picture"):
        MultiView({})
    with pytest.raises(ArtifactError, match="file name"):
        MultiView({"../front": _image(0.0)})
    with pytest.raises(ArtifactError, match="2 pictures but cameras"):
        MultiView({"front": _image(0.0), "left": _image(0.0)}, _cameras(3))


def test_damaged_folders_are_named(tmp_path: Path) -> None:
    folder = MultiView({"front": _image(0.0)}, _cameras(1)).save(tmp_path / "views")
    (folder / "front.png").unlink()
    with pytest.raises(ArtifactError, match=r"front\.png"):
        MultiView.load(folder)
    (folder / "cameras.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"cameras\.json"):
        MultiView.load(folder)
