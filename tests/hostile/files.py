"""What can lie in the place of a file, whatever its format; writing and gathering the files of a case."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Content = bytes | Callable[[Path], object]
"""What stands at a place: bytes, or what a function makes there."""


def put(path: Path, content: Content) -> None:
    """Make `content` at `path`, and the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content(path)


def content_of(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder, by their relative paths."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Payload:
    """What a pickle with code in it looks like: reading it would call something."""

    def __init__(self, *call: Any) -> None:
        self.call = call or (os.system, "touch owned")

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call[0], self.call[1:]


def odd_places() -> Iterator[tuple[str, Callable[[Path], object]]]:
    """Name and writer of things that are no regular file with content: pipes, devices, links, folders, nothing."""
    yield "empty", lambda path: path.write_bytes(b"")
    yield "folder", lambda path: path.mkdir()
    yield "pipe", os.mkfifo
    yield "device", lambda path: path.symlink_to("/dev/zero")
    yield "circle", lambda path: path.symlink_to(path)
    yield "nowhere", lambda path: path.symlink_to(path.with_name("absent"))


def cuts(content: bytes, shares: tuple[float, ...] = (0.02, 0.3, 0.7, 0.97)) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of the beginnings of a file."""
    for share in shares:
        yield f"cut{round(share * 100):02d}", content[: max(1, int(len(content) * share))]


def damaged(content: bytes, random: object, count: int, most: int = 20) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of `count` copies of a file with a few random bytes in them."""
    for number in range(count):
        changed = bytearray(content)
        for place in random.integers(0, len(changed), int(random.integers(1, most))):  # type: ignore[attr-defined]
            changed[place] = int(random.integers(256))  # type: ignore[attr-defined]
        yield f"noise{number:02d}", bytes(changed)


def zeros_bomb(kilobytes: int) -> bytes:
    """A raw deflate stream of so many KiB of zeros, made of one block again and again: about a thousandth of that."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packer.compress(bytes(2**10))
    packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * (kilobytes // 2**10) + packer.flush(zlib.Z_FINISH)


def damaged_json() -> Iterator[tuple[str, bytes]]:
    """Name and bytes of files that hold no JSON object."""
    yield "nested", b"[" * 100_000 + b"]" * 100_000
    yield "list", b"[1, 2]"
    yield "number", b"NaN"
    yield "cut", b'{"legs": ['
    yield "wide", '{"a": 1}'.encode("utf-16")
    yield "binary", bytes(range(256))
