"""The published clean-up of pictures, to the pixel: transparency kept, object shrunk, picture made square.

Everything is done on 8-bit Pillow pictures, with its default filter (bicubic). The framework's own matting frames by
the object's box instead and filters premultiplied floats; this is for weights that are used as their authors did.
"""

from __future__ import annotations

import numpy as np
from PIL import Image as PilImage

Colour = tuple[int, int, int, int]
"""Red, green, blue, opacity in 0..255."""


def kept_alpha(picture: PilImage.Image) -> PilImage.Image | None:
    """Return the RGBA picture with black where it is fully transparent, or None when nothing in it is transparent."""
    if picture.mode != "RGBA":
        return None
    pixels = np.array(picture)
    if pixels[..., 3].min() == 255:
        return None
    pixels[pixels[..., 3] == 0] = 0
    return PilImage.fromarray(pixels)


def shrunk(picture: PilImage.Image, ratio: float) -> PilImage.Image:
    """Return the RGBA picture scaled by `ratio` (0 to 1) in the middle of a transparent one of the old size."""
    if ratio == 1.0:
        return picture
    small = picture.resize((int(picture.width * ratio), int(picture.height * ratio)))
    return _centred(small, picture.width, picture.height)


def squared(picture: PilImage.Image) -> PilImage.Image:
    """Return the RGBA picture in the middle of a transparent black square of its longer side."""
    side = max(picture.size)
    return picture if picture.size == (side, side) else _centred(picture, side, side)


def over(picture: PilImage.Image, colour: Colour) -> PilImage.Image:
    """Return the RGBA picture composited over a plain `colour`."""
    return PilImage.alpha_composite(PilImage.new("RGBA", picture.size, colour), picture)


def over_exactly(picture: PilImage.Image, colour: Colour) -> np.ndarray:
    """Return (H, W, 3) float32 in [0, 1]: an RGBA picture over the opaque `colour`, without rounding to 8 bits."""
    pixels = np.asarray(picture, np.float32) / np.float32(255)
    alpha = pixels[..., 3:]
    return pixels[..., :3] * alpha + np.asarray(colour[:3], np.float32) / np.float32(255) * (1 - alpha)


def _centred(picture: PilImage.Image, width: int, height: int) -> PilImage.Image:
    canvas = PilImage.new("RGBA", (width, height), (0, 0, 0, 0))
    canvas.paste(picture, ((width - picture.width) // 2, (height - picture.height) // 2))
    return canvas
