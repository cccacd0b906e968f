"""A set of shapes packed into one LMDB file: one value per object, holding its arrays and its views.

A million small files are slow to copy and to list; one file is not. A value is a safetensors buffer with the arrays of
`ShapeArrays` and the views as encoded PNG bytes. LMDB's own library only writes it; `framework.data.lmdb_reading` opens
it for every read and closes it again, so that nothing has to be kept apart between processes.

Legend: V views, S side of a view in pixels.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from safetensors.numpy import load, save

from framework.artifacts.atomic import atomic_file
from framework.artifacts.containers import UNREADABLE_TENSORS, check_tensor_header
from framework.data.lmdb_reading import LmdbError, opened_lmdb
from framework.data.shape_files import (
    ShapeArrays,
    ShapeFileError,
    ShapeObject,
    check_bits,
    checked_array,
    read_split,
    resized_view,
    shape_id,
)
from framework.optional import require

LMDB_FILE = "data.lmdb"
"""Name of the packed file in a set's folder."""

_FIRST_MAP_BYTES = 2**26
_ARRAYS = ("surface", "points", "occupancy", "sdf", "near_points", "near_occupancy")
_SHAPES: Mapping[str, tuple[int | None, ...]] = {
    "surface": (None, 6),
    "points": (None, 3),
    "sdf": (None,),
    "near_points": (None, 3),
    "frame": (4,),
    "rotations": (None, 4, 4),
}


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
    """Read one object; ShapeFileError when the file or the object can't be read."""
    try:
        with opened_lmdb(path) as file:
            value = file.get(name.encode())
    except (LmdbError, OSError) as error:
        raise ShapeFileError(path, f"can't be read as LMDB: {error}") from error
    if value is None:
        raise ShapeFileError(path, f"object '{name}' is listed but not in the file", "Pack the set again")
    return decode(path, name, value)


def packed_names(path: Path) -> list[str]:
    """Names of all objects in a file, sorted; none when there is no such file."""
    if not path.is_file():
        return []
    try:
        with opened_lmdb(path) as file:
            return [key.decode() for key in file]
    except (LmdbError, OSError, UnicodeDecodeError) as error:
        raise ShapeFileError(path, f"can't be read as LMDB: {error}") from error


def require_lmdb(needed_by: str) -> ModuleType:
    """The package lmdb; MissingExtra that says what it is needed for."""
    return require("lmdb", extra="data", attribute="open", needed_by=needed_by)


def write_lmdb(path: Path, values: Iterable[tuple[str, bytes]]) -> Path:
    """Write named values as a new LMDB file, whole or not at all; an older file at `path` is replaced.

    OSError when the disk is full, as with any other file.
    """
    with atomic_file(path) as temporary, lmdb_writer(temporary, sync=False) as writer:
        for name, value in values:
            writer.put([(name.encode(), value)])
    return path


class LmdbWriter:
    """An LMDB file that is open for writing; see `lmdb_writer`."""

    def __init__(self, lmdb: ModuleType, environment: Any, path: Path) -> None:
        self._lmdb, self._environment, self._path = lmdb, environment, path

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, or None."""
        with self._environment.begin() as transaction:
            return transaction.get(key)

    def put(self, values: Sequence[tuple[bytes, bytes]], remove: Sequence[bytes] = ()) -> None:
        """Store values and remove keys, all or none of them; OSError when the disk refuses.

        The map grows as needed, since a guess would be too small or fill a disk on some systems.
        """
        while True:
            try:
                with self._environment.begin(write=True) as transaction:
                    for key, value in values:
                        transaction.put(key, value)
                    for key in remove:
                        transaction.delete(key)
                return
            except self._lmdb.MapFullError:
                self._environment.set_mapsize(self._environment.info()["map_size"] * 2)
            except self._lmdb.Error as error:
                raise OSError(f"{self._path}: can't be written: {error}") from error


@contextmanager
def lmdb_writer(path: Path, *, sync: bool = True) -> Iterator[LmdbWriter]:
    """Open an LMDB file (without folder) for writing as long as the block lasts; one process at a time.

    sync: what `put` stored outlasts a power failure too; else only what was stored before the block ended well does.
    OSError when the file is damaged or the disk refuses.
    """
    lmdb = require_lmdb(f"writing {path}")
    options = {"subdir": False, "lock": False, "sync": sync, "readahead": False, "map_size": _FIRST_MAP_BYTES}
    try:
        environment = lmdb.open(str(path), **options)
    except lmdb.Error as error:
        raise OSError(f"{path}: can't be written: {error}") from error
    try:
        yield LmdbWriter(lmdb, environment, path)
        environment.sync(True)
    except lmdb.Error as error:
        raise OSError(f"{path}: can't be written: {error}") from error
    finally:
        environment.close()


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
        check_tensor_header(value)
        tensors = load(value)
    except UNREADABLE_TENSORS as error:
        raise ShapeFileError(path, f"object '{name}' is damaged: {error}") from error
    missing = [key for key in ("surface", "points", "frame") if key not in tensors]
    pairs = ("occupancy" in tensors) != ("sdf" in tensors), ("near_points" in tensors) == ("near_occupancy" in tensors)
    views = [f"view_{number}" for number in range(sum(key.startswith("view_") for key in tensors))]
    if missing or not all(pairs) or any(view not in tensors for view in views):
        found = ", ".join(sorted(tensors))
        raise ShapeFileError(path, f"object '{name}': expected surface, points, frame, occupancy or sdf; found {found}")
    _check_tensors(path, name, tensors)
    x, y, z, scale = tensors["frame"].tolist()
    return ShapeObject(
        arrays=ShapeArrays(**{key: tensors[key] for key in _ARRAYS if key in tensors}, loc=(x, y, z), scale=scale),
        views=tuple(tensors[view].tobytes() for view in views),
        rotations=tensors.get("rotations"),
    )


def _check_tensors(path: Path, name: str, tensors: Mapping[str, np.ndarray]) -> None:
    """ShapeFileError unless every array of an object has its shape, and numbers in it."""
    for key, shape in _SHAPES.items():
        if key in tensors:
            checked_array(path, f"object '{name}': {key}", tensors[key], shape)
    for bits, points in (("occupancy", "points"), ("near_occupancy", "near_points")):
        if bits in tensors:
            check_bits(path, f"object '{name}': {bits}", tensors[bits], len(tensors[points]))
    if "sdf" in tensors and len(tensors["sdf"]) != len(tensors["points"]):
        problem = f"object '{name}': {len(tensors['points'])} points but {len(tensors['sdf'])} distances"
        raise ShapeFileError(path, problem)
