"""Reading LMDB files with every page, offset and length checked.

LMDB's own library maps the file and follows whatever numbers stand in it: a file that was cut off or damaged ends the
process with a signal. Here a damaged file is an error like any other. Nothing is mapped and no place in the file is
kept, so that an open one may be read in several processes and after a fork. The layout is that of LMDB 0.9 on 64-bit
little-endian machines (`mdb.c`: MDB_page, MDB_meta, MDB_node): two meta pages, of which the newer one counts, and a B+
tree of pages.

    page      0 number u64   10 flags u16   12 end of the offsets u16   16 offsets u16 ... nodes
    meta      at 16 in a page: magic u32, version u32, address, size of the map, two databases, last page, transaction
    database  48 bytes: 0 page size u32   40 root page u64
    node      low u16, high u16, flags u16, length of the key u16, key, then (in a leaf) the value or its page
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from framework.artifacts.reading import checked_size

MAGIC, VERSION = 0xBEEFC0DE, 1
HEADER = 16
EMPTY = 2**64 - 1
_BRANCH, _LEAF, _OVERFLOW = 0x01, 0x02, 0x04
_KINDS = 0x6F
"""Flags of a page that say what it is; the others are of no interest in a file."""
_VALUE_ELSEWHERE = 0x01
_DEEPEST = 32
LARGEST_VALUE = 2**29
"""Bytes of a value beyond which it is not read: an object with its views has a few million."""


class LmdbError(ValueError):
    """The file is no LMDB file, or a damaged one."""


class LmdbFile:
    """One LMDB file, opened for reading: the unnamed database of plain keys and values in it."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        """Take an open file of `size` bytes; LmdbError unless it begins as an LMDB file does."""
        self._file, self._size = file, size
        self._page_size = self._meta(0)[0]
        if not 256 <= self._page_size <= 65536:
            raise LmdbError(f"its pages have {self._page_size} bytes, which no version of LMDB writes")
        metas = [self._meta(0), self._meta(self._page_size)]
        _, self._root, last, _ = max(metas, key=lambda meta: meta[3])
        if (last + 1) * self._page_size > size:
            raise LmdbError(f"it is cut off: {(last + 1) * self._page_size} bytes are expected, {size} are there")

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, or None; LmdbError where the tree is damaged."""
        number = self._root
        for _ in range(_DEEPEST):
            if number == EMPTY:
                return None
            page = self._page(number)
            kind, nodes = _kind(page), _offsets(page)
            place = _last_not_after(page, nodes, key, first=1 if kind == _BRANCH else 0)
            if kind == _LEAF:
                return self._value(page, nodes[place]) if place >= 0 and _key(page, nodes[place]) == key else None
            number = _child(page, nodes[place])
        raise LmdbError("its tree runs in a circle")

    def __iter__(self) -> Iterator[bytes]:
        """Yield all keys in order; LmdbError where the tree is damaged."""
        left = self._size // self._page_size
        pending = [self._root] if self._root != EMPTY else []
        while pending:
            if (left := left - 1) < 0:
                raise LmdbError("its tree runs in a circle")
            page = self._page(pending.pop())
            if _kind(page) == _LEAF:
                yield from (_key(page, node) for node in _offsets(page))
            else:
                pending += [_child(page, node) for node in reversed(_offsets(page))]

    def _meta(self, offset: int) -> tuple[int, int, int, int]:
        """Page size, root of the main database, last page, and number of the transaction, of one meta page."""
        content = self._read(offset, HEADER + 136)
        magic, version = struct.unpack_from("<II", content, HEADER)
        if (magic, version) != (MAGIC, VERSION):
            raise LmdbError("it does not begin as an LMDB file does")
        page_size = struct.unpack_from("<I", content, HEADER + 24)[0]
        return page_size, *struct.unpack_from("<QQQ", content, HEADER + 112)

    def _page(self, number: int) -> bytes:
        """A whole page that says that it is this one."""
        page = self._read(number * self._page_size, self._page_size)
        if struct.unpack_from("<Q", page)[0] != number:
            raise LmdbError(f"page {number} is damaged")
        return page

    def _value(self, page: bytes, node: int) -> bytes:
        low, high, flags, key_length = _unpacked(page, "<HHHH", node)
        length, start = low | high << 16, node + 8 + key_length
        if length > LARGEST_VALUE:
            raise LmdbError(f"a value of {length} bytes is expected, more than {LARGEST_VALUE}")
        if flags == 0:
            return _part(page, start, length)
        if flags != _VALUE_ELSEWHERE:
            raise LmdbError("it holds a database in a database, which is not read")
        number = _unpacked(page, "<Q", start)[0]
        offset = number * self._page_size
        first, flags = struct.unpack_from("<Q2xH", self._read(offset, HEADER))
        if first != number or flags & _KINDS != _OVERFLOW:
            raise LmdbError(f"page {number} is damaged")
        return self._read(offset + HEADER, length)

    def _read(self, offset: int, length: int) -> bytes:
        if offset + length > self._size:
            raise LmdbError(f"it is cut off: {offset + length} bytes are expected, {self._size} are there")
        content = os.pread(self._file.fileno(), length, offset)
        if len(content) != length:
            raise LmdbError("it was cut off while it was read")
        return content


@contextmanager
def opened_lmdb(path: Path) -> Iterator[LmdbFile]:
    """Open a file of LMDB (one made with `subdir=False`) as long as the block lasts.

    LmdbError when it is none, OSError when it can't be read.
    """
    try:
        size = checked_size(path)
    except ValueError as error:
        raise LmdbError(str(error)) from error
    with path.open("rb") as file:
        yield LmdbFile(file, size)


def _kind(page: bytes) -> int:
    kind = struct.unpack_from("<H", page, 10)[0] & _KINDS
    if kind not in (_BRANCH, _LEAF):
        raise LmdbError("a page of its tree is damaged")
    return kind


def _offsets(page: bytes) -> tuple[int, ...]:
    """Where the nodes of a page begin, in the order of their keys."""
    end = struct.unpack_from("<H", page, 12)[0]
    count, rest = divmod(end - HEADER, 2)
    if rest or not 0 < count <= (len(page) - HEADER) // 2:
        raise LmdbError("a page of its tree is damaged")
    return struct.unpack_from(f"<{count}H", page, HEADER)


def _last_not_after(page: bytes, nodes: tuple[int, ...], key: bytes, first: int) -> int:
    """Index of the last node whose key is not greater than `key`, else the one before `first` (in a branch the first
    node's key stands for everything smaller).
    """
    low, high = first, len(nodes)
    while low < high:
        middle = (low + high) // 2
        if _key(page, nodes[middle]) <= key:
            low = middle + 1
        else:
            high = middle
    return low - 1


def _key(page: bytes, node: int) -> bytes:
    return _part(page, node + 8, _unpacked(page, "<H", node + 6)[0])


def _child(page: bytes, node: int) -> int:
    """Number of the page below a node of a branch: 48 bits, the highest in place of the flags."""
    low, high, highest = _unpacked(page, "<HHH", node)
    return low | high << 16 | highest << 32


def _part(page: bytes, start: int, length: int) -> bytes:
    if start + length > len(page):
        raise LmdbError("a page of its tree is damaged")
    return page[start : start + length]


def _unpacked(page: bytes, form: str, offset: int) -> tuple[int, ...]:
    if offset + struct.calcsize(form) > len(page):
        raise LmdbError("a page of its tree is damaged")
    return struct.unpack_from(form, page, offset)
