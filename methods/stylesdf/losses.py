"""Losses of both stages (Or-El et al. 2022, sections 3.2 and 3.3; Karras et al. 2020 for R1 and path length).

B items of a batch.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import smooth_l1_loss, softplus


def discriminator_loss(real: Float[Tensor, "B 1"], fake: Float[Tensor, "B 1"]) -> Float[Tensor, ""]:
    """Logistic loss of logits: softplus(-real) + softplus(fake), each averaged (Goodfellow et al. 2014)."""
    return softplus(-real).mean() + softplus(fake).mean()


def generator_loss(fake: Float[Tensor, "B 1"]) -> Float[Tensor, ""]:
    """Non-saturating loss of logits: the mean of softplus(-fake)."""
    return softplus(-fake).mean()


def gradient_penalty(real: Float[Tensor, "B 1"], images: Float[Tensor, "B *shape"]) -> Float[Tensor, ""]:
    """R1: mean over the batch of the squared norm of d(sum real)/d(images), with graph (Mescheder et al. 2018)."""
    (gradient,) = torch.autograd.grad(real.sum(), images, create_graph=True)
    return gradient.square().flatten(1).sum(dim=1).mean()


def viewpoint_loss(predicted: Float[Tensor, "B 2"], angles: Float[Tensor, "B 2"]) -> Float[Tensor, ""]:
    """Smooth L1 (beta 1) between predicted and true azimuth and elevation in radians."""
    return smooth_l1_loss(predicted, angles)


def eikonal_loss(gradient: Float[Tensor, "*points 3"]) -> Float[Tensor, ""]:
    """Mean of (|gradient of the distance| - 1)^2 over all points (Gropp et al. 2020)."""
    return (gradient.norm(dim=-1) - 1.0).square().mean()


def minimal_surface_loss(sdf: Float[Tensor, "*points"], beta: float) -> Float[Tensor, ""]:
    """Mean of exp(-beta * |sdf|): few points lie near the zero level (Or-El et al. 2022, equation 11)."""
    return torch.exp(-beta * sdf.abs()).mean()


def anchor_loss(front: Float[Tensor, "*points"], centre: Float[Tensor, "*others"], margin: float) -> Float[Tensor, ""]:
    """Mean distance by which points in front are not `margin` outside, and points at the centre not `margin` inside.

    `front`, `centre`: signed distances there. Not of the paper.
    """
    return (margin - front).relu().mean() + (centre + margin).relu().mean()


class PathLength(NamedTuple):
    """The path-length penalty of a batch."""

    penalty: Float[Tensor, ""]
    """Mean squared difference of the lengths from their running mean."""

    mean: Float[Tensor, ""]
    """The running mean after this batch, detached."""

    lengths: Float[Tensor, " B"]
    """Length of each item."""


def path_length(
    images: Float[Tensor, "B C H W"],
    codes: Float[Tensor, "B L D"],
    noise: Float[Tensor, "B C H W"],
    mean: Float[Tensor, ""],
    decay: float = 0.01,
) -> PathLength:
    """How far pictures move when their codes do (Karras et al. 2020, section 3.2).

    `noise` is standard normal; `images` must come from `codes` with graph; `mean` is the running mean before.
    """
    pixels = images.shape[2] * images.shape[3]
    (gradient,) = torch.autograd.grad((images * noise).sum() / pixels**0.5, codes, create_graph=True)
    lengths = gradient.square().sum(dim=2).mean(dim=1).sqrt()
    mean = mean + decay * (lengths.mean() - mean)
    return PathLength((lengths - mean).square().mean(), mean.detach(), lengths)
