"""Hostile sets of shapes (npz, npy, pictures, lists, LMDB), given to `prepare`, which reads every object."""

from __future__ import annotations

import functools
import io
import json
import os
import pickle
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from framework.data.lmdb_store import LMDB_FILE, encode, write_lmdb
from framework.data.shape_files import read_object
from framework.optional import has
from tests.data.balls import write_balls
from tests.hostile.files import Content, Payload, content_of, cuts, damaged, odd_places, put, zeros_bomb
from tests.hostile.pictures import png, zlib_bomb
from tests.hostile.safetensors_files import broken_safetensors
from tests.hostile.sandbox import Hostile

NAME = "s/t0"
POINTS, CLOUD = f"geometry/{NAME}/points.npz", f"geometry/{NAME}/pointcloud.npz"
PAGE = 4096


@functools.cache
def whole_set() -> dict[str, bytes]:
    """The files of a set of one object that is fine."""
    with tempfile.TemporaryDirectory() as folder:
        root = write_balls(Path(folder), train=1, val=0)
        return content_of(root)


@functools.cache
def whole_lmdb() -> bytes:
    """The same object, packed, among others."""
    with tempfile.TemporaryDirectory() as folder:
        root = write_balls(Path(folder), train=1, val=0)
        value = encode(read_object(root / "geometry" / NAME, root / "images" / NAME))
        others = [(f"s/u{number}", bytes(200)) for number in range(60)]
        return write_lmdb(root / LMDB_FILE, [(NAME, value), *others]).read_bytes()


def shape_sets() -> Iterator[Hostile]:
    """All of them, the same ones each time."""
    random = np.random.default_rng(3)
    for name, content in (*cuts(whole_set()[POINTS]), *_archives(), *_headers()):
        yield case(f"npz-{name}", {POINTS: content})
    for name, content in damaged(whole_set()[CLOUD], random, 6):
        yield case(f"npz-{name}", {CLOUD: content}, may_load=True)
    for name, write in odd_places():
        yield case(f"npz-place-{name}", {POINTS: write})
    for name, content in _rotations():
        place = f"images/{NAME}/rots.npy"
        # What is no file counts as missing: the views are level then.
        yield case(f"rotations-{name}", {place: content}, says="rots.npy", may_load=name in ("pipe", "device"))
    for name, content in _views():
        yield case(f"view-{name}", {f"images/{NAME}/1.png": content}, says="1.png")
    for name, content in (*_lists(), *((name, write) for name, write in odd_places() if name != "nowhere")):
        # Published lists lead upwards, so that is no error of the list; the object is named.
        says = "secret" if name.startswith("far-") else "train.json"
        yield case(f"list-{name}", {"train.json": content}, says=says)
    for name, content in _distances():
        yield case(f"distances-{name}", {f"geometry/{NAME}.npz": content}, without=f"geometry/{NAME}/")
    if has("lmdb"):
        yield from _packed_sets(random)


def _packed_sets(random: np.random.Generator) -> Iterator[Hostile]:
    """Sets in one LMDB file."""
    for name, content in (*cuts(whole_lmdb(), (0.001, 0.02, 0.2, 0.6, 0.99)), *_databases()):
        yield case(f"lmdb-{name}", {LMDB_FILE: content}, says=LMDB_FILE)
    pages = whole_lmdb()
    for name, content in damaged(pages[: 4 * PAGE], random, 12, most=60):
        yield case(f"lmdb-{name}", {LMDB_FILE: content + pages[4 * PAGE :]}, says=LMDB_FILE, may_load=True)
    for name, content in _values():
        yield case(f"lmdb-value-{name}", {LMDB_FILE: content}, says=LMDB_FILE)


def case(
    name: str, changes: dict[str, Content], says: str = "t0", without: str = "-", may_load: bool = False
) -> Hostile:
    """The set with other content at the places in `changes`, and nothing below `without`."""

    def write(folder: Path) -> None:
        kept = {place: content for place, content in whole_set().items() if not place.startswith(without)}
        for place, content in (kept | changes).items():
            put(folder / "set" / place, content)

    words = ("prepare", "data=shapes", "source={folder}/set", "output=out")
    return Hostile(f"set-{name}", write, words, says=says, may_load=may_load)


def npy(
    shape: object,
    descr: object = "<f2",
    data: bytes = b"",
    *,
    header: str | None = None,
    version: bytes = b"\1\0",
    length: int | None = None,
) -> bytes:
    """An npy file whose header says what is given."""
    text = header or f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
    content = text.encode().ljust(118) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(content) if length is None else length) + content + data


