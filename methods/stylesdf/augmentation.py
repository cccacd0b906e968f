"""Adaptive discriminator augmentation (Karras et al. 2020, arXiv 2006.06676), for sets of few pictures.

What the discriminator sees, real or made, is changed at random, each transformation with the probability `strength`;
the strength is steered by how sure the discriminator is of real pictures. Transformations are those of the paper's
appendix B that keep what a pose is: no mirror images (the set has them) and no large turns. Ranges are even ones, with
about the paper's deviations, moves and turns smaller.

A picture's changes follow from its row of `numbers` alone. All is differentiable with respect to the pictures, any
number of times, so that gradient penalties go through it.

B pictures of the batch, K = 21 numbers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from methods.stylesdf.config import AugmentConfig

NUMBERS = 21
"""Random numbers that `augment` takes for each picture."""
WHOLE_SHIFT = 0.125
"""Largest move by whole pixels, as a share of the side."""
SHIFT = 0.1
"""Largest move by parts of pixels."""
SCALE = 0.35
"""Largest factor of size, as a power of two, up and down."""
TURN = math.radians(10.0)
"""Largest turn."""
CUT = 0.5
"""Side of the square that is cut out, as a share of the picture's."""
BRIGHTNESS = 0.35
"""Largest shift of all channels; pictures reach from -1 to 1."""
CONTRAST = 0.85
"""Largest factor on the values, as a power of two."""
SATURATION = 1.7
"""Largest factor on the distance from grey, as a power of two."""


class Moves(NamedTuple):
    """The geometric changes: a point p, in pixels from the middle, shows what was at `turn @ p + shift`."""

    taken: Bool[Tensor, " B"]
    turn: Float[Tensor, "B 2 2"]
    shift: Float[Tensor, "B 2"]


class Tints(NamedTuple):
    """The changes of colour: a colour c becomes `matrix @ c + offset`."""

    taken: Bool[Tensor, " B"]
    matrix: Float[Tensor, "B 3 3"]
    offset: Float[Tensor, " B"]


def augment(
    images: Float[Tensor, "B 3 H W"], numbers: Float[Tensor, "B 21"], strength: float, config: AugmentConfig
) -> Float[Tensor, "B 3 H W"]:
    """Change pictures in [-1, 1] by random `numbers` in [0, 1), each transformation with the probability `strength`.

    Pictures that no transformation is taken for stay bit by bit what they are. Raises ValueError for other shapes.
    """
    if numbers.shape != (len(images), NUMBERS):
        raise ValueError(f"augmentation: expected numbers ({len(images)}, {NUMBERS}), got {tuple(numbers.shape)}")
    if strength <= 0.0:
        return images
    numbers = numbers.to(images.dtype)
    if config.geometry:
        images = _moved(images, moves(numbers, strength, images.shape[2:]))
    if config.color:
        images = _tinted(images, tints(numbers, strength))
    return _cut(images, numbers, strength) if config.geometry else images


def next_strength(strength: float, sign_mean: float, batch: int, config: AugmentConfig) -> float:
    """Return the strength after a batch of `batch` real pictures whose logits' signs had the mean `sign_mean`.

    Above the target the discriminator knows its pictures by heart, so that it rises; from 0 to 1 in `config.images`.
    """
    if not config.target:
        return 0.0
    direction = (sign_mean > config.target) - (sign_mean < config.target)
    return min(1.0, max(0.0, strength + direction * batch / config.images))


def moves(numbers: Float[Tensor, "B 21"], strength: float, size: torch.Size | tuple[int, int]) -> Moves:
    """The geometric changes of pictures of (H, W) pixels: whole moves, moves, sizes, turns."""
    taken = numbers[:, [0, 3, 6, 8]] < strength
    side = numbers.new_tensor([size[1], size[0]])
    whole = torch.round(_even(numbers[:, 1:3]) * WHOLE_SHIFT * side)
    shift = torch.where(taken[:, :1], whole, 0.0) + torch.where(
        taken[:, 1:2], _even(numbers[:, 4:6]) * SHIFT * side, 0.0
    )
    scale = torch.exp2(torch.where(taken[:, 2], _even(numbers[:, 7]) * SCALE, 0.0))
    angle = torch.where(taken[:, 3], _even(numbers[:, 9]) * TURN, 0.0)
    across, along = torch.cos(angle) * scale, torch.sin(angle) * scale
    turn = torch.stack([torch.stack([across, -along], dim=1), torch.stack([along, across], dim=1)], dim=1)
    return Moves(taken.any(dim=1), turn, shift)


