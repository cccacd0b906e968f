"""Files of shape sets: what is written is read again; what is wrong with a file is said with its name and key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from framework.data.shape_files import (
    ShapeArrays,
    ShapeFileError,
    bits_at,
    count_views,
    read_arrays,
    read_rotations,
    read_split,
    read_views,
    shape_id,
    write_arrays,
    write_split,
    write_views,
)


def ball(count: int = 200, seed: int = 0) -> ShapeArrays:
    """Samples of a ball of radius 0.7, float16 as in files."""
    random = np.random.default_rng(seed)
    normals = random.normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    points = random.uniform(-1.1, 1.1, (count, 3)).astype(np.float16)
    near = (0.7 * normals + random.normal(0, 0.05, (count, 3))).astype(np.float16)

    def bits(positions: np.ndarray) -> np.ndarray:
        return np.packbits(np.linalg.norm(positions.astype(np.float32), axis=1) < 0.7)

    return ShapeArrays(
        surface=np.concatenate([0.7 * normals, normals], axis=1).astype(np.float16),
        points=points,
        occupancy=bits(points),
        near_points=near,
        near_occupancy=bits(near),
        loc=(1.0, 2.0, 3.0),
        scale=5.0,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_arrays(tmp_path / "geometry" / "a" / "ball", ball())


def test_what_is_written_is_read_again(folder: Path) -> None:
    wanted, got = ball(), read_arrays(folder)
    for name in ("surface", "points", "occupancy", "near_points", "near_occupancy"):
        np.testing.assert_array_equal(getattr(got, name), getattr(wanted, name), err_msg=name)
    assert (got.loc, got.scale) == (wanted.loc, wanted.scale)


def test_the_files_are_those_of_the_published_layout(folder: Path) -> None:
    with np.load(folder / "pointcloud.npz") as cloud, np.load(folder / "points.npz") as volume:
        assert sorted(cloud.files) == ["loc", "normals", "points", "scale"]
        assert cloud["points"].dtype == cloud["normals"].dtype == volume["points"].dtype == np.float16
        assert np.abs(cloud["points"]).max() <= 0.5  # the unit box
        assert cloud["loc"].shape == (3,) and cloud["scale"].shape == ()
        np.testing.assert_allclose(cloud["scale"] * cloud["points"][0], 5.0 * ball().surface[0, :3], rtol=1e-3)
        assert volume["occupancies"].dtype == np.uint8 and volume["occupancies"].shape == (25,)


def test_bits_are_read_without_unpacking() -> None:
    bits = np.random.default_rng(0).random(77) < 0.5
    rows = np.random.default_rng(1).permutation(77)
    np.testing.assert_array_equal(bits_at(np.packbits(bits), rows), bits[rows])


def test_distances_turn_negative_inside(tmp_path: Path) -> None:
    points = np.array([[0, 0, 0], [1, 0, 0]], np.float32)
    np.savez(tmp_path / "ball.npz", surface=np.ones((3, 6)), rand_points=points, sdfs=np.array([0.5, -0.5]))
    arrays = read_arrays(tmp_path / "ball")
    np.testing.assert_array_equal(arrays.sdf, [-0.5, 0.5])
    np.testing.assert_array_equal(arrays.inside(np.arange(2)), [True, False])


def corrupt(path: Path, **changes: Any) -> None:
    """Write the npz again with some keys changed; None leaves a key out."""
    with np.load(path) as file:
        arrays = dict(file) | changes
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("points.npz", {"occupancies": None}, r"points\.npz: key 'occupancies' is missing, found .*points"),
        ("points.npz", {"occupancies": np.zeros(25)}, r"key 'occupancies': float64 .* expected packed bits"),
        ("points.npz", {"occupancies": np.zeros(24, np.uint8)}, r"expected packed bits \(uint8\) of 200 points"),
        ("points.npz", {"points": np.zeros((200, 2))}, r"key 'points': shape \(200, 2\), expected \(n, 3\)"),
        ("pointcloud.npz", {"points": np.full((200, 3), np.nan)}, "key 'points': holds NaN or infinity"),
        ("pointcloud.npz", {"normals": np.zeros((9, 3))}, "200 points but 9 normals"),
        ("pointcloud.npz", {"points": np.zeros((0, 3))}, r"expected \(n, 3\)"),
        ("pointcloud.npz", {"points": np.full((200, 3), "x")}, "expected numbers"),
        ("pointcloud.npz", {"points": np.array([[{}] * 3] * 200)}, "holds objects, which are not unpickled"),
        ("pointcloud.npz", {"loc": np.array([{}], dtype=object)}, "holds objects, which are not unpickled"),
        ("pointcloud.npz", {"scale": np.zeros(7)}, r"key 'scale': shape \(7,\)"),
        ("near.npz", {"points": None}, r"near\.npz: key 'points' is missing"),
    ],
)
def test_wrong_arrays_are_named(folder: Path, file: str, changes: dict[str, Any], message: str) -> None:
    corrupt(folder / file, **changes)
    with pytest.raises(ShapeFileError, match=message):
        read_arrays(folder)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"not a zip at all"])
def test_damaged_files_are_named(folder: Path, content: bytes) -> None:
    (folder / "points.npz").write_bytes(content)
    with pytest.raises(ShapeFileError, match=r"points\.npz: can't be read"):
        read_arrays(folder)


def test_a_truncated_file_is_named(folder: Path) -> None:
    path = folder / "points.npz"
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ShapeFileError, match=r"points\.npz: can't be read"):
        read_arrays(folder)


def test_missing_files_are_named(folder: Path) -> None:
    with pytest.raises(ShapeFileError, match="no such object"):
        read_arrays(folder.parent / "cube")
    (folder / "points.npz").unlink()
    with pytest.raises(ShapeFileError, match=r"points\.npz: does not exist"):
        read_arrays(folder)


def test_npz_with_distances_is_checked(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", surface=np.ones((3, 6)), rand_points=np.ones((4, 3)), sdfs=np.ones(5))
    with pytest.raises(ShapeFileError, match="4 rand_points but 5 sdfs"):
        read_arrays(tmp_path / "x")


def test_splits(tmp_path: Path) -> None:
    write_split(tmp_path, "train", ["../raw/occupancy/000-000/uid"])
    assert [shape_id(entry) for entry in read_split(tmp_path, "train")] == ["000-000/uid"]
    with pytest.raises(ShapeFileError, match=r"val\.json: does not exist\. Make a set with"):
        read_split(tmp_path, "val")
    for wrong in ('{"a": 1}', '["a", 3]', '[""]', "[", "\xff", '["/etc/a/b"]', '["a/.."]', '["../b"]'):
        (tmp_path / "val.json").write_text(wrong, encoding="latin-1")
        with pytest.raises(ShapeFileError, match=r"val\.json"):
            read_split(tmp_path, "val")


def test_views_keep_their_colour_behind_transparency(tmp_path: Path) -> None:
    views = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 4), np.uint8)
    turns = np.tile(np.eye(4), (4, 1, 1))
    write_views(tmp_path / "v", views, turns)
    np.testing.assert_array_equal(read_views(tmp_path / "v", [2, 0]), views[[2, 0]])
    np.testing.assert_array_equal(read_rotations(tmp_path / "v"), turns)
    assert count_views(tmp_path / "v") == 4
    assert read_views(tmp_path / "v", [1], size=4).shape == (1, 4, 4, 4)


def test_second_generation_views(tmp_path: Path) -> None:
    """Colour and alpha lie in two files; without the second one a view is opaque."""
    Image.new("RGB", (8, 8), (200, 0, 0)).save(tmp_path / "0003_rgb.jpeg")
    assert read_views(tmp_path, [3])[0, 0, 0, 3] == 255
    Image.new("L", (8, 8), 0).save(tmp_path / "0003_alpha.jpeg")
    assert read_views(tmp_path, [3])[0, 0, 0, 3] == 0


def test_wrong_views_are_named(tmp_path: Path) -> None:
    write_views(tmp_path / "v", np.zeros((1, 8, 8, 4), np.uint8), np.zeros((1, 3, 3)))
    with pytest.raises(ShapeFileError, match=r"1\.png: no such view"):
        read_views(tmp_path / "v", [1])
    with pytest.raises(ShapeFileError, match=r"rots\.npy: array: shape \(1, 3, 3\), expected \(n, 4, 4\)"):
        read_rotations(tmp_path / "v")
    Image.new("RGBA", (8, 6)).save(tmp_path / "v" / "1.png")
    with pytest.raises(ShapeFileError, match="8 x 6 pixels, expected a square"):
        read_views(tmp_path / "v", [1])
    (tmp_path / "v" / "0.png").write_bytes(b"")
    with pytest.raises(ShapeFileError, match=r"0\.png: can't be read"):
        read_views(tmp_path / "v", [0])


def test_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in the middle of an object leaves no folder behind."""
    real, calls = np.savez, []

    def failing(path: Path, **arrays: np.ndarray) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        real(path, **arrays)

    monkeypatch.setattr(np, "savez", failing)
    with pytest.raises(OSError, match="No space"):
        write_arrays(tmp_path / "geometry" / "ball", ball())
    assert list((tmp_path / "geometry").iterdir()) == []


def test_splits_are_plain_json(tmp_path: Path) -> None:
    assert json.loads(write_split(tmp_path, "test", ["a/b"]).read_text()) == ["a/b"]
