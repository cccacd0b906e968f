"""The fixtures `craftsman/v1_dataset` and `v15_dataset`: what the released loaders draw from the files of an object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from framework.data.shape_samples import ItemOptions, ShapeSamples
from framework.data.shape_store import FolderStore
from framework.data.view_cameras import rotated_cameras
from framework.renderers.views import canonical_cameras
from tests.parity import fill

FIXTURES = Path(__file__).parent / "fixtures" / "craftsman"
NAME = "000-000/object"


def fixture(name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    return json.loads((FIXTURES / f"{name}.json").read_text()), load_file(FIXTURES / f"{name}.safetensors")


class FixedRows:
    """Stands for the generator: rows as the fixture's, and always the second group of views."""

    def choice(self, total: int, count: int, replace: bool) -> np.ndarray:
        return np.random.default_rng(7).choice(total, count, replace=replace)

    def integers(self, groups: int) -> int:
        return 1


@pytest.fixture
def v1_root(tmp_path: Path) -> Path:
    """The synthetic object of the fixture, in the layout of Objaverse-MIX."""
    rotation = fixture("v1_dataset")[1]["rot"]
    geometry, images = tmp_path / "occupancy" / NAME, tmp_path / "images" / NAME
    for folder in (geometry, images):
        folder.mkdir(parents=True)
    normals = fill.inputs("nrm", (500, 3))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    cloud = fill.uniform("pc", (500, 3), -0.5, 0.5).astype(np.float16)
    np.savez(geometry / "pointcloud.npz", points=cloud, normals=normals.astype(np.float16))
    volume = fill.uniform("vol", (640, 3), -0.55, 0.55).astype(np.float16)
    bits = np.packbits(np.linalg.norm(volume.astype(np.float32), axis=-1) < 0.3)
    np.savez(geometry / "points.npz", points=volume, occupancies=bits)
    for number in range(8):
        pixels = fill.uniform(f"img{number}", (24, 24, 4), 0, 256).astype(np.uint8)
        Image.fromarray(pixels).save(images / f"{number}.png")
    np.save(images / "rots.npy", np.stack([np.eye(4)] * 4 + [rotation] * 4))
    (tmp_path / "train.json").write_text(json.dumps([f"occupancy/{NAME}"]))
    return tmp_path


def blender_cameras(world_from_camera: np.ndarray) -> np.ndarray:
    """Our cameras as the original labels them: in a z-up world, one unit from the origin."""
    z_up_from_y_up = np.array([[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]], np.float64)
    cameras = z_up_from_y_up @ world_from_camera
    cameras[:, :3, 3] /= np.linalg.norm(cameras[:, :3, 3], axis=-1, keepdims=True)
    return cameras


def test_first_generation_item(v1_root: Path) -> None:
    facts, wanted = fixture("v1_dataset")
    config, atol = facts["config"], facts["tolerance"]["atol"]
    options = ItemOptions(
        surface_points=config["n_samples"],
        supervision_points=config["n_supervision"],
        views=config["n_views"],
        all_groups=True,
    )
    samples = ShapeSamples(FolderStore(v1_root, "train", v1_root, v1_root / "images"), options)
    item = samples.item(0, FixedRows())  # type: ignore[arg-type]
    np.testing.assert_allclose(item["surface"], wanted["surface"], atol=atol)
    np.testing.assert_allclose(item["points"], wanted["rand_points"], atol=atol)
    np.testing.assert_array_equal(item["occupancy"], wanted["occupancies"])
    rgba = item["views"].numpy()
    over_white = rgba[:, :3] * rgba[:, 3:] + (1 - rgba[:, 3:])
    np.testing.assert_allclose(over_white.transpose(0, 2, 3, 1), wanted["mvimages"], atol=atol)
    np.testing.assert_allclose(blender_cameras(item["world_from_camera"].double().numpy()), wanted["c2ws"], atol=atol)
    assert item["id"] == NAME


def test_cameras_are_not_turned_in_place() -> None:
    """The original's table drifts, since every item turns it further."""
    before = canonical_cameras().world_from_camera.numpy().copy()
    rotation = fixture("v1_dataset")[1]["rot"]
    turned = [rotated_cameras(rotation) for _ in range(100)]
    np.testing.assert_array_equal(turned[0], turned[-1])
    np.testing.assert_array_equal(canonical_cameras().world_from_camera.numpy(), before)
    np.testing.assert_allclose(rotated_cameras(np.eye(4)), before, atol=1e-7)


def test_second_generation_item(tmp_path: Path) -> None:
    facts, wanted = fixture("v15_dataset")
    points = fill.uniform("rand", (300, 3), -1, 1)
    file = tmp_path / f"{NAME}.npz"
    file.parent.mkdir()
    surface = (0.4 * fill.inputs("surface", (400, 6))).astype(np.float16)
    distances = (0.1 * (0.5 - np.linalg.norm(points, axis=-1))).astype(np.float32)
    np.savez(file, surface=surface, rand_points=points, sdfs=distances)
    (tmp_path / "train.json").write_text(json.dumps([NAME]))
    store = FolderStore(tmp_path, "train", tmp_path, tmp_path / "images")
    atol = facts["tolerance"]["atol"]
    np.testing.assert_allclose(store.arrays(0).surface.astype(np.float32), wanted["surface"], atol=atol)
    drawn = facts["config"]["random"]
    options = ItemOptions(
        surface_points=drawn["n_samples"] * drawn["upsample_ratio"], supervision_points=facts["config"]["n_supervision"]
    )
    item = ShapeSamples(store, options).item(0, FixedRows())  # type: ignore[arg-type]
    np.testing.assert_allclose(item["surface"], wanted["surface_random"], atol=atol)
    np.testing.assert_allclose(item["points"], wanted["rand_points"], atol=atol)
    np.testing.assert_allclose(item["sdf"], -wanted["target_sdf"], atol=atol)
    np.testing.assert_array_equal(item["occupancy"], wanted["target_occupancy"])
    limit = facts["config"]["tsdf_threshold"]
    np.testing.assert_allclose(-np.clip(item["sdf"].numpy(), -limit, limit) / limit, wanted["target_tsdf"], atol=atol)