def tints(numbers: Float[Tensor, "B 21"], strength: float) -> Tints:
    """The changes of colour: brightness, contrast, saturation, hue."""
    taken = numbers[:, [13, 15, 17, 19]] < strength
    offset = torch.where(taken[:, 0], _even(numbers[:, 14]) * BRIGHTNESS, 0.0)
    contrast = torch.exp2(torch.where(taken[:, 1], _even(numbers[:, 16]) * CONTRAST, 0.0))
    saturation = torch.exp2(torch.where(taken[:, 2], _even(numbers[:, 18]) * SATURATION, 0.0))
    hue = torch.where(taken[:, 3], _even(numbers[:, 20]) * math.pi, 0.0)
    grey = numbers.new_full((3, 3), 1.0 / 3.0)
    colourful = torch.eye(3, dtype=numbers.dtype, device=numbers.device) - grey
    # Turning around the grey axis: what is off it goes partly into the third direction, the axis' cross product.
    cross = numbers.new_tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3.0)
    turned = torch.cos(hue)[:, None, None] * colourful + torch.sin(hue)[:, None, None] * cross
    matrix = contrast[:, None, None] * (grey + saturation[:, None, None] * turned)
    return Tints(taken.any(dim=1), matrix, offset)


def _moved(images: Tensor, change: Moves) -> Tensor:
    """Resample between the four nearest pixels; what lies outside is mirrored at the border."""
    height, width = images.shape[2:]
    middle = images.new_tensor([(width - 1) / 2, (height - 1) / 2])
    rows, columns = torch.meshgrid(*(torch.arange(n, device=images.device) for n in (height, width)), indexing="ij")
    points = torch.stack([columns, rows], dim=-1).view(-1, 2).to(images.dtype) - middle
    source = points @ change.turn.transpose(1, 2) + (change.shift + middle)[:, None]
    places, weights = _neighbours(_mirrored(source[..., 0], width), _mirrored(source[..., 1], height), height, width)
    # Reading by index, unlike grid_sample, has a second derivative in every version and on every device.
    read = images.flatten(2).gather(2, places.flatten(1)[:, None].expand(-1, images.shape[1], -1))
    found = (read.view(*images.shape[:2], 4, -1) * weights[:, None]).sum(dim=2).view_as(images)
    return torch.where(change.taken[:, None, None, None], found, images)


def _tinted(images: Tensor, change: Tints) -> Tensor:
    found = (change.matrix @ images.flatten(2)).view_as(images) + change.offset[:, None, None, None]
    return torch.where(change.taken[:, None, None, None], found, images)


def _cut(images: Tensor, numbers: Tensor, strength: float) -> Tensor:
    """Pictures with a square of middle grey."""
    height, width = images.shape[2:]
    columns, rows = (torch.arange(n, device=images.device, dtype=images.dtype) + 0.5 for n in (width, height))
    across = (columns / width - numbers[:, 11:12]).abs() < CUT / 2
    along = (rows / height - numbers[:, 12:13]).abs() < CUT / 2
    taken = (numbers[:, 10] < strength)[:, None, None]
    return torch.where((taken & along[:, :, None] & across[:, None, :])[:, None], 0.0, images)


def _even(numbers: Tensor) -> Tensor:
    """From [0, 1) to [-1, 1)."""
    return 2.0 * numbers - 1.0


def _mirrored(places: Tensor, count: int) -> Tensor:
    """Places on a line of `count` pixels, mirrored at the outer edges of the first and the last one."""
    folded = (places + 0.5).remainder(2.0 * count)
    return (torch.minimum(folded, 2.0 * count - folded) - 0.5).clamp(0.0, count - 1.0)


def _neighbours(x: Tensor, y: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Flat indices (B, 4, P) of the pixels around places (B, P), and their weights."""
    left, top = x.floor().clamp(max=width - 2), y.floor().clamp(max=height - 2)
    right_share, low_share = x - left, y - top
    first = (top * width + left).long()
    places = torch.stack([first, first + 1, first + width, first + width + 1], dim=1)
    upper, lower = 1.0 - low_share, low_share
    shares = [(1.0 - right_share) * upper, right_share * upper, (1.0 - right_share) * lower, right_share * lower]
    return places, torch.stack(shares, dim=1)
