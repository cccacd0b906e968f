"""Safetensors files that are none, or lie."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np


def packed(header: Any, data: bytes = bytes(64), length: int | None = None) -> bytes:
    """A file with such a header: JSON-able, or bytes as they are; `length` is what the file says of it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(shape: Any, start: Any = 0, end: Any = 64, dtype: str = "F32") -> dict[str, Any]:
    """The entry of a tensor."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def broken_safetensors() -> Iterator[tuple[str, bytes]]:
    """Name and bytes; none of them holds what any reader wants."""
    good = {"a": tensor([16])}
    yield "empty", b""
    yield "seven-bytes", b"\1" * 7
    yield "length-huge", packed(good, length=2**63)
    yield "length-all", packed(good, length=2**64 - 1)
    yield "length-beyond-the-end", packed(good, length=10_000)
    yield "length-too-short", packed(good, length=5)
    yield "nested", packed(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    yield "no-json", packed(b"import os; os.system('touch owned')")
    yield "list", packed([good])
    yield "not-utf8", packed(b'{"\xff\xfe": 1}')
    yield "offset-outside", packed({"a": tensor([2**40], 0, 2**42)})
    yield "offset-negative", packed({"a": tensor([16], -64, 0)})
    yield "offset-backwards", packed({"a": tensor([16], 64, 0)})
    yield "offset-hole", packed({"a": tensor([8], 32, 64)})
    yield "offset-overlap", packed({"a": tensor([16]), "b": tensor([16])})
    yield "shape-huge", packed({"a": tensor([2**40, 2**40])})
    yield "shape-larger", packed({"a": tensor([17])})
    yield "shape-negative", packed({"a": tensor([-16])})
    yield "shape-fraction", packed({"a": tensor([1.5])})
    yield "shape-text", packed({"a": tensor("16")})
    yield "type-unknown", packed({"a": tensor([16], dtype="PYTHON")})
    yield "type-of-eight-bits", packed({"a": tensor([64], dtype="F8_E4M3")})
    yield "data-missing", packed(good, data=bytes(10))
    yield "data-more", packed(good, data=bytes(100))
    yield "name-upward", packed({"../../owned": tensor([16])})
    yield "nan", packed(good, data=np.full(16, np.nan, "<f4").tobytes())
