"""The written set and its data module: readable by the reader of shape sets, resumable, shared between sizes."""

from pathlib import Path

import numpy as np
import pytest

from framework import registry
from framework.data.config import ProceduralConfig
from framework.data.procedural.catalogue import generate
from framework.data.procedural.module import ProceduralData, objects_root, shapes_config
from framework.data.procedural.writing import SampleCounts, missing_count, write_set
from framework.data.shape_files import read_arrays, read_rotations, read_views

SMALL = SampleCounts(surface=256, volume=256, near=128, view_size=16, resolution=32)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    assert len(list(write_set(folder, {"train": 3, "val": 1}, 0, SMALL, processes=0))) == 4
    return folder


def test_files_hold_exact_occupancy(root: Path) -> None:
    geometry = sorted((root / "geometry").glob("*/*"))
    assert [path.name for path in geometry] == [
        "chair-0000000000",
        "lamp-0000000002",
        "table-0000000001",
        "chair-1000000000",
    ]
    arrays, item = read_arrays(geometry[1]), generate("lamp", 2)
    rows = np.arange(256)
    np.testing.assert_array_equal(arrays.inside(rows), item.occupancy(arrays.points.astype(np.float32)))
    assert arrays.near_points is not None
    near = arrays.near_points.astype(np.float32)
    np.testing.assert_array_equal(arrays.near_inside(np.arange(128)), item.occupancy(near))
    assert np.abs(item.distance(arrays.surface[:, :3].astype(np.float32))).max() < 1e-3
    labels = np.load(geometry[1] / "labels.npz")
    assert labels["surface"].shape == (256,) and tuple(labels["names"]) == item.label_names


def test_images_lie_beside(root: Path) -> None:
    folder = root / "images" / "0000000" / "lamp-0000000002"
    assert read_views(folder, range(4)).shape == (4, 16, 16, 4)
    rotations = read_rotations(folder)
    assert rotations is not None and (rotations == np.eye(4)).all()
    assert "lamp" in (folder / "annotation.json").read_text()


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    counts = {"train": 3}
    first = next(write_set(tmp_path, counts, 0, SMALL, processes=0))
    assert not (tmp_path / "train.json").exists()
    made = (tmp_path / "geometry" / first / "points.npz").stat().st_mtime_ns
    assert missing_count(tmp_path, counts) == 2
    assert len(list(write_set(tmp_path, counts, 0, SMALL, processes=0))) == 2
    assert (tmp_path / "geometry" / first / "points.npz").stat().st_mtime_ns == made
    assert (tmp_path / "train.json").exists() and missing_count(tmp_path, counts) == 0


@pytest.mark.slow
def test_processes_write_the_same_files(root: Path, tmp_path: Path) -> None:
    list(write_set(tmp_path, {"train": 3, "val": 1}, 0, SMALL, processes=2))
    for path in sorted(root.rglob("*.npz")) + sorted(root.rglob("*.png")):
        other = tmp_path / path.relative_to(root)
        if path.suffix == ".png":
            assert path.read_bytes() == other.read_bytes()
        else:
            with np.load(path) as first, np.load(other) as second:
                assert all(first[key].tobytes() == second[key].tobytes() for key in first.files)


def _config(root: Path, **changes: int) -> ProceduralConfig:
    sizes = {"train": 2, "val": 1, "test": 1, "samples": 256, "render_size": 16, "processes": 0, "batch_size": 2}
    points = {"surface_points": 64, "supervision_points": 64, "validation_points": 64, "views": 2, "near_fraction": 0.5}
    return ProceduralConfig(root=str(root), **(sizes | points | changes))  # type: ignore[arg-type]


def test_batches(tmp_path: Path) -> None:
    data = registry.load_class("data", "procedural")(_config(tmp_path))
    assert isinstance(data, ProceduralData)
    data.prepare_data()
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["surface"].shape == (2, 64, 6) and batch["occupancy"].shape == (2, 64)
    assert batch["views"].shape == (2, 2, 4, 16, 16)
    assert len(data.dataset("val")) == 1 and len(data.dataset("test")) == 1
    # A larger set keeps the objects of the smaller one.
    larger = _config(tmp_path, train=3)
    assert objects_root(larger) == objects_root(data.procedural) and shapes_config(larger).root != data.config.root
    assert missing_count(objects_root(larger), {"train": 3}) == 1


def test_what_is_stored_names_the_folder(tmp_path: Path) -> None:
    base = objects_root(_config(tmp_path))
    assert objects_root(_config(tmp_path, render_size=24)) != base
    assert objects_root(_config(tmp_path, batch_size=7, views=1, seed=3)) == base


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"train": -1}, "train"),
        ({"samples": 8}, "samples"),
        ({"render_size": 2}, "render_size"),
        ({"seed": 1000}, "seed"),
    ],
)
def test_wrong_options_are_named(tmp_path: Path, changes: dict[str, int], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        _config(tmp_path, **changes)
