"""Fourier features of points: coordinates, then sines and cosines at octaves of a base frequency."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


class FourierEmbedding(nn.Module):
    """Maps (..., dim) coordinates to (..., dim * (2F + include_input)) features: concat(x, sin(x f), cos(x f)).

    The F frequencies are 1, 2, 4, ... (or evenly spaced up to the same maximum with `logspace=False`), times pi with
    `include_pi`; the products are ordered with the coordinate first (x f_1 ... x f_F, y f_1 ...). The features follow
    Mildenhall et al. 2020 (NeRF), section 5.1. The frequencies are constants and not part of the state dict.
    """

    frequencies: Tensor

    def __init__(
        self, num_freqs: int, include_pi: bool = True, include_input: bool = True, logspace: bool = True, dim: int = 3
    ) -> None:
        super().__init__()
        highest = 2.0 ** (num_freqs - 1)
        frequencies = 2.0 ** torch.arange(num_freqs) if logspace else torch.linspace(1.0, highest, num_freqs)
        self.register_buffer("frequencies", frequencies * (math.pi if include_pi else 1.0), persistent=False)
        self.include_input = include_input
        self.out_dim = dim * (2 * num_freqs + int(include_input))

    def forward(self, points: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch features"]:
        """Features of `points`, coordinates as they are (no range is enforced)."""
        angles = (points[..., None] * self.frequencies).flatten(-2)
        waves = [angles.sin(), angles.cos()]
        return torch.cat([points, *waves] if self.include_input else waves, dim=-1)
