"""Opening picture files that may be anything: few formats, a bounded number of pixels, known errors."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image as PilImage

from framework.artifacts.reading import checked_size

MAX_PIXELS = 64_000_000
"""8000 x 8000; an RGBA picture of that size takes 256 MB when decoded."""

UNREADABLE = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, ArithmeticError, RuntimeError, MemoryError),
    *(AttributeError, AssertionError, struct.error, zlib.error),
)
"""What Pillow's decoders raise for damaged files: they index and unpack what the bytes say."""


class TooManyPixels(ValueError):
    """A picture is larger than any that is wanted here, perhaps a few bytes that decode to gigabytes."""


@contextmanager
def opened_picture(
    source: Path | BinaryIO, formats: tuple[str, ...] = ("PNG",), max_pixels: int = MAX_PIXELS
) -> Iterator[PilImage.Image]:
    """Yield a picture of at most `max_pixels` in one of `formats`, not decoded yet.

    Other formats stay closed to files from outside: some of Pillow's decoders start programs. Raises TooManyPixels
    before any pixel is decoded, and one of UNREADABLE for what is no picture.
    """
    if isinstance(source, Path):
        checked_size(source)
    try:
        with warnings.catch_warnings():
            # Our own limit is lower than the one that Pillow warns about.
            warnings.simplefilter("ignore", PilImage.DecompressionBombWarning)
            with PilImage.open(source, formats=formats) as picture:
                check_pixels(picture, max_pixels)
                yield picture
    except PilImage.DecompressionBombError as error:
        raise TooManyPixels(f"has more than {max_pixels / 1e6:.0f} million pixels") from error


def check_pixels(picture: PilImage.Image, max_pixels: int = MAX_PIXELS) -> None:
    """Raise TooManyPixels for a picture that is too large, going by its header."""
    if picture.width * picture.height > max_pixels:
        size = f"{picture.width} x {picture.height}"
        raise TooManyPixels(f"has {size} pixels, more than {max_pixels / 1e6:.0f} million")
