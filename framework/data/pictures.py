"""Reading pictures that come from outside: any common format, never a surprise.

Whatever lies in the file (palette, grey, 16 bits, CMYK, EXIF rotation, animation), the result is an upright RGB or RGBA
array in [0, 1]. Whatever is wrong with it (empty, cut off, not a picture, absurdly large) is one kind of error that
says what, where and how to fix it, before any pixel is decoded if possible.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageOps

from framework.artifacts.picture_files import UNREADABLE, TooManyPixels, opened_picture

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
"""Suffixes that are looked for in folders, lower case."""

MAX_BYTES = 2**29
"""Size of a file beyond which it is no picture."""

MIN_SIDE = 16
"""Below this no shape can be seen."""

# Decoders for anything else (PostScript, fonts, scientific formats) stay closed to files from outside.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")


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
    upright = upright_picture(path)
    width, height = upright.size
    if longest_side is not None and max(width, height) > longest_side:
        scale = longest_side / max(width, height)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        upright = upright.resize(size, PilImage.Resampling.LANCZOS)
    pixels = np.array(upright, np.float32)
    return np.divide(pixels, np.float32(255), out=pixels)


def upright_picture(path: Path, formats: tuple[str, ...] = FORMATS, min_side: int = MIN_SIDE) -> PilImage.Image:
    """Read a picture in one of `formats` (Pillow's names) as an upright RGB or RGBA picture of Pillow with 8 bits.

    An animation gives its first frame. Raises PictureError, also for one with a side of fewer than `min_side` pixels.
    """
    with _open(path, formats, min_side) as picture:
        return ImageOps.exif_transpose(_to_8_bit(picture))


@contextmanager
def _open(path: Path, formats: tuple[str, ...], min_side: int) -> Iterator[PilImage.Image]:
    check_picture_file(path)
    again = "Save it again as PNG or JPEG"
    try:
        with opened_picture(path, formats) as picture:
            _check_size(picture.size, path, min_side)
            picture.load()
            yield picture
    except PictureError:
        raise
    except TooManyPixels as error:
        hint = "Make it smaller: 2048 pixels on the longest side are plenty"
        raise PictureError(str(error), path, hint) from error
    except PilImage.UnidentifiedImageError as error:
        raise PictureError(f"is not a picture that can be read ({', '.join(formats)})", path, again) from error
    except UNREADABLE as error:
        raise PictureError(f"is damaged or cut off ({error})", path, again) from error


def check_picture_file(path: Path) -> None:
    """Raise PictureError unless there is a regular file of a sensible size at `path`."""
    if not path.exists():
        raise PictureError("does not exist", path, "Check the path")
    if not path.is_file():
        raise PictureError("is not a file", path, "Give a picture file")
    size = path.stat().st_size
    if size == 0:
        raise PictureError("is empty (0 bytes)", path, "Copy or download it again")
    if size > MAX_BYTES:
        raise PictureError(f"has {size} bytes: that is no picture", path, "Give a picture file")


def _check_size(size: tuple[int, int], path: Path, min_side: int) -> None:
    width, height = size
    if min(width, height) < min_side:
        hint = f"Give a picture of at least {min_side} x {min_side} pixels; 512 or more is better"
        raise PictureError(f"has only {width} x {height} pixels", path, hint)


def _to_8_bit(picture: PilImage.Image) -> PilImage.Image:
    """Return an RGB or RGBA picture; EXIF data stays attached so that it can be turned upright."""
    if picture.mode.startswith("I") or picture.mode == "F":
        # Pillow's own conversion cuts off at 255 where these modes hold 16 bits (grey PNG, depth maps).
        values = np.array(picture, np.float32)
        values *= 255 / 65535 if values.max(initial=0) > 255 else 1.0
        grey = PilImage.fromarray(np.rint(values, out=values).clip(0, 255, out=values).astype(np.uint8))
        grey.info.update(picture.info)
        return grey.convert("RGB")
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
