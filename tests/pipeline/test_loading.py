"""A method as a Python object, with the two small stages."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

import framework
from framework.artifacts.errors import ArtifactError
from framework.artifacts.image import Image
from framework.config.build import to_dict
from framework.config.errors import ConfigError
from framework.data.pictures import PictureError
from framework.export.mesh_files import load_mesh
from framework.pipeline import loading
from framework.pipeline.loading import PredictionError, to_image
from framework.testing.tiny_pipeline import register_tiny_stages, tiny_method

SQUARE = np.full((60, 60, 3), 255, np.uint8)
SQUARE[10:50, 20:45] = (200, 40, 30)
NOISE = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)


@pytest.fixture
def method(monkeypatch: pytest.MonkeyPatch) -> loading.LoadedMethod:
    """The tiny method, as if it stood in `configs/method/testing/default.yaml`."""
    register_tiny_stages()

    def compose(chosen: dict[str, str]) -> dict[str, Any]:
        assert chosen == {"method": "testing"}
        return {"method": to_dict(tiny_method())}

    monkeypatch.setattr(loading, "compose", compose)
    return framework.load("testing", device="cpu")


def test_every_kind_of_picture_gives_the_same_mesh(method: loading.LoadedMethod, tmp_path: Path) -> None:
    picture = PilImage.fromarray(SQUARE)
    picture.save(tmp_path / "a.png")
    kinds = [SQUARE, SQUARE / 255, picture, Image.from_uint8(SQUARE), tmp_path / "a.png", str(tmp_path / "a.png")]
    meshes = [method(kind).mesh for kind in kinds]
    assert all(np.array_equal(mesh.vertices, meshes[0].vertices) for mesh in meshes)


def test_the_result_can_be_saved_and_looked_into(method: loading.LoadedMethod, tmp_path: Path) -> None:
    result = method(SQUARE)
    assert set(result.artifacts) == {"foreground", "slab", "mesh"}
    for suffix in (".glb", ".obj"):
        path = result.save(tmp_path / f"chair{suffix}")
        assert len(load_mesh(path).faces) == len(result.mesh.faces)


def test_the_seed_counts(method: loading.LoadedMethod) -> None:
    colours = [method(SQUARE, seed=seed).mesh.vertex_colors for seed in (0, 0, 1)]
    assert np.array_equal(colours[0], colours[1])
    assert not np.array_equal(colours[0], colours[2])


def test_further_views_are_taken(method: loading.LoadedMethod) -> None:
    assert "foreground_left" in method(SQUARE, left=SQUARE).artifacts


def test_failures_say_what_and_how_to_fix_it(method: loading.LoadedMethod, tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match="matting: front view: the background can't be removed.*plain background"):
        method(NOISE)
    with pytest.raises(PictureError, match="does not exist"):
        method(tmp_path / "none.png")
    with pytest.raises(ArtifactError, match="expected"):
        method(np.zeros((4, 4, 7)))
    assert len(method(SQUARE).mesh.faces) > 0  # a failure leaves the method usable


def test_a_method_without_a_mesh_says_so(method: loading.LoadedMethod) -> None:
    method.pipeline.stages = method.pipeline.stages[:1]
    result = method(SQUARE)
    with pytest.raises(PredictionError, match="makes no mesh but foreground"):
        _ = result.mesh


def test_grey_pictures_become_rgb() -> None:
    assert to_image(np.full((4, 5), 0.5)).pixels.shape == (4, 5, 3)


def test_unknown_methods_are_named() -> None:
    with pytest.raises(ConfigError, match="method: 'craftsmann' does not exist"):
        framework.load("craftsmann")
