"""One picture file becomes PNG files of squares at several sizes, by the rules of the published preparation."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from pathlib import Path

from PIL import Image as PilImage

from framework.artifacts.picture_files import MAX_PIXELS
from framework.data.pictures import PictureError, upright_picture

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""Suffixes that are looked for, lower case."""

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "PPM", "TIFF")
"""Pillow's names of the formats that may lie behind them."""

COMPRESSION = 4
"""Of PNG files: a third of the time of the usual 6 (0.10 instead of 0.31 s for 1024 x 1024), for 4 % more bytes."""

MIN_SIDE = 4
"""Smaller pictures are refused: icons, separators, counters. What is larger is enlarged, and the report says so."""

FILTERS = {"lanczos": PilImage.Resampling.LANCZOS, "bilinear": PilImage.Resampling.BILINEAR}


@dataclass(frozen=True)
class PictureTask:
    """One file to make squares of."""

    path: Path
    sizes: tuple[int, ...]
    resample: str


@dataclass(frozen=True)
class Squares:
    """The PNG files of one picture in the order of the sizes, or why there are none."""

    files: tuple[bytes, ...]
    reason: str = ""
    enlarged: bool = False
    """Whether the picture has fewer pixels than the largest square."""
    seconds: float = 0.0


def find_pictures(source: Path) -> list[Path]:
    """All picture files below `source`, sorted by full path as text; hidden files and folders are left out."""
    files = (path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    shown = (path for path in files if not any(part.startswith(".") for part in path.relative_to(source).parts))
    return sorted(shown, key=str)


def squares(task: PictureTask) -> Squares:
    """Make the squares of a picture. What is wrong with it is in the result; nothing but MemoryError is raised."""
    start = time.monotonic()
    try:
        picture = upright_picture(task.path, FORMATS, MIN_SIDE).convert("RGB")
        files = tuple(png_bytes(square(picture, size, task.resample)) for size in task.sizes)
    except PictureError as error:
        return Squares((), reason=f"{error.reason}. {error.hint}", seconds=round(time.monotonic() - start, 2))
    except ValueError as error:
        return Squares((), reason=str(error), seconds=round(time.monotonic() - start, 2))
    enlarged = min(picture.size) < max(task.sizes)
    return Squares(files, enlarged=enlarged, seconds=round(time.monotonic() - start, 2))


def square(picture: PilImage.Image, size: int, resample: str) -> PilImage.Image:
    """Resize the shorter side of a picture to `size` and cut out the middle, `size` x `size` pixels.

    ValueError for a picture so long that it would take too much memory.
    """
    short, long = sorted(picture.size)
    if short != size:
        scaled = int(size * long / short)
        if scaled * size > MAX_PIXELS:
            text = f"has {picture.width} x {picture.height} pixels: at size {size} it would have {size} x {scaled}"
            raise ValueError(f"{text}. Cut out the part that is wanted")
        sides = (size, scaled) if picture.width <= picture.height else (scaled, size)
        picture = picture.resize(sides, FILTERS[resample])
    left, top = round((picture.width - size) / 2), round((picture.height - size) / 2)
    return picture.crop((left, top, left + size, top + size))


def png_bytes(picture: PilImage.Image) -> bytes:
    """Return a picture as the bytes of a PNG file."""
    file = io.BytesIO()
    picture.save(file, format="PNG", compress_level=COMPRESSION)
    return file.getvalue()
