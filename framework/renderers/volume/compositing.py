"""Light that travels towards the eye: from opacities along rays to weights, and from weights to pictures.

Dimension letters: ... batch axes and rays, S samples from near to far, P samples of all rays in a row, R rays.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class RenderOut:
    """What rays see; every tensor has the rays' axes (..., R) in front."""

    colour: Tensor
    """(..., R, 3), background included."""

    depth: Tensor
    """(..., R) sum of weight * t, not divided by the opacity; 0 where nothing is hit."""

    opacity: Tensor
    """(..., R) sum of the weights: 0 where nothing is hit."""

    normal: Tensor | None = None
    """(..., R, 3) sum of weight * unit outward normal, if asked for."""

    weights: Tensor | None = None
    """(..., R, S) weight of each sample where all rays have as many; none for marched rays."""

    extras: dict[str, Tensor] = field(default_factory=dict)
    """What else was asked for, by name."""


def weights_of(opacity: Tensor, epsilon: float = 0.0) -> Tensor:
    """(..., S) weights a_k * prod_{j<k} (1 - a_j + epsilon) of opacities a.

    A small `epsilon` keeps the product differentiable behind opaque samples (gradients by division; published
    renderers use 1e-10 or 1e-15).
    """
    return opacity * transmittance(opacity, epsilon)


def transmittance(opacity: Tensor, epsilon: float = 0.0) -> Tensor:
    """(..., S) light that arrives from each sample: prod_{j<k} (1 - a_j + epsilon)."""
    passed = torch.cumprod(1.0 - opacity + epsilon, dim=-1)
    return torch.cat([torch.ones_like(passed[..., :1]), passed[..., :-1]], dim=-1)


def closed(weights: Tensor) -> Tensor:
    """(..., S) weights whose last one is what the others leave: no light passes the last sample."""
    others = weights[..., :-1]
    return torch.cat([others, 1.0 - others.sum(dim=-1, keepdim=True)], dim=-1)


def until_dark(light: Tensor, least: float, late: bool = False) -> Tensor:
    """(..., S) bool: which samples count when a ray stops once its light (..., S) falls below `least`.

    The sample that takes the light below it still counts; with `late` the one behind that too.
    """
    if late:
        light = torch.cat([torch.ones_like(light[..., :1]), light[..., :-1]], dim=-1)
    return light >= least


def total(weights: Tensor, values: Tensor) -> Tensor:
    """(..., C) weighted sum of `values` (..., S, C) over samples."""
    if values.shape[-1] > 16:  # as a product of matrices: no copy of the values, and several times faster
        return (weights[..., None, :] @ values)[..., 0, :]
    return (weights[..., None] * values).sum(dim=-2)


def over(colour: Tensor, opacity: Tensor, background: Tensor) -> Tensor:
    """(..., 3) premultiplied `colour` (..., 3) in front of `background` (3,) or (..., 3)."""
    return colour + (1.0 - opacity)[..., None] * background


def padded(values: Tensor, ray: Tensor, rank: Tensor, rays: int) -> Tensor:
    """(R, S) table of `values` (P,), each in the row of its ray at its rank; zeros elsewhere."""
    longest = int(rank.max()) + 1 if len(rank) else 1
    return values.new_zeros(rays, longest).index_put((ray, rank), values)


def summed(values: Tensor, ray: Tensor, rays: int) -> Tensor:
    """(R, ...) sums of `values` (P, ...) of each ray."""
    return values.new_zeros(rays, *values.shape[1:]).index_add(0, ray, values)
