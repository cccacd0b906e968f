"""Where to sample along rays: evenly, jittered, or where a first look found something.

Random numbers are arguments: the caller draws them for all rays at once, so that results do not depend on chunks.

Dimension letters: ... batch axes and rays, S samples, N new samples, K weights.
"""

from __future__ import annotations

import torch
from torch import Tensor

from framework.renderers.volume.rays import Span


def evenly(span: Span, count: int, ends: bool = True) -> Tensor:
    """(..., count) depths from near to far, both included (`ends`), or the starts of `count` equal parts.

    Missed rays get zeros. ValueError for a count below 1, or below 2 with both ends.
    """
    if count < 1 + ends:
        raise ValueError(f"evenly: {count} samples, expected at least {1 + ends}")
    position = torch.linspace(0.0, 1.0 if ends else 1.0 - 1.0 / count, count, dtype=span.near.dtype)
    position = position.to(span.near.device)
    near, far = (torch.where(span.hit, end, 0.0)[..., None] for end in (span.near, span.far))
    return near * (1.0 - position) + far * position


def shifted(depths: Tensor, noise: Tensor, end: Tensor) -> Tensor:
    """Each depth (..., S) moved by the share `noise` in [0, 1) of the gap to the next; `end` (...) follows the last.

    noise (..., 1) moves the samples of a ray together, (..., S) each by its own.
    """
    following = torch.cat([depths[..., 1:], end[..., None]], dim=-1)
    return depths + (following - depths) * noise


def stratified(depths: Tensor, noise: Tensor) -> Tensor:
    """One sample in each cell around the depths (..., S): cells end half-way between neighbours; noise (..., S)."""
    middles = halfway(depths)
    low = torch.cat([depths[..., :1], middles], dim=-1)
    high = torch.cat([middles, depths[..., -1:]], dim=-1)
    return low + (high - low) * noise


def halfway(depths: Tensor) -> Tensor:
    """(..., S - 1) means of neighbours."""
    return 0.5 * (depths[..., 1:] + depths[..., :-1])


def gaps(depths: Tensor, last: float | Tensor) -> Tensor:
    """(..., S) distances to the next depth; `last` (a number, or (...)) follows the last."""
    final = torch.as_tensor(last, dtype=depths.dtype, device=depths.device).expand(depths.shape[:-1])
    return torch.cat([depths.diff(dim=-1), final[..., None]], dim=-1)


def regular_shares(like: Tensor, count: int) -> Tensor:
    """(..., count) the middles of `count` equal parts of [0, 1], for `like` (...): what to give instead of noise."""
    middles = (torch.arange(count, dtype=like.dtype, device=like.device) + 0.5) / count
    return middles.expand(*like.shape, count)


def by_importance(edges: Tensor, weights: Tensor, shares: Tensor, floor: float = 1e-5) -> Tensor:
    """(..., N) depths distributed like `weights` (..., K) over the bins between `edges` (..., K + 1).

    Inverse of the piecewise linear distribution function at `shares` (..., N) in [0, 1); `floor` is added to every
    weight, so that rays without weight are sampled evenly. Not differentiable (Mildenhall et al. 2020, section 5.2).
    """
    edges, weights = edges.detach(), weights.detach() + floor
    share = weights.cumsum(dim=-1) / weights.sum(dim=-1, keepdim=True)
    share = torch.cat([torch.zeros_like(share[..., :1]), share], dim=-1)
    after = torch.searchsorted(share, shares.contiguous(), right=True)
    above = after.clamp(max=share.shape[-1] - 1)
    below = (after - 1).clamp(min=0)
    low, high = (share.gather(-1, index) for index in (below, above))
    first, second = (edges.gather(-1, index) for index in (below, above))
    width = high - low
    inside = (shares - low) / torch.where(width < 1e-5, 1.0, width)
    return first + inside * (second - first)


def blurred(weights: Tensor, floor: float) -> Tensor:
    """Weights (..., S) widened to their neighbours, plus `floor` (Barron et al. 2021, "Mip-NeRF", equation 18)."""
    edge = torch.zeros_like(weights[..., :1])
    padded = torch.cat([edge, weights, edge], dim=-1)
    larger = torch.maximum(padded[..., 1:], padded[..., :-1])
    return halfway(larger) + floor
