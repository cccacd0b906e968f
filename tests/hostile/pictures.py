"""Hostile pictures, given to `predict`."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image as PilImage

from tests.hostile.files import Content, cuts, damaged, odd_places, put, zeros_bomb
from tests.hostile.sandbox import Hostile

COMMAND = ("predict", "method=craftsman/small", "stages=..matting", "device=cpu", "turntable=false")
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "BMP": ".bmp"}


def pictures() -> Iterator[Hostile]:
    """All of them, the same ones each time."""
    random = np.random.default_rng(1)
    noise = PilImage.fromarray(random.integers(0, 256, (48, 48, 3), np.uint8))
    for kind, suffix in SUFFIXES.items():
        whole = _encoded(noise, kind)
        for name, content in cuts(whole):
            yield _case(f"{kind.lower()}-{name}", suffix, content)
        for name, content in damaged(whole, random, 3):
            yield _case(f"{kind.lower()}-{name}", suffix, content, may_load=True)
    for name, write in odd_places():
        yield _case(name, ".png", write)
    yield _case("secret-link", ".png", lambda path: path.symlink_to(path.parents[2] / "secret" / "secret.txt"))
    for name, suffix, content in (*_headers(), *_bombs(), *_strangers()):
        yield _case(name, suffix, content)
    for name, content in _largest():
        yield _case(f"png-{name}", ".png", content, may_load=True)
    for name, content in _png_oddities():
        yield _case(f"png-{name}", ".png", content, may_load=True)
    for name, content in _exif_oddities(noise):
        yield _case(f"exif-{name}", ".jpg", content, may_load=True)


def _case(name: str, suffix: str, content: Content, may_load: bool = False) -> Hostile:
    file = f"trap{suffix}"

    def write(folder: Path) -> None:
        put(folder / file, content)

    words = (*COMMAND, f"input={{folder}}/{file}", "output=out")
    return Hostile(f"picture-{name}", write, words, says=file, may_load=may_load)


def _encoded(picture: PilImage.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes, length: int | None = None) -> bytes:
    """A chunk of a PNG file, its length perhaps a lie."""
    count = len(content) if length is None else length
    return struct.pack(">I", count) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *, depth: int = 8, colour: int = 2, data: bytes = b"", before: bytes = b"") -> bytes:
    """A PNG file with such a header and such (compressed) data, and chunks before it."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + chunk(b"IDAT", data or zlib.compress(b"\0" * 64))
    ) + chunk(b"IEND", b"")


def zlib_bomb(mebibytes: int) -> bytes:
    """Compressed zeros: a thousandth of what they unpack to."""
    return b"\x78\x9c" + zeros_bomb(mebibytes * 2**10) + b"\0\0\0\0"


def _headers() -> Iterator[tuple[str, str, bytes]]:
    """Sizes that no picture has."""
    for width, height in ((60_000, 60_000), (2**31 - 1, 2**31 - 1), (2**31 - 1, 16), (12_000, 9_000), (0, 64)):
        yield f"png-{width}x{height}", ".png", png(width, height)
    for width, height in ((60_000, 60_000), (-20_000, 20_000), (2**31 - 1, 2)):
        header = (
            b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *[0] * 6)
        )
        yield f"bmp-{width}x{height}", ".bmp", header
    jpeg = (
        b"\xff\xd8\xff\xc0\x00\x11\x08"
        + struct.pack(">HH", 65_500, 65_500)
        + b"\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00"
    )
    yield "jpeg-65500x65500", ".jpg", jpeg + b"\xff\xda\x00\x0c\x03\x01\x00\x02\x11\x03\x11\x00\x3f\x00" + bytes(50)
    yield "gif-65535x65535", ".png", b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0xF0, 0, 0) + bytes(60)
    webp = b"VP8X" + struct.pack("<I", 10) + b"\x10\0\0\0" + b"\xff\x3f\0" * 2
    yield "webp-16384x16384", ".webp", b"RIFF" + struct.pack("<I", len(webp) + 4) + b"WEBP" + webp


