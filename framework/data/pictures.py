"""Reading pictures that come from outside: any common format, never a surprise.

Whatever lies in the file (palette, grey, 16 bits, CMYK, EXIF rotation, animation), the result is an upright RGB or RGBA
array in [0, 1]. Whatever is wrong with it (empty, cut off, not a picture, absurdly large) is one kind of error that
says what, where and how to fix it, before any pixel is decoded if possible.
"""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageOps

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
"""Suffixes that are looked for in folders, lower case."""

MAX_PIXELS = 64_000_000
"""8000 x 8000; an RGBA picture of that size takes 256 MB when decoded."""

MIN_SIDE = 16
"""Below this no shape can be seen."""

# Decoders for anything else (PostScript, fonts, scientific formats) stay closed to files from outside.
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")


class PictureError(ValueError):
    """A picture file can't be used.

    reason: what is wrong; path: where; hint: how to fix it.
    """

    def __init__(self, reason: str, path: Path, hint: str) -> None:
        super().__init__(f"{path}: {reason}. {hint}")
        self.reason = reason
        self.path = path
        self.hint = hint


def read_picture(path: Path, longest_side: int | None = None) -> NDArray[np.float32]:
    """Read a picture as (H, W, 3) RGB or (H, W, 4) RGBA float32 in [0, 1], row 0 at the top, straight alpha.

    longest_side: reduce (never enlarge) to this many pixels, with anti-aliasing and correctly at transparent edges.
    An animation gives its first frame. Raises PictureError.
    """
    with _open(path) as picture:
        upright = ImageOps.exif_transpose(_to_8_bit(picture))
    width, height = upright.size
    if longest_side is not None and max(width, height) > longest_side:
        scale = longest_side / max(width, height)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        upright = upright.resize(size, PilImage.Resampling.LANCZOS)
    return np.asarray(upright, np.float32) / np.float32(255)


@contextmanager
def _open(path: Path) -> Iterator[PilImage.Image]:
    _check_file(path)
    again = "Save it again as PNG or JPEG"
    try:
        with warnings.catch_warnings():
            # Our own limit, below, is lower than the one that Pillow warns about.
            warnings.simplefilter("ignore", PilImage.DecompressionBombWarning)
            with PilImage.open(path, formats=_FORMATS) as picture:
                _check_size(picture.size, path)
                picture.load()
                yield picture
    except PilImage.DecompressionBombError as error:
        raise PictureError("has too many pixels", path, _smaller()) from error
    except PilImage.UnidentifiedImageError as error:
        raise PictureError("is not a picture that can be read (PNG, JPEG, WebP, BMP, GIF)", path, again) from error
    except (OSError, SyntaxError, EOFError, struct.error, zlib.error, IndexError) as error:
        raise PictureError(f"is damaged or cut off ({error})", path, again) from error


def _check_file(path: Path) -> None:
    if not path.exists():
        raise PictureError("does not exist", path, "Check the path")
    if not path.is_file():
        raise PictureError("is not a file", path, "Give a picture file")
    if path.stat().st_size == 0:
        raise PictureError("is empty (0 bytes)", path, "Copy or download it again")


def _check_size(size: tuple[int, int], path: Path) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise PictureError(f"has {width} x {height} pixels, more than {MAX_PIXELS / 1e6:.0f} million", path, _smaller())
    if min(width, height) < MIN_SIDE:
        hint = f"Give a picture of at least {MIN_SIDE} x {MIN_SIDE} pixels; 512 or more is better"
        raise PictureError(f"has only {width} x {height} pixels", path, hint)


def _smaller() -> str:
    return "Make it smaller: 2048 pixels on the longest side are plenty"


def _to_8_bit(picture: PilImage.Image) -> PilImage.Image:
    """Return an RGB or RGBA picture; EXIF data stays attached so that it can be turned upright."""
    if picture.mode.startswith("I") or picture.mode == "F":
        # Pillow's own conversion cuts off at 255 where these modes hold 16 bits (grey PNG, depth maps).
        values = np.asarray(picture, np.float64)
        scale = 255 / 65535 if values.max(initial=0) > 255 else 1.0
        grey = PilImage.fromarray(np.clip(np.rint(values * scale), 0, 255).astype(np.uint8))
        grey.info.update(picture.info)
        return grey.convert("RGB")
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
