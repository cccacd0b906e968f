"""Sets of views as tensors: where and how large the object appears in them, and in which colours.

B batch, K views, S side of a view.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from framework.data.view_resampling import resampled, scaled
from framework.systems.draws import Draws


def refitted(views: Float[Tensor, "B K 4 S S"], fill: float) -> Float[Tensor, "B K 4 S S"]:
    """Scale RGBA views about their centre so that the object's longest side is `fill` of the picture.

    All views of an item get the same factor, from the view in which the object is largest, as the matting stage does
    with a user's pictures. Colours are filtered premultiplied, and an empty item stays as it is.
    """
    longest = torch.maximum(_extent(views, dim=-1), _extent(views, dim=-2))
    factor = torch.where(longest > 0, fill * views.shape[-1] / longest, torch.ones_like(longest))
    return scaled(views, factor.to(views.dtype).view(-1, 1, 1).expand(-1, views.shape[1], 2))


def jittered(views: Float[Tensor, "B K 4 S S"], amount: float, draws: Draws) -> Float[Tensor, "B K 4 S S"]:
    """Move and scale each RGBA view by its own random share, up to `amount` of its side and of its size.

    Too little to change what the picture shows, enough that its pixels cannot be learned by heart.
    """
    shares = 2.0 * draws.uniform(views.shape[1], 3).to(views) - 1.0
    theta = torch.zeros(*views.shape[:2], 2, 3, device=views.device, dtype=views.dtype)
    theta[..., 0, 0] = theta[..., 1, 1] = 1.0 + amount * shares[..., 0]
    theta[..., 2] = 2.0 * amount * shares[..., 1:]
    return resampled(views, theta)


def recolored(views: Float[Tensor, "B K 4 S S"], strength: float, draws: Draws) -> Float[Tensor, "B K 4 S S"]:
    """Change the colours of RGBA views, of all views of an item alike: the shape must not be guessed from its paint.

    Channels change places, and each is scaled by a factor drawn from 1 - strength to 1 + strength (at most to 1.0).
    """
    order = draws.uniform(3).to(views.device).argsort(dim=1)
    colours = views[:, :, :3].gather(2, order[:, None, :, None, None].expand(-1, views.shape[1], -1, *views.shape[3:]))
    gain = 1.0 + strength * (2.0 * draws.uniform(1, 3, 1, 1).to(views) - 1.0)
    return torch.cat([(colours * gain).clamp(max=1.0), views[:, :, 3:]], dim=2)


def _extent(views: Tensor, dim: int) -> Float[Tensor, " B"]:
    """Side in pixels of the centred box that holds the object in all views, along the axis that `dim` leaves."""
    seen = (views[:, :, 3] > 0.5).any(dim=dim).any(dim=1)
    side = views.shape[-1]
    offsets = (torch.arange(side, device=views.device) - (side - 1) / 2).abs() + 0.5
    return 2.0 * (seen * offsets).amax(dim=-1)