def _bombs() -> Iterator[tuple[str, str, bytes]]:
    """Little that becomes much."""
    yield "png-bomb-of-one-bit", ".png", png(30_000, 30_000, depth=1, colour=0, data=zlib_bomb(108))
    yield "png-bomb-of-four-channels", ".png", png(9_000, 9_000, colour=6, data=zlib_bomb(310))
    yield "png-bomb-of-sixteen-bits", ".png", png(8_001, 8_001, depth=16, colour=6, data=zlib_bomb(489))
    yield "png-bomb-behind-a-small-header", ".png", png(8, 8, data=zlib_bomb(600))
    for kind, content in ((b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0")):
        before = chunk(kind, content + zlib_bomb(300))
        yield f"png-bomb-in-{kind.decode()}", ".png", png(8, 8, before=before)


def _largest() -> Iterator[tuple[str, bytes]]:
    """As many pixels as are read: they must fit into memory."""
    for name, depth, colour, row in (("one-bit", 1, 0, 1_000), ("grey", 16, 0, 16_000), ("deep", 16, 6, 64_000)):
        yield (
            f"largest-{name}",
            png(8_000, 8_000, depth=depth, colour=colour, data=zlib_bomb(8 * (row + 1) // 1_048 + 1)),
        )


def _strangers() -> Iterator[tuple[str, str, bytes]]:
    """Other formats under the name of a picture."""
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90 90\n(%pipe%touch owned) (w) file\nshowpage\n%%EOF\n"
    yield "postscript", ".png", script
    yield "pdf", ".png", b"%PDF-1.4\n1 0 obj<</Type/Catalog/OpenAction<</S/Launch/F(touch owned)>>>>endobj\n"
    yield "svg", ".png", b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"
    yield "html", ".jpg", b"<!doctype html><title>404</title>" * 30
    yield "zip", ".png", b"PK\x03\x04" + bytes(60)
    yield "elf", ".bmp", b"\x7fELF\x02\x01\x01" + bytes(60)
    tiff = b"II*\0\x08\0\0\0\x02\0" + struct.pack("<HHII", 256, 4, 1, 60_000) + struct.pack("<HHII", 257, 4, 1, 60_000)
    yield "tiff", ".png", tiff + bytes(4)
    yield "icon", ".png", b"\0\0\1\0\xff\xff" + b"\0" * 16 * 20
    yield "text", ".webp", b"not a picture\n"


def _png_oddities() -> Iterator[tuple[str, bytes]]:
    """Chunks that lie, at a size that is fine."""
    data = zlib.compress(bytes((48 * 3 + 1) * 48))
    whole = png(48, 48, data=data)
    yield "no-data", png(48, 48, data=b"\0")
    yield "wrong-checksum", whole[:30] + b"\0\0\0\0" + whole[34:]
    yield "palette-missing", png(48, 48, colour=3, data=zlib.compress(bytes(49 * 48)))
    yield (
        "palette-short",
        png(48, 48, colour=3, data=zlib.compress(b"\xff" * 49 * 48), before=chunk(b"PLTE", b"\1\2\3")),
    )
    yield "transparency-lies", png(48, 48, data=data, before=chunk(b"tRNS", b"\1" * 5000))
    yield "colour-type", png(48, 48, colour=99, data=data)
    yield "depth", png(48, 48, depth=77, data=data)
    yield "chunk-length", png(48, 48, data=data, before=chunk(b"tEXt", b"a\0b", length=2**31 - 1))
    yield "animation", png(48, 48, data=data, before=chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)))
    frame = struct.pack(">IIIIIHHBB", 0, 2**31 - 1, 2**31 - 1, 2**30, 2**30, 0, 0, 9, 9)
    yield "frame", png(48, 48, data=data, before=chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", frame))
    yield "gamma", png(48, 48, data=data, before=chunk(b"gAMA", b"\0" * 4) + chunk(b"cHRM", b"\xff" * 3))
    yield "exif", png(48, 48, data=data, before=chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff"))


def _exif_oddities(picture: PilImage.Image) -> Iterator[tuple[str, bytes]]:
    """Orientations that are none."""
    entries = {
        "type": struct.pack("<HHII", 0x0112, 99, 1, 6),
        "count": struct.pack("<HHII", 0x0112, 3, 2**31, 6),
        "rational": struct.pack("<HHII", 0x0112, 5, 1, 2**31),
        "text": struct.pack("<HHII", 0x0112, 2, 4, 0x41414141),
    }
    for name, entry in entries.items():
        exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + b"\x08\0\0\0"
        yield name, _encoded(picture, "JPEG", exif=exif)
    yield "cut", _encoded(picture, "JPEG", exif=b"Exif\0\0II*\0\xff\xff")
