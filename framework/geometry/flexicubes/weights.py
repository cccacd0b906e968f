"""The weights by which a network bends the surface within its cubes.

Dimension letters: S surface cubes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

COUNT = 21
"""Numbers per cube: 12 of edges, 8 of corners, 1 of the cube."""


@dataclass(frozen=True, eq=False)
class CubeWeights:
    """Positive weights of the surface cubes."""

    beta: Tensor
    """(S, 12) pull of each crossed edge on its dual vertex."""

    alpha: Tensor
    """(S, 8) factors of the corners' values, which move the crossings along the edges."""

    gamma: Tensor
    """(S,) preference for a diagonal through the cube's dual vertex when quads are split."""


def activated_weights(raw: Tensor, scale: float = 0.99) -> CubeWeights:
    """The weights of `raw` (S, 21) network outputs: 12 beta, 8 alpha, 1 gamma, within `scale` in (0, 1) around one.

    beta and alpha are 1 + scale tanh(raw), gamma is scale sigmoid(raw) + (1 - scale) / 2. ValueError for other shapes.
    """
    if raw.ndim != 2 or raw.shape[1] != COUNT:
        raise ValueError(f"weights have shape {tuple(raw.shape)}, expected (surface cubes, {COUNT})")
    bent = 1 + scale * torch.tanh(raw[:, :20])
    gamma = scale * torch.sigmoid(raw[:, 20]) + (1 - scale) / 2
    return CubeWeights(bent[:, :12], bent[:, 12:], gamma)
