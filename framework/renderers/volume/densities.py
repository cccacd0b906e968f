"""From what a network says to how much light a stretch of a ray stops.

Signed distances are negative inside; densities are not negative, per unit of length.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

LARGEST_EXPONENT = 60.0
"""exp(60) stops all light in any step and is finite in float32, unlike exp(89)."""


def sigmoid_density(sdf: Tensor, beta: float | Tensor) -> Tensor:
    """Logistic density sigmoid(-sdf / beta) / beta of a signed distance (Or-El et al. 2022, equation 3)."""
    return torch.sigmoid(-sdf / beta) / beta


def laplace_density(sdf: Tensor, beta: float | Tensor) -> Tensor:
    """Laplace density of scale `beta` of a signed distance (Yariv et al. 2021, equations 2 and 3, alpha = 1 / beta)."""
    tail = 0.5 * torch.exp(-sdf.abs() / beta)
    return torch.where(sdf > 0, tail, 1.0 - tail) / beta


def shifted_softplus(raw: Tensor, shift: float = 0.0) -> Tensor:
    """softplus(raw + shift): a density from any number."""
    return softplus(raw + shift)


def truncated_exp(raw: Tensor, limit: float = 15.0) -> Tensor:
    """exp(raw) whose gradient uses `raw` clamped to [-limit, limit], so that it neither vanishes nor explodes.

    Values above `LARGEST_EXPONENT` give exp of that. In half precision the exponential is taken in float32.
    """
    return _TruncatedExp.apply(raw.float() if raw.dtype in (torch.float16, torch.bfloat16) else raw, limit)


class _TruncatedExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, raw: Tensor, limit: float) -> Tensor:
        ctx.save_for_backward(raw)
        ctx.limit = limit
        return raw.clamp(max=LARGEST_EXPONENT).exp()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (raw,) = ctx.saved_tensors
        return gradients[0] * raw.clamp(-ctx.limit, ctx.limit).exp(), None


def density_opacity(density: Tensor, lengths: Tensor) -> Tensor:
    """Share of light 1 - exp(-density * length) that a stretch of constant density stops."""
    return -torch.expm1(-density * lengths)


def neus_opacity(sdf: Tensor, sharpness: float | Tensor) -> Tensor:
    """(..., S - 1) share of light stopped between samples of a signed distance (..., S) (Wang et al. 2021, eq. 13).

    max(0, 1 - F(next) / F(this)) with F the logistic function of sharpness * sdf: nothing stops where a ray leaves.
    """
    # log F(x) = -softplus(-x) keeps the quotient finite deep inside, where both values are zero in float32.
    log_open = -softplus(-sdf * sharpness)
    return -torch.expm1((log_open[..., 1:] - log_open[..., :-1]).clamp(max=0.0))
