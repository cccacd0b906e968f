"""Packed sets: the same items as from folders, in any process, and clear errors."""

from __future__ import annotations

import multiprocessing
import pickle
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("lmdb", reason="extra 'data': lmdb")

from framework.artifacts.atomic import write_json
from framework.data.config import ShapesConfig
from framework.data.lmdb_store import LMDB_FILE, LmdbStore, encode, packed_names, write_lmdb
from framework.data.shape_files import SPLITS, ShapeFileError, read_object, read_split
from framework.data.shapes import ShapesData
from tests.data.balls import write_balls

NAMES = ["s/t0", "s/t1", "s/t2", "s/t3", "s/v0", "s/v1"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_balls(tmp_path_factory.mktemp("folders"), train=4, groups=2)


@pytest.fixture(scope="module")
def packed(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("packed")
    objects = ((name, read_object(folders / "geometry" / name, folders / "images" / name)) for name in NAMES)
    write_lmdb(root / LMDB_FILE, ((name, encode(shape)) for name, shape in objects))
    for split in SPLITS:
        write_json(root / f"{split}.json", read_split(folders, split))
    return root


def shapes_data(root: Path, workers: int = 0) -> ShapesData:
    sizes = {"surface_points": 16, "supervision_points": 16, "validation_points": 16, "batch_size": 2}
    return ShapesData(ShapesConfig(root=str(root), views=2, view_groups="all", workers=workers, **sizes))


def test_items_equal_those_of_folders(folders: Path, packed: Path) -> None:
    for split in ("train", "val"):
        plain, fast = shapes_data(folders).dataset(split), shapes_data(packed).dataset(split)
        assert plain.ids == fast.ids
        for key in ((0, 0), (1, 1), (3, 0)):
            first, second = plain[key], fast[key]
            assert all(np.array_equal(first[name], second[name]) for name in first)


def test_two_sets_are_read_side_by_side(packed: Path) -> None:
    """LMDB refuses to open a file twice in a process; nothing stays open, so nobody notices."""
    train, val = shapes_data(packed).dataset("train"), shapes_data(packed).dataset("val")
    assert train[0, 0]["id"] == "s/t0" and val[0, 0]["id"] == "s/v0" and train[0, 1]["id"] == "s/t1"


def test_names(packed: Path, tmp_path: Path) -> None:
    assert packed_names(packed / LMDB_FILE) == NAMES
    assert packed_names(tmp_path / LMDB_FILE) == []


def test_it_travels_to_other_processes_without_what_it_read(packed: Path) -> None:
    store = LmdbStore(packed, "train")
    size = len(pickle.dumps(store))
    store.arrays(0)
    assert len(pickle.dumps(store)) == size
    assert pickle.loads(pickle.dumps(store)).arrays(0).points.shape == (400, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "context", sorted({"fork", "spawn", "forkserver"} & set(multiprocessing.get_all_start_methods()))
)
def test_loader_processes(packed: Path, context: str) -> None:
    """Read in this process first, then in others, then here again."""
    alone = list(islice(shapes_data(packed).train_dataloader(), 4))
    loader = shapes_data(packed, workers=2).train_dataloader()
    loader.multiprocessing_context = context
    for first, second in zip(alone, islice(loader, 4), strict=True):
        assert torch.equal(first["points"], second["points"]) and torch.equal(first["views"], second["views"])
    assert shapes_data(packed).dataset("val")[0, 0]["id"] == "s/v0"


def test_a_file_grows_past_its_first_size(tmp_path: Path) -> None:
    values = [(f"s/{number}", bytes(2**23)) for number in range(10)]
    write_lmdb(tmp_path / LMDB_FILE, values)
    assert packed_names(tmp_path / LMDB_FILE) == sorted(name for name, _ in values)


def test_an_error_while_packing_leaves_the_old_file(tmp_path: Path) -> None:
    write_lmdb(tmp_path / LMDB_FILE, [("s/a", b"1")])

    def failing():  # type: ignore[no-untyped-def]
        yield "s/b", b"2"
        raise ShapeFileError(Path("x"), "is damaged")

    with pytest.raises(ShapeFileError):
        write_lmdb(tmp_path / LMDB_FILE, failing())
    assert packed_names(tmp_path / LMDB_FILE) == ["s/a"]
    assert [path.name for path in tmp_path.iterdir()] == [LMDB_FILE]


@pytest.mark.parametrize(
    ("value", "message"),
    [(b"", "object 's/a' is damaged"), (b"\x00" * 64, "object 's/a' is damaged"), (None, "listed but not in the file")],
)
def test_damaged_values_are_named(tmp_path: Path, value: bytes | None, message: str) -> None:
    write_lmdb(tmp_path / LMDB_FILE, [("s/a", value)] if value is not None else [])
    write_json(tmp_path / "train.json", ["geometry/s/a"])
    with pytest.raises(ShapeFileError, match=message):
        LmdbStore(tmp_path, "train").arrays(0)


def test_a_file_that_is_no_lmdb_is_named(tmp_path: Path) -> None:
    (tmp_path / LMDB_FILE).write_bytes(b"no database" * 1000)
    write_json(tmp_path / "train.json", ["geometry/s/a"])
    with pytest.raises(ShapeFileError, match=r"data\.lmdb: can't be read as LMDB"):
        LmdbStore(tmp_path, "train").arrays(0)


def test_views_that_are_not_there_are_named(packed: Path) -> None:
    with pytest.raises(ShapeFileError, match="object 's/t0' has 8 views, number 9 is wanted"):
        LmdbStore(packed, "train").views(0, [9])
