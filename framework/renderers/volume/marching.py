"""Samples of rays in the full cells of an occupancy grid.

Every ray has a lattice of depths, t + step from wherever it begins, added up one by one in the rays' dtype. A lattice
point is a sample if it lies before the ray leaves the box [-1, 1]^3 and in a full cell. Skipping empty cells can't
change which points those are, so a masked lattice and a walk from cell to cell give the same samples.

Dimension letters: R rays, L lattice points, P samples of all rays in a row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from framework.renderers.volume.occupancy_grid import OccupancyGrid
from framework.renderers.volume.rays import Rays, Span, inside_box

LATTICE = 2**22
"""Lattice points held at once: about 100 bytes each."""


def diagonal_step(steps: int) -> float:
    """The step that crosses the box from corner to corner in `steps` steps."""
    return 2.0 * math.sqrt(3.0) / steps


@dataclass(frozen=True, eq=False)
class Marched:
    """Samples sorted by ray and depth; none of them carries gradients."""

    ray: Tensor
    """(P,) int64 row of the ray."""

    rank: Tensor
    """(P,) int64 place among the samples of its ray."""

    depth: Tensor
    """(P,) t at the start of the stretch that the sample stands for."""

    counts: Tensor
    """(R,) int64 samples of each ray."""

    span: Span
    """The part of each ray inside the box."""

    step: float
    """Length of a stretch in t."""

    def points(self, rays: Rays) -> Tensor:
        """(P, 3) positions, on the box where rounding leaves it."""
        place = rays.origins[self.ray] + self.depth[:, None] * rays.directions[self.ray]
        return place.clamp(-1.0, 1.0)


@torch.no_grad()
def march(
    rays: Rays,
    grid: OccupancyGrid,
    step: float,
    most: int,
    nearest: float = 0.0,
    offset: Tensor | None = None,
) -> Marched:
    """Samples of `rays` (R, 3) in the full cells of `grid`, at most the first `most` of each ray.

    step: distance of lattice points in t. nearest: where rays begin to see. offset: (R,) in [0, 1), how many steps the
    lattice begins later (noise in training; none: 0). Invalid rays and rays that miss the box have no samples.
    ValueError for batched rays, another device than the grid's, a step or a number of samples that is not positive.
    """
    _check(rays, grid, step, most, offset)
    span = inside_box(rays, -1.0, 1.0, nearest)
    size = rays.origins.new_tensor(step)
    start = span.near if offset is None else span.near + offset * size
    start = torch.where(span.hit, start, 0.0)
    end = torch.where(span.hit, span.far, -torch.inf)
    parts = [
        _masked_lattice(rays.part(rows), grid, start[rows], end[rows], size, most) for rows in _slices(start, end, step)
    ]
    counts = torch.cat([count for count, _ in parts]) if parts else start.new_zeros(0, dtype=torch.int64)
    depth = torch.cat([depths for _, depths in parts]) if parts else start
    ray = torch.repeat_interleave(counts)
    first = counts.cumsum(0) - counts
    rank = torch.arange(len(ray), device=ray.device) - first[ray]
    return Marched(ray, rank, depth, counts, span, step)


def _slices(start: Tensor, end: Tensor, step: float) -> list[slice]:
    """Rows of rays whose lattices fit into memory together."""
    rows = max(1, LATTICE // _longest(start, end, step)) if len(start) else 1
    return [slice(first, first + rows) for first in range(0, len(start), rows)]


def _masked_lattice(
    rays: Rays, grid: OccupancyGrid, start: Tensor, end: Tensor, step: Tensor, most: int
) -> tuple[Tensor, Tensor]:
    """Samples of each ray (R,) and their depths (P,), from the lattice points in full cells."""
    depths = _lattice(start, end, step)
    wanted = depths < end
    ray, column = wanted.t().nonzero(as_tuple=True)
    depth = depths[column, ray]
    full = _is_full(grid, rays.origins[ray] + depth[:, None] * rays.directions[ray])
    ray, depth = ray[full], depth[full]
    counts = torch.bincount(ray, minlength=len(start))
    if int(counts.max()) > most:
        rank = torch.arange(len(ray), device=ray.device) - (counts.cumsum(0) - counts)[ray]
        depth, counts = depth[rank < most], counts.clamp(max=most)
    return counts, depth


def _lattice(start: Tensor, end: Tensor, step: Tensor) -> Tensor:
    """(L, R) depths from `start` on, past the end of every ray."""
    rows = [start]
    for _ in range(_longest(start, end, float(step)) - 1):
        rows.append(rows[-1] + step)
    return torch.stack(rows)


def _longest(start: Tensor, end: Tensor, step: float) -> int:
    """Lattice points that every ray gets: a hundredth more than the division says, for steps that round down."""
    return int((end - start).max().clamp(min=0) / step * 1.01) + 3


def _is_full(grid: OccupancyGrid, points: Tensor) -> Tensor:
    """(P,) whether the cells of `points` (P, 3), clamped into the box, are full."""
    size = grid.resolution
    cell = (0.5 * (points.clamp(-1.0, 1.0) + 1.0) * size).clamp(0, size - 1).long()
    return grid.occupied.reshape(-1)[(cell[:, 0] * size + cell[:, 1]) * size + cell[:, 2]]


def _check(rays: Rays, grid: OccupancyGrid, step: float, most: int, offset: Tensor | None) -> None:
    if rays.origins.ndim != 2:
        raise ValueError(f"march: rays of shape {tuple(rays.origins.shape)}, expected (R, 3) for one grid")
    if rays.origins.device != grid.occupied.device:
        raise ValueError(f"march: rays on {rays.origins.device}, the grid on {grid.occupied.device}. Move one of them")
    if not step > 0 or most < 1:
        raise ValueError(f"march: step {step} and most {most} must be positive")
    if offset is not None and offset.shape != rays.origins.shape[:1]:
        raise ValueError(f"march: offset of shape {tuple(offset.shape)} for {rays.count} rays")
