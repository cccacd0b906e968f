"""What can lie in the place of a file, whatever its format."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

Writer = Callable[[Path], object]


def odd_places() -> Iterator[tuple[str, Writer]]:
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
    import zlib

    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packer.compress(bytes(2**10))
    packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * (kilobytes // 2**10) + packer.flush(zlib.Z_FINISH)
