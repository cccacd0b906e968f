"""Arrays from NumPy's files, which believe what they are told: here every count is checked before memory is taken."""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

import numpy as np

from framework.artifacts.containers import check_zip
from framework.artifacts.reading import checked_size

LARGEST = 2**29
"""Bytes of all arrays that are read from one file; 100,000 points with normals are 2.4 million."""

UNREADABLE = (
    *(OSError, ValueError, EOFError, KeyError, TypeError, SyntaxError, RecursionError, MemoryError, RuntimeError),
    *(NotImplementedError, zipfile.BadZipFile, zlib.error),
)
"""What a damaged file makes the readers below raise."""

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_npz(path: Path, wanted: Collection[str]) -> tuple[list[str], dict[str, np.ndarray]]:
    """Return the keys of an npz file, and the arrays of those in `wanted` that it has.

    Raises one of UNREADABLE for what is no such file, holds objects, or promises more than it holds.
    """
    check_zip(path)
    with zipfile.ZipFile(path) as archive:
        members = {name.removesuffix(".npy"): archive.getinfo(name) for name in archive.namelist()}
        found = {key: members[key] for key in wanted if key in members}
        if (total := sum(member.file_size for member in found.values())) > LARGEST:
            raise ValueError(f"its arrays have {total} bytes, more than {LARGEST}")
        arrays = {}
        for key, member in found.items():
            with archive.open(member) as file:
                arrays[key] = _read_array(file, member.file_size)
    return list(members), arrays


def read_npy(path: Path) -> np.ndarray:
    """Return the array of an npy file; raises one of UNREADABLE as `read_npz` does."""
    size = checked_size(path, LARGEST)
    with path.open("rb") as file:
        return _read_array(file, size)


def _read_array(file: IO[bytes], size: int) -> np.ndarray:
    """The array of an open file of `size` bytes, if that is what its header promises."""
    shape, dtype = _read_header(file)
    promised, present = math.prod(shape) * dtype.itemsize, size - file.tell()
    if dtype.hasobject:
        raise ValueError("it holds objects, which are not unpickled")
    if min(shape, default=0) < 0 or promised != present:
        raise ValueError(f"it promises an array of {shape}, {promised} bytes, but holds {present}")
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of the array that follows."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"version {version} of the format is not read")
    try:
        shape, _, dtype = _HEADERS[version](file)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError) as error:
        raise ValueError("its header is damaged") from error
    return shape, dtype