def npz(**arrays: bytes) -> bytes:
    """An archive of npy files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for key, content in arrays.items():
            archive.writestr(f"{key}.npy", content)
    return buffer.getvalue()


def _saved(array: Any, allow_pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=bool(allow_pickle))
    return buffer.getvalue()


BITS = _saved(np.zeros(2, np.uint8))


def _archives() -> Iterator[tuple[str, bytes]]:
    """Zip archives that are none, hold something else, or unpack to much more."""
    yield "text", b"PK is not enough\n" * 40
    yield "pickle", pickle.dumps(Payload())
    yield "npy", _saved(np.zeros((9, 3), np.float16))
    yield "objects", npz(points=_saved(np.array([Payload()] * 3, object), allow_pickle=True), occupancies=BITS)
    yield "no-arrays", npz()
    yield "key-missing", npz(points=_saved(np.zeros((16, 3), np.float16)))
    yield "upward", npz(**{"../../../../owned": BITS, "points": BITS})
    yield "absolute", npz(**{"/tmp/owned": BITS, "points": BITS})
    good = np.zeros((16, 3), np.float16)
    for name, points in {
        "nan": np.full_like(good, np.nan),
        "infinite": np.full_like(good, np.inf),
        "flat": good.ravel(),
        "empty": good[:0],
        "truth": good.astype(bool),
        "complex": good.astype(complex),
        "words": np.full((16, 3), "a"),
        "dates": np.zeros((16, 3), "datetime64[s]"),
        "records": np.zeros((16, 3), [("a", "f4"), ("b", "i8")]),
        "other-count": np.zeros((99, 3), np.float16),
    }.items():
        yield name, npz(points=_saved(points), occupancies=BITS)
    yield "bits-of-another-type", npz(points=_saved(good), occupancies=_saved(np.zeros(2, np.int32)))
    yield "bomb", _packed(3 * 2**10)
    yield "bomb-with-a-small-entry", _packed(3 * 2**10, says=4096)


def _packed(mebibytes: int, says: int | None = None) -> bytes:
    """An archive with one array of zeros in a thousandth of their size; `says` is the size that its entry names."""
    head = npy((mebibytes * 2**20 // 6, 3))
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH) + zeros_bomb(mebibytes * 2**10)
    size = len(head) + mebibytes * 2**20 if says is None else says
    facts = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0, 0, len(data), size, 10, 0)
    local = b"PK\3\4" + facts + b"points.npy" + data
    central = b"PK\1\2" + struct.pack("<H", 20) + facts + struct.pack("<HHHII", 0, 0, 0, 0, 0) + b"points.npy"
    return local + central + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)


def _headers() -> Iterator[tuple[str, bytes]]:
    """Arrays whose headers lie."""
    lies: dict[str, bytes] = {
        "shape-huge": npy((2**40, 3)),
        "shape-larger-than-any": npy((2**62, 2**62)),
        "shape-negative": npy((-1, 3), data=bytes(60)),
        "shape-fraction": npy((1.5, 3), data=bytes(60)),
        "shape-number": npy(7, data=bytes(60)),
        "shape-long": npy((1,) * 40, data=bytes(2)),
        "type-object": npy((2, 3), "|O", pickle.dumps([Payload()])),
        "type-unknown": npy((2, 3), "quark", bytes(60)),
        "type-void": npy((2, 3), "|V1000000000", bytes(60)),
        "type-nested": npy((2, 3), [("a", [("b", "<f4", (10**6, 10**6))])], bytes(60)),
        "header-code": npy((), header="__import__('os').system('touch owned')"),
        "header-power": npy((), header="{'descr': '<f4', 'fortran_order': False, 'shape': (9**9**9,)}"),
        "header-minus": npy((), header="-" * 9000 + "1"),
        "header-brackets": npy((), header="(" * 9000),
        "header-list": npy((), header="[1, 2, 3]"),
        "header-key-more": npy((), header="{'descr': '<f4', 'fortran_order': 0, 'shape': (), 'code': 'a'}"),
        "header-length": npy((2, 3), length=60_000),
        "version-nine": npy((2, 3), version=b"\x09\0", data=bytes(12)),
        "version-two": b"\x93NUMPY\2\0" + struct.pack("<I", 2**32 - 1) + bytes(60),
        "no-magic": bytes(100),
        "nothing": b"",
        "data-missing": npy((16, 3), data=bytes(10)),
        "data-more": npy((16, 3), data=bytes(1000)),
    }
    for name, content in lies.items():
        yield name, npz(points=content, occupancies=BITS)


def _rotations() -> Iterator[tuple[str, Content]]:
    yield "pickle", pickle.dumps(Payload())
    yield "objects", _saved(np.array([Payload()] * 4, object), allow_pickle=True)
    yield "huge", npy((2**50, 4, 4), "<f8")
    yield "nan", _saved(np.full((4, 4, 4), np.nan))
    yield "flat", _saved(np.zeros((4, 9)))
    yield "pipe", os.mkfifo
    yield "device", lambda path: path.symlink_to("/dev/zero")


def _views() -> Iterator[tuple[str, Content]]:
    yield "bomb", png(30_000, 30_000, depth=1, colour=0, data=zlib_bomb(108))
    yield "large", png(13_000, 13_000, depth=8, colour=0, data=zlib_bomb(162))
    yield "script", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90 90\n(%pipe%touch owned) (w) file\n%%EOF\n"
    yield "cut", whole_set()[f"images/{NAME}/0.png"][:60]
    yield "oblong", png(64, 16, data=zlib.compress(bytes((64 * 3 + 1) * 16)))
    yield "text", b"nothing"


def _lists() -> Iterator[tuple[str, Content]]:
    entries = {
        "far-upward": ["../../../secret/secret.txt"],
        "far-upward-inside": ["geometry/../../../../secret/secret.txt"],
        "far-folder": ["../../../../secret/secret"],
        "upward-at-the-end": ["geometry/.."],
        "upward-only": [".."],
        "absolute": ["/etc/passwd"],
        "zero-byte": ["geometry/s/\0t0"],
        "numbers": [1, 2, 3],
        "mapping": {"geometry/s/t0": 1},
        "empty-name": [""],
    }
    for name, content in entries.items():
        yield name, json.dumps(content).encode()
    yield "nested", b"[" * 100_000 + b"]" * 100_000
    yield "cut", b'["geometry/s/'
    yield "binary", bytes(range(256))
    yield "wide", "[]".encode("utf-32")


def _distances() -> Iterator[tuple[str, bytes]]:
    surface, points = _saved(np.zeros((8, 6), np.float16)), _saved(np.zeros((8, 3), np.float16))
    yield "other-count", npz(surface=surface, rand_points=points, sdfs=_saved(np.zeros(7, np.float16)))
    yield "nan", npz(surface=surface, rand_points=points, sdfs=_saved(np.full(8, np.nan)))
    yield "huge", npz(surface=surface, rand_points=points, sdfs=npy((2**45,)))
    yield "pickle", pickle.dumps(Payload())


def _patched(*patches: tuple[int, str, int]) -> bytes:
    """The packed set with other numbers at some places."""
    content = bytearray(whole_lmdb())
    for place, form, value in patches:
        struct.pack_into(form, content, place, value)
    return bytes(content)


def _databases() -> Iterator[tuple[str, Content]]:
    """LMDB files whose pages lie."""
    meta = [16, PAGE + 16]
    leaf = next(
        number
        for number in range(2, len(whole_lmdb()) // PAGE)
        if struct.unpack_from("<Q2xH", whole_lmdb(), number * PAGE) == (number, 2)
    )
    first = leaf * PAGE + struct.unpack_from("<H", whole_lmdb(), leaf * PAGE + 16)[0]
    yield "text", b"no database" * 1000
    yield "zeros", bytes(3 * PAGE)
    yield "magic", _patched((meta[0], "<I", 0))
    yield "map-huge", _patched(*((place + 16, "<Q", 2**60) for place in meta), (first + 2, "<H", 0xFFFF))
    yield "page-size", _patched((meta[0] + 24, "<I", 2**31))
    yield "page-size-zero", _patched((meta[0] + 24, "<I", 0))
    yield "root-outside", _patched(*((place + 112, "<Q", 2**50) for place in meta))
    yield "root-is-meta", _patched(*((place + 112, "<Q", 0) for place in meta))
    yield "transactions", _patched(*((place + 128, "<Q", 2**64 - 1) for place in meta), (meta[0] + 112, "<Q", 2**40))
    yield "page-flags", _patched((leaf * PAGE + 10, "<H", 0x77))
    yield "page-is-branch", _patched((leaf * PAGE + 10, "<H", 1))
    yield "page-number", _patched((leaf * PAGE, "<Q", 2**40))
    yield "page-count", _patched((leaf * PAGE + 12, "<H", 0xFFFF))
    yield "page-count-odd", _patched((leaf * PAGE + 12, "<H", 17))
    yield "node-outside", _patched(*((leaf * PAGE + 16 + 2 * number, "<H", 0xFFFF) for number in range(20)))
    yield "key-long", _patched((first + 6, "<H", 0xFFFF))
    yield "value-long", _patched((first + 2, "<H", 0xFFFF))
    yield "value-flags", _patched((first + 4, "<H", 0xFFFE))
    yield "value-elsewhere", _patched((first + 8 + len(NAME), "<Q", 2**50))
    yield "value-on-another-page", _patched((first + 8 + len(NAME), "<Q", leaf))


def _values() -> Iterator[tuple[str, Content]]:
    """Databases that are fine, whose values are not."""
    for name, value in broken_safetensors():
        yield name, functools.partial(_write_value, value=value)
    with tempfile.TemporaryDirectory() as folder:
        root = write_balls(Path(folder), train=1, val=0)
        good = encode(read_object(root / "geometry" / NAME, root / "images" / NAME))
    length = struct.unpack_from("<Q", good)[0]
    for old, new in (("surface", "surfice"), ("[400,6]", "[600,4]"), ('"view_1"', '"view_9"'), ('"U8"', '"I8"')):
        header = good[8 : 8 + length].replace(old.encode(), new.encode())
        yield (
            f"with-{new.strip('[]').strip(chr(34))}",
            functools.partial(_write_value, value=good[:8] + header + good[8 + length :]),
        )
    place = good.index(b'"surface"')
    offset = json.loads(good[8 : 8 + length])["surface"]["data_offsets"][0] + 8 + length
    assert place
    poisoned = good[:offset] + b"\xff\x7f" * 40 + good[offset + 80 :]
    yield "with-nan", functools.partial(_write_value, value=poisoned)


def _write_value(path: Path, value: bytes) -> None:
    write_lmdb(path, [(NAME, value)])
