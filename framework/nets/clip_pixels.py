"""From pictures to what CLIP's vision tower reads: its published preprocessing, for 8-bit pictures and for tensors.

Both recipes scale the shorter side to the tower's, cut out the centre and normalise; they differ in the filter's
arithmetic (8 bits against floats that may overshoot) and in the rounding of the crop. Neither uses transformers' image
processors: those of version 5 composite transparency over white, which the published ones dropped.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image as PilImage
from torch import Tensor
from torch.nn.functional import interpolate

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""Mean and standard deviation of red, green and blue in [0, 1] over CLIP's training pictures."""


def centre_square(picture: PilImage.Image, side: int) -> PilImage.Image:
    """Return the RGB square of `side` pixels in the middle of `picture`, scaled so that its shorter side is `side`.

    Bicubic in 8 bits. Transparency is dropped, not composited: whatever colour lies behind it shows.
    """
    rgb = picture.convert("RGB")
    width, height = _scaled(rgb.width, rgb.height, side)
    rgb = rgb.resize((width, height), PilImage.Resampling.BICUBIC)
    left, top = (width - side) // 2, (height - side) // 2
    return rgb.crop((left, top, left + side, top + side))


def picture_pixels(picture: PilImage.Image, side: int = 224) -> Float[Tensor, "3 S S"]:
    """Normalised pixels of a picture of any size and 8-bit mode: the recipe for inference."""
    rgb = np.asarray(centre_square(picture, side), np.float32) / np.float32(255)
    return normalized(torch.from_numpy(rgb).permute(2, 0, 1))


def clip_pixels(rgb: Float[Tensor, "B 3 H W"], side: int = 224) -> Float[Tensor, "B 3 S S"]:
    """Normalised pixels of colours in [0, 1]: the recipe for training, antialiased and not clamped.

    Pictures that already have the tower's size are only normalised, so that both recipes agree on them.
    """
    height, width = rgb.shape[-2:]
    if (height, width) != (side, side):
        width, height = _scaled(width, height, side)
        rgb = interpolate(rgb, size=(height, width), mode="bicubic", antialias=True, align_corners=False)
        left, top = round((width - side) / 2), round((height - side) / 2)  # half to even
        rgb = rgb[..., top : top + side, left : left + side]
    return normalized(rgb)


def normalized(rgb: Float[Tensor, "*B 3 H W"]) -> Float[Tensor, "*B 3 H W"]:
    """Colours in [0, 1] with CLIP's mean taken off, in units of its standard deviation."""
    return (rgb - rgb.new_tensor(CLIP_MEAN)[:, None, None]) / rgb.new_tensor(CLIP_STD)[:, None, None]


def _scaled(width: int, height: int, side: int) -> tuple[int, int]:
    """(width, height) with the shorter one `side`; the longer one is rounded down."""
    if width <= height:
        return side, int(side * height / width)
    return int(side * width / height), side
