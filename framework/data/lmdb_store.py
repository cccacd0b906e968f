"""A set of shapes packed into one LMDB file: one value per object, holding its arrays and its views.

A million small files are slow to copy and to list; one file is not. A value is a safetensors buffer with the arrays of
`ShapeArrays` and the views as encoded PNG bytes. The file is opened for every read and closed again, which costs 0.06
ms of a few: LMDB must not be open twice in a process, nor be used after a fork, and what is never kept open can't be.

Legend: V views, S side of a view in pixels.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from safetensors.numpy import load, save

from framework.artifacts.atomic import atomic_file
from framework.data.shape_files import ShapeArrays, ShapeFileError, ShapeObject, read_split, resized_view, shape_id
from framework.optional import require

LMDB_FILE = "data.lmdb"
"""Name of the packed file in a set's folder."""

_FIRST_MAP_BYTES = 2**26
_ARRAYS = ("surface", "points", "occupancy", "sdf", "near_points", "near_occupancy")


class LmdbStore:
    """The objects of one split of a packed set; see `framework.data.shape_store.ShapeStore`."""

    def __init__(self, root: Path, split: str, view_size: int = 0) -> None:
        self.path, self.view_size = root / LMDB_FILE, view_size
        self.ids = [shape_id(entry) for entry in read_split(root, split)]
        self._last: tuple[int, ShapeObject] | None = None

    def place(self, row: int) -> str:
        """Where an object is, for messages."""
        return f"{self.path}: {self.ids[row]}"

    def arrays(self, row: int) -> ShapeArrays:
        """Geometry samples of an object."""
        return self.shape(row).arrays

    def views(self, row: int, numbers: Sequence[int]) -> UInt8[np.ndarray, "K S S 4"]:
        """Decode the asked views only."""
        encoded = self.shape(row).views
        if max(numbers, default=-1) >= len(encoded):
            problem = f"object '{self.ids[row]}' has {len(encoded)} views, number {max(numbers)} is wanted"
            raise ShapeFileError(self.path, problem)
        return np.stack([resized_view(self.path, io.BytesIO(encoded[number]), self.view_size) for number in numbers])

    def rotations(self, row: int) -> Float[np.ndarray, "V 4 4"] | None:
        """Rotation of each view's camera in a z-up world."""
        return self.shape(row).rotations

    def shape(self, row: int) -> ShapeObject:
        """Everything of an object. An item asks for arrays and views, which are one value: the last one is kept."""
        if self._last is None or self._last[0] != row:
            self._last = row, read_packed(self.path, self.ids[row])
        return self._last[1]

    def __getstate__(self) -> dict[str, Any]:
        """Loader processes read for themselves."""
        return self.__dict__ | {"_last": None}


def read_packed(path: Path, name: str) -> ShapeObject:
    """Read one object; ShapeFileError when the file or the object can't be read, MissingExtra without lmdb."""
    with opened(path) as transaction:
        value = transaction.get(name.encode())
    if value is None:
        raise ShapeFileError(path, f"object '{name}' is listed but not in the file", "Pack the set again")
    return decode(path, name, value)


def packed_names(path: Path) -> list[str]:
    """Names of all objects in a file, sorted; none when there is no such file."""
    if not path.is_file():
        return []
    with opened(path) as transaction:
        return [bytes(key).decode() for key in transaction.cursor().iternext(keys=True, values=False)]


def require_lmdb(needed_by: str) -> ModuleType:
    """The package lmdb; MissingExtra that says what it is needed for."""
    return require("lmdb", extra="data", attribute="open", needed_by=needed_by)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A read transaction on an LMDB file that lasts as long as the block."""
    lmdb = require_lmdb(f"reading {path}")
    try:
        environment = lmdb.open(str(path), subdir=False, readonly=True, lock=False, readahead=False)
    except lmdb.Error as error:
        raise ShapeFileError(path, f"can't be opened as LMDB: {error}") from error
    try:
        with environment.begin() as transaction:
            yield transaction
    except lmdb.Error as error:
        raise ShapeFileError(path, f"can't be read: {error}") from error
    finally:
        environment.close()


def write_lmdb(path: Path, values: Iterable[tuple[str, bytes]]) -> Path:
    """Write named values as a new LMDB file, whole or not at all; an older file at `path` is replaced.

    OSError when the disk is full, as with any other file.
    """
    lmdb = require_lmdb(f"writing {path}")
    with atomic_file(path) as temporary:
        options = {"subdir": False, "lock": False, "sync": False, "map_size": _FIRST_MAP_BYTES}
        environment = lmdb.open(str(temporary), **options)
        try:
            for name, value in values:
                _put(lmdb, environment, name.encode(), value)
            environment.sync(True)
        except lmdb.Error as error:
            raise OSError(f"{path}: can't be written: {error}") from error
        finally:
            environment.close()
    return path


def _put(lmdb: Any, environment: Any, key: bytes, value: bytes) -> None:
    """Store one value; the map grows as needed, since a guess would be too small or fill a disk on some systems."""
    while True:
        try:
            with environment.begin(write=True) as transaction:
                transaction.put(key, value)
            return
        except lmdb.MapFullError:
            environment.set_mapsize(environment.info()["map_size"] * 2)


def encode(shape: ShapeObject) -> bytes:
    """The value of an object."""
    arrays = {name: getattr(shape.arrays, name) for name in _ARRAYS}
    tensors = {name: np.ascontiguousarray(array) for name, array in arrays.items() if array is not None}
    tensors["frame"] = np.array([*shape.arrays.loc, shape.arrays.scale], np.float64)
    tensors |= {f"view_{number}": np.frombuffer(view, np.uint8) for number, view in enumerate(shape.views)}
    if shape.rotations is not None:
        tensors["rotations"] = np.ascontiguousarray(shape.rotations)
    return save(tensors)


def decode(path: Path, name: str, value: bytes) -> ShapeObject:
    """The object of a value; ShapeFileError when it is damaged."""
    try:
        tensors = load(value)
    except (SafetensorError, ValueError) as error:
        raise ShapeFileError(path, f"object '{name}' is damaged: {error}") from error
    missing = [key for key in ("surface", "points", "frame") if key not in tensors]
    if missing or ("occupancy" in tensors) == ("sdf" in tensors):
        found = ", ".join(sorted(tensors))
        raise ShapeFileError(path, f"object '{name}': expected surface, points, frame, occupancy or sdf; found {found}")
    x, y, z, scale = tensors["frame"].tolist()
    count = sum(key.startswith("view_") for key in tensors)
    return ShapeObject(
        arrays=ShapeArrays(**{key: tensors[key] for key in _ARRAYS if key in tensors}, loc=(x, y, z), scale=scale),
        views=tuple(tensors[f"view_{number}"].tobytes() for number in range(count)),
        rotations=tensors.get("rotations"),
    )
