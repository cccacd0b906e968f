"""A tiny set of pictures as `prepare data=image_lmdb` would make it: shaded ellipses on plain colours."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image as PilImage

from framework.data.image_set import LENGTH, SET_FILE, picture_key
from framework.data.lmdb_store import write_lmdb
from framework.data.square_pictures import png_bytes


def write_picture_set(root: Path, count: int = 12, sizes: Sequence[int] = (16, 64)) -> Path:
    """Write `count` pictures at all `sizes` into the folder `root`, and return it. MissingExtra without `data`."""
    values = [
        (picture_key(size, index).decode(), png_bytes(PilImage.fromarray(ellipse(index, size))))
        for index in range(count)
        for size in sizes
    ]
    write_lmdb(root / SET_FILE, [*values, (LENGTH.decode(), str(count).encode())])
    return root


def ellipse(number: int, size: int) -> UInt8[np.ndarray, "S S 3"]:
    """Picture `number`: an ellipse whose place, tilt and colours follow from the number."""
    random = np.random.default_rng(number)
    rows, columns = (np.mgrid[:size, :size] + 0.5) / size * 2 - 1
    x, y = columns - random.uniform(-0.2, 0.2), rows - random.uniform(-0.2, 0.2)
    width, height = random.uniform(0.4, 0.7, 2)
    inside = 1 - np.hypot(x / width, y / height)
    light = np.sqrt(inside.clip(0)) * (1 - 0.3 * x - 0.3 * y)
    colour, background = random.uniform(0.3, 1, 3), random.uniform(0, 0.5, 3)
    pixels = np.where(inside[..., None] > 0, colour * light[..., None], background)
    return (pixels.clip(0, 1) * 255 + 0.5).astype(np.uint8)
