"""Where the objects of a set are: in folders, or kept in memory once they were read.

A store answers for the arrays and views of object `row`; what is drawn from them is the business of
`framework.data.shape_samples`. `framework.data.lmdb_store` has the packed form.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Float, UInt8

from framework.data.config import ShapesConfig
from framework.data.lmdb_store import LMDB_FILE, LmdbStore
from framework.data.shape_files import (
    ShapeArrays,
    ShapeObject,
    read_arrays,
    read_object,
    read_rotations,
    read_split,
    read_views,
    shape_id,
)


class ShapeStore(Protocol):
    """The objects of one split. Every method raises ShapeFileError for an object that can't be read."""

    ids: list[str]
    """Name of each object."""

    def arrays(self, row: int) -> ShapeArrays:
        """Geometry samples of an object."""
        ...

    def views(self, row: int, numbers: Sequence[int]) -> UInt8[np.ndarray, "K S S 4"]:
        """The views `numbers` of an object, RGBA with straight alpha."""
        ...

    def rotations(self, row: int) -> Float[np.ndarray, "V 4 4"] | None:
        """Rotation of each view's camera in a z-up world; None: only four level views."""
        ...


class FolderStore:
    """One folder (or npz) per object, listed in `<root>/<split>.json`."""

    def __init__(self, root: Path, split: str, geometry: Path, images: Path, view_size: int = 0) -> None:
        """`geometry` is what the list's paths are relative to; `images` holds `<shard>/<uid>/` with views."""
        self.entries = read_split(root, split)
        self.ids = [shape_id(entry) for entry in self.entries]
        self.geometry, self.images, self.view_size = geometry, images, view_size

    def place(self, row: int) -> str:
        """Where an object is, for messages."""
        return str(self.geometry / self.entries[row])

    def shape(self, row: int) -> ShapeObject:
        """Everything of an object."""
        return read_object(self.geometry / self.entries[row], self._view_folder(row))

    def arrays(self, row: int) -> ShapeArrays:
        """Read an object's geometry."""
        return read_arrays(self.geometry / self.entries[row])

    def views(self, row: int, numbers: Sequence[int]) -> UInt8[np.ndarray, "K S S 4"]:
        """Decode the asked views only."""
        return read_views(self._view_folder(row), numbers, self.view_size)

    def rotations(self, row: int) -> Float[np.ndarray, "V 4 4"] | None:
        """Read `rots.npy`."""
        return read_rotations(self._view_folder(row))

    def _view_folder(self, row: int) -> Path:
        """`<images>/<shard>/<uid>`; the published sample lacks the shard."""
        folder = self.images / self.ids[row]
        bare = self.images / Path(self.ids[row]).name
        return bare if not folder.is_dir() and bare.is_dir() else folder


class MemoryStore:
    """Another store, read once: for sets that fit into memory. Lives in one process."""

    def __init__(self, source: ShapeStore) -> None:
        self.source = source
        self.ids = source.ids
        self._arrays: dict[int, ShapeArrays] = {}
        self._views: dict[tuple[int, int], UInt8[np.ndarray, "S S 4"]] = {}
        self._rotations: dict[int, Float[np.ndarray, "V 4 4"] | None] = {}

    def arrays(self, row: int) -> ShapeArrays:
        """Read at the first call only."""
        if row not in self._arrays:
            self._arrays[row] = self.source.arrays(row)
        return self._arrays[row]

    def views(self, row: int, numbers: Sequence[int]) -> UInt8[np.ndarray, "K S S 4"]:
        """Decoded at the first call only, then kept as uint8."""
        missing = [number for number in numbers if (row, number) not in self._views]
        if missing:
            for number, view in zip(missing, self.source.views(row, missing), strict=True):
                self._views[row, number] = view
        return np.stack([self._views[row, number] for number in numbers])

    def rotations(self, row: int) -> Float[np.ndarray, "V 4 4"] | None:
        """Read at the first call only."""
        if row not in self._rotations:
            self._rotations[row] = self.source.rotations(row)
        return self._rotations[row]


def open_store(config: ShapesConfig, split: str) -> FolderStore | LmdbStore:
    """The stored objects of a split: packed if `config.root` holds data.lmdb, else in folders."""
    root = Path(config.root)
    if (root / LMDB_FILE).is_file():
        return LmdbStore(root, split, config.view_size)
    geometry = Path(config.geometry) if config.geometry else root
    images = Path(config.images) if config.images else root / "images"
    return FolderStore(root, split, geometry, images, config.view_size)
