"""Samples of rays in the full cells of an occupancy grid.

Every ray has a lattice of depths, t + step from wherever it begins, added up one by one in the rays' dtype. A lattice
point is a sample if it lies before the ray leaves the box [-1, 1]^3 and in a full cell. Skipping empty cells can't
change which points those are, so a masked lattice (here) and a walk from cell to cell (`warp_marching`) give the same
samples.

Dimension letters: R rays, L lattice points, P samples of all rays in a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from framework.optional import has
from framework.renderers.volume.occupancy_grid import COARSE, OccupancyGrid
from framework.renderers.volume.rays import Rays, Span, inside_box

LATTICE = 2**22
"""Lattice points held at once: about 10 bytes each, and 100 more for those in blocks near full cells."""
BLOCK = 16
"""Lattice points that are tested together first."""
Walk = Callable[[Rays, OccupancyGrid, Tensor, Tensor, Tensor, int], tuple[Tensor, Tensor]]
"""See `lattice_walk`."""


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
    walk: Walk | None = None,
) -> Marched:
    """Samples of `rays` (R, 3) in the full cells of `grid`, at most the first `most` of each ray.

    step: distance of lattice points in t. nearest: where rays begin to see. offset: (R,) in [0, 1), how many steps the
    lattice begins later (noise in training; none: 0). walk: who finds the samples (none: `lattice_walk`).
    No samples have invalid rays, those that miss the box, and those from so far away that a step is lost in rounding.
    ValueError for batched rays, another device than the grid's, a step or a number of samples that is not positive.
    """
    _check(rays, grid, step, most, offset)
    span = inside_box(rays, -1.0, 1.0, nearest)
    rays = rays.repaired()
    size = rays.origins.new_tensor(step)
    start = span.near if offset is None else span.near + offset * size
    start = torch.where(span.hit, start, 0.0)
    end = torch.where(span.hit & (span.far + size > span.far), span.far, -torch.inf)
    counts, depth = (walk or lattice_walk)(rays, grid, start, end, size, most)
    ray = torch.repeat_interleave(counts)
    first = counts.cumsum(0) - counts
    rank = torch.arange(len(ray), device=ray.device) - first[ray]
    return Marched(ray, rank, depth, counts, span, step)


def lattice_walk(
    rays: Rays, grid: OccupancyGrid, start: Tensor, end: Tensor, step: Tensor, most: int
) -> tuple[Tensor, Tensor]:
    """Samples of each ray (R,) int64 and their depths (P,), on every device and in every dtype of rays.

    `start` and `end` (R,) bound the lattice (an end below the start: no samples), `step` has no axes; see `march`.
    """
    if not rays.count:
        return start.new_zeros(0, dtype=torch.int64), start
    rows = max(1, LATTICE // _longest(start, end, float(step)))
    slices = [slice(first, first + rows) for first in range(0, rays.count, rows)]
    parts = [_masked_lattice(rays.part(rows), grid, start[rows], end[rows], step, most) for rows in slices]
    return torch.cat([counts for counts, _ in parts]), torch.cat([depths for _, depths in parts])


def fastest_walk() -> Walk:
    """The walk as a compiled kernel where the extra 'warp' is installed (float32 rays only), else `lattice_walk`."""
    if not has("warp", attribute="kernel"):
        return lattice_walk
    from framework.renderers.volume.warp_marching import walk

    return walk


def _masked_lattice(
    rays: Rays, grid: OccupancyGrid, start: Tensor, end: Tensor, step: Tensor, most: int
) -> tuple[Tensor, Tensor]:
    """Samples of each ray (R,) and their depths (P,), from the lattice points in full cells."""
    depths = _lattice(start, end, step)
    ray, block = _busy_blocks(rays, grid, depths, end, float(step)).nonzero(as_tuple=True)
    depth = depths[ray, block]
    points = rays.origins[ray][:, None] + depth[..., None] * rays.directions[ray][:, None]
    full = (depth < end[ray][:, None]) & _is_full(grid, points)
    depth, ray = depth[full], ray.repeat_interleave(full.sum(dim=1))
    counts = torch.bincount(ray, minlength=len(start))
    if int(counts.max()) > most:
        rank = torch.arange(len(ray), device=ray.device) - (counts.cumsum(0) - counts)[ray]
        depth, counts = depth[rank < most], counts.clamp(max=most)
    return counts, depth


def _lattice(start: Tensor, end: Tensor, step: Tensor) -> Tensor:
    """(R, L / BLOCK, BLOCK) depths from `start` on, past the end of every ray."""
    rows = [start]
    for _ in range(_longest(start, end, float(step)) - 1):
        rows.append(rows[-1] + step)
    return torch.stack(rows, dim=-1).unflatten(-1, (-1, BLOCK))


def _longest(start: Tensor, end: Tensor, step: float) -> int:
    """Lattice points that every ray gets, in whole blocks: enough even if every step is rounded down.

    A step that is not lost altogether loses at most a third to rounding.
    """
    lost = min(0.34, 0.5 * torch.finfo(end.dtype).eps * max(0.0, float(end.max())) / step)
    needed = int((end - start).max().clamp(min=0) / step / (1.0 - lost)) + 3
    return -(-needed // BLOCK) * BLOCK


def _busy_blocks(rays: Rays, grid: OccupancyGrid, depths: Tensor, end: Tensor, step: float) -> Tensor:
    """(R, L / BLOCK) bool: blocks of lattice points of which one may lie in a full cell.

    A block reaches from its middle so many coarse cells far that none of the others matters.
    """
    middle = depths[..., BLOCK // 2]
    distance = BLOCK // 2 * step * float(rays.directions.abs().max())
    rounding = 4e-6 * (1.0 + float(rays.origins.abs().max()))
    near = grid.full_within(int((distance + rounding) * 0.5 * grid.resolution / COARSE) + 1)
    points = rays.origins[:, None] + middle[..., None] * rays.directions[:, None]
    cell = _cells(points, grid.resolution) // COARSE
    return (depths[..., 0] < end[:, None]) & near[cell.unbind(-1)]


def _is_full(grid: OccupancyGrid, points: Tensor) -> Tensor:
    """(...) whether the cells of `points` (..., 3), clamped into the box, are full."""
    x, y, z = _cells(points, grid.resolution).unbind(-1)
    return grid.occupied.reshape(-1)[(x * grid.resolution + y) * grid.resolution + z]


def _cells(points: Tensor, resolution: int) -> Tensor:
    """(..., 3) cells of points, clamped into the box."""
    return (0.5 * (points + 1.0) * resolution).long().clamp_(0, resolution - 1)


def _check(rays: Rays, grid: OccupancyGrid, step: float, most: int, offset: Tensor | None) -> None:
    if rays.origins.ndim != 2:
        raise ValueError(f"march: rays of shape {tuple(rays.origins.shape)}, expected (R, 3) for one grid")
    if rays.origins.device != grid.occupied.device:
        raise ValueError(f"march: rays on {rays.origins.device}, the grid on {grid.occupied.device}. Move one of them")
    if not step > 0 or most < 1:
        raise ValueError(f"march: step {step} and most {most} must be positive")
    if offset is not None and (offset.shape, offset.dtype) != (rays.origins.shape[:1], rays.origins.dtype):
        raise ValueError(
            f"march: offset is {offset.dtype} of shape {tuple(offset.shape)}, expected {rays.origins.dtype} of shape "
            f"({rays.count},), one for each ray"
        )
