"""Views seen through affine maps.

B batch, K views, S side of a view.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample


def resampled(views: Float[Tensor, "B K 4 S S"], theta: Float[Tensor, "B K 2 3"]) -> Float[Tensor, "B K 4 S S"]:
    """RGBA views in [0, 1], straight alpha, with each pixel taken from where `theta` maps it.

    Coordinates run from -1 to 1 across the picture, as in torch's `affine_grid`; what lies outside is transparent.
    Colours are filtered premultiplied.
    """
    flat = views.flatten(0, 1)
    premultiplied = torch.cat([flat[:, :3] * flat[:, 3:], flat[:, 3:]], dim=1)
    grid = affine_grid(theta.flatten(0, 1), list(flat.shape), align_corners=False)
    moved = grid_sample(premultiplied, grid, align_corners=False)
    alpha = moved[:, 3:]
    return torch.cat([moved[:, :3] / alpha.clamp(min=1e-6), alpha], dim=1).reshape(views.shape)


def scaled(views: Float[Tensor, "B K 4 S S"], factors: Float[Tensor, "B K 2"]) -> Float[Tensor, "B K 4 S S"]:
    """Views enlarged about their centre by `factors`: across and down."""
    theta = torch.zeros(*views.shape[:2], 2, 3, device=views.device, dtype=views.dtype)
    theta[..., :2] = torch.diag_embed(1.0 / factors)
    return resampled(views, theta)
