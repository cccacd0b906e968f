"""Rays, and where along them to look: between two distances, or inside a box.

A ray is origin + t * direction. Directions need not have length one: t counts in their length, so that depths along an
optical axis are t of directions whose component along it is one.

Dimension letters: ... any batch axes, R rays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from framework.geometry.camera import Camera


@dataclass(frozen=True, eq=False)
class Rays:
    """Rays of one dtype (float32 or float64) on one device; ValueError for anything else.

    A ray with NaN, infinity or a direction of length zero is no error: it hits nothing (see `valid`).
    """

    origins: Tensor
    """(..., R, 3) starting points."""

    directions: Tensor
    """(..., R, 3) of any length but zero."""

    views: Tensor | None = None
    """(..., R, 3) unit directions that the field is told; none: `directions` at length one."""

    def __post_init__(self) -> None:
        origins = self.origins
        if origins.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"rays.origins are {origins.dtype}, expected float32 or float64. Cast them first")
        if origins.ndim < 2 or origins.shape[-1] != 3:
            raise ValueError(f"rays.origins have shape {tuple(origins.shape)}, expected (..., rays, 3)")
        for name, other in (("directions", self.directions), ("views", self.views)):
            if other is not None:
                _check_like(name, other, origins)

    @property
    def count(self) -> int:
        """Rays along the last axis."""
        return self.origins.shape[-2]

    @property
    def valid(self) -> Tensor:
        """(..., R) bool: finite throughout, and with a direction."""
        finite = self.origins.isfinite() & self.directions.isfinite()
        if self.views is not None:
            finite = finite & self.views.isfinite()
        return finite.all(dim=-1) & (self.directions != 0).any(dim=-1)

    @property
    def view_directions(self) -> Tensor:
        """(..., R, 3) what the field is told."""
        return normalize(self.directions, dim=-1) if self.views is None else self.views

    def at(self, depths: Tensor) -> Tensor:
        """(..., R, S, 3) points at `depths` (..., R, S)."""
        return self.origins[..., None, :] + depths[..., None] * self.directions[..., None, :]

    def part(self, rows: slice) -> Rays:
        """The rays of `rows` along the last axis."""
        views = None if self.views is None else self.views[..., rows, :]
        return Rays(self.origins[..., rows, :], self.directions[..., rows, :], views)

    def repaired(self) -> Rays:
        """The same rays, invalid ones replaced by a harmless one, so that what is computed along them is finite."""
        valid = self.valid[..., None]
        forward = self.directions.new_tensor([0.0, 0.0, 1.0])
        origins, directions = torch.where(valid, self.origins, 0.0), torch.where(valid, self.directions, forward)
        return Rays(origins, directions, None if self.views is None else torch.where(valid, self.views, forward))


class Span(NamedTuple):
    """The part of each ray to look at."""

    near: Tensor
    """(..., R) t where it begins."""

    far: Tensor
    """(..., R) t where it ends."""

    hit: Tensor
    """(..., R) bool: there is something to look at. Where a ray's line misses, near and far are the dtype's largest
    number; where what it would hit lies behind its beginning, far is below near."""


def camera_rays(camera: Camera, height: int, width: int) -> Rays:
    """Rays (..., height * width, 3) through the pixel centres, row by row from the top, of unit length.

    ValueError for a picture without pixels.
    """
    if height < 1 or width < 1:
        raise ValueError(f"camera_rays: a picture of {height} x {width} pixels, expected at least 1 x 1")
    origins, directions = camera.rays(height, width)
    return Rays(origins.flatten(-3, -2), directions.flatten(-3, -2))


def between(rays: Rays, near: float | Tensor, far: float | Tensor) -> Span:
    """From `near` to `far` on every valid ray; numbers, or tensors that broadcast to (..., R)."""
    like = rays.origins[..., 0]
    ends = [torch.as_tensor(end, dtype=like.dtype, device=like.device).expand_as(like) for end in (near, far)]
    return _span(ends[0], ends[1], rays.valid)


@torch.no_grad()
def inside_box(rays: Rays, low: float | Sequence[float], high: float | Sequence[float], nearest: float = 0.0) -> Span:
    """The part of each ray inside the box from corner `low` to `high`, and beyond t = `nearest` (slab test).

    Rays that touch the box in a point only, or whose part lies before `nearest`, miss it. Carries no gradients: where
    rays move, samples move along with them. ValueError for a box without volume.
    """
    corners = [torch.as_tensor(corner).to(rays.origins).expand(3) for corner in (low, high)]
    if not bool((corners[0] < corners[1]).all()):
        raise ValueError(
            f"box from {corners[0].tolist()} to {corners[1].tolist()}: low must lie below high on each axis"
        )
    inverse = 1.0 / rays.directions
    first, second = ((corner - rays.origins) * inverse for corner in corners)
    # A ray inside a slab and parallel to it never leaves it; 0 * inf on its very border is NaN and counts as inside.
    enter = torch.minimum(first, second).nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
    leave = torch.maximum(first, second).nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)
    near, far = enter.amax(dim=-1), leave.amin(dim=-1)
    return _span(near.clamp(min=nearest), far, rays.valid & (near < far))


def _span(near: Tensor, far: Tensor, crossed: Tensor) -> Span:
    most = torch.finfo(near.dtype).max
    near, far = torch.where(crossed, near, most), torch.where(crossed, far, most)
    return Span(near, far, near < far)


def _check_like(name: str, other: Tensor, origins: Tensor) -> None:
    for what, found, wanted in (
        ("shape", tuple(other.shape), tuple(origins.shape)),
        ("dtype", other.dtype, origins.dtype),
        ("device", other.device, origins.device),
    ):
        if found != wanted:
            raise ValueError(f"rays.{name} have {what} {found}, expected {wanted} as rays.origins have")
