"""Our reader of LMDB files sees what LMDB's own library wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lmdb", reason="extra 'data': lmdb")

import lmdb

from framework.data.lmdb_reading import LmdbError, opened_lmdb
from framework.data.lmdb_store import write_lmdb


@pytest.mark.parametrize(("count", "size"), [(0, 0), (1, 10), (3, 0), (40, 9000), (3000, 300)])
def test_all_values_are_found(tmp_path: Path, count: int, size: int) -> None:
    """Trees of one page and of several levels; small values, and those on pages of their own."""
    random = np.random.default_rng(count)
    names = [f"s/{random.integers(2**30)}-{number}" for number in range(count)]
    values = {name.encode(): random.bytes(size * (1 + number % 2)) for number, name in enumerate(names)}
    path = write_lmdb(tmp_path / "a.lmdb", [(name, values[name.encode()]) for name in names])
    with opened_lmdb(path) as file:
        assert list(file) == sorted(values)
        assert all(file.get(key) == value for key, value in values.items())
        assert [file.get(key) for key in (b"", b"a", b"s/", b"zzz")] == [None] * 4


def test_the_newest_state_is_read(tmp_path: Path) -> None:
    """Changed and deleted values, which leave unused pages behind."""
    values = {f"{number:04d}".encode(): bytes([number % 256]) * 5000 for number in range(200)}
    environment = lmdb.open(str(tmp_path / "a.lmdb"), subdir=False, lock=False, map_size=2**24)
    for step in range(4):
        with environment.begin(write=True) as transaction:
            for number, key in enumerate(sorted(values)):
                if step and number % 4 == step:
                    values[key] = values[key][:number]
                if step and number % 7 == step:
                    transaction.delete(key)
                    del values[key]
                else:
                    transaction.put(key, values[key])
    environment.close()
    with opened_lmdb(tmp_path / "a.lmdb") as file:
        assert {key: file.get(key) for key in file} == values


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = write_lmdb(tmp_path / "a.lmdb", [("a", bytes(100_000)), ("b", bytes(10))])
    path.write_bytes(path.read_bytes()[:-4096])
    with pytest.raises(LmdbError, match="cut off"), opened_lmdb(path):
        pass
