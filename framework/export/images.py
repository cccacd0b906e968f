"""Pictures as 8-bit numbers, and as PNG files, whole or not at all."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from framework.artifacts.atomic import atomic_file


def to_bytes(pixels: NDArray[Any], rounding: Literal["nearest", "down"] = "nearest") -> NDArray[np.uint8]:
    """Return floats as 0..255, in the same shape: values outside [0, 1] are cut, NaN is black.

    rounding: to the nearest number, halves up, as published PNG files have it; or down, as published videos do.
    """
    # NaN would become an arbitrary byte; black is at least the same everywhere.
    values = np.nan_to_num(pixels).clip(0, 1) * 255
    return (values + 0.5 if rounding == "nearest" else values).astype(np.uint8)


def save_png(pixels: NDArray[Any], path: Path, compress_level: int = 4) -> Path:
    """Write `pixels` to `path` and return it; the folder is made if missing.

    pixels: (H, W, 3) RGB or (H, W, 4) RGBA with straight alpha, uint8, or floats in [0, 1] (others are cut), row 0 at
    the top. compress_level: 1 (a quarter of the time, a third larger) to 9. ValueError for other shapes or types.
    """
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4) or 0 in pixels.shape:
        raise ValueError(f"{path}: pixels have shape {pixels.shape}, expected (H, W, 3) or (H, W, 4)")
    if np.issubdtype(pixels.dtype, np.floating):
        pixels = to_bytes(pixels)
    if pixels.dtype != np.uint8:
        raise ValueError(f"{path}: pixels are {pixels.dtype}, expected uint8, or floats in [0, 1]")
    with atomic_file(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG", compress_level=compress_level)
    return path
