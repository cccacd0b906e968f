"""Where a density field holds matter: a cubic grid of running densities, so that marching skips empty space.

The grid covers the box [-1, 1]^3 with G cells along each axis, x slowest. A cell that no camera sees holds -1 and stays
empty (Müller et al. 2022, "Instant neural graphics primitives", appendix C).

Dimension letters: G cells along an axis, N chosen cells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import max_pool3d

from framework.geometry.camera import Camera

Query = Callable[[Tensor], Tensor]
"""Points (P, 3) -> densities (P,)."""
UNSEEN = -1.0
COARSE = 4
"""Cells along each axis of a coarse cell, in which empty space is found first."""
CHUNK = 2**18
"""Points asked at once."""


@dataclass(frozen=True, eq=False)
class OccupancyGrid:
    """Densities and which cells count as full. Functions return new grids."""

    density: Tensor
    """(G, G, G) float32 running density, -1 in cells that stay empty."""

    occupied: Tensor
    """(G, G, G) bool."""

    def __post_init__(self) -> None:
        shape = tuple(self.density.shape)
        if len(shape) != 3 or len(set(shape)) != 1 or shape[0] < 1 or tuple(self.occupied.shape) != shape:
            raise ValueError(
                f"OccupancyGrid: density {shape} and occupied {tuple(self.occupied.shape)}, expected (G, G, G) twice"
            )
        if self.occupied.dtype != torch.bool or self.occupied.device != self.density.device:
            raise ValueError("OccupancyGrid: occupied must be bool on the device of density")

    @property
    def resolution(self) -> int:
        """Cells along each axis."""
        return len(self.density)

    @cached_property
    def coarse(self) -> Tensor:
        """(ceil(G / COARSE),) * 3 float: 1 where one of COARSE^3 cells is full."""
        size = -(-self.resolution // COARSE)
        whole = self.occupied.new_zeros((size * COARSE,) * 3)
        whole[: self.resolution, : self.resolution, : self.resolution] = self.occupied
        return whole.view(size, COARSE, size, COARSE, size, COARSE).any(5).any(3).any(1).float()

    def full_within(self, reach: int) -> Tensor:
        """(ceil(G / COARSE),) * 3 bool: coarse cells with a full cell in them or in one of the next `reach`."""
        reach = min(reach, len(self.coarse))
        near = max_pool3d(self.coarse[None, None], 2 * reach + 1, stride=1, padding=reach)
        return near[0, 0] > 0


def new_grid(resolution: int, device: torch.device | str = "cpu") -> OccupancyGrid:
    """A grid that knows nothing: no density, no cell full. ValueError below one cell."""
    if resolution < 1:
        raise ValueError(f"new_grid: resolution {resolution}, expected at least 1 cell")
    density = torch.zeros(resolution, resolution, resolution, device=device)
    return OccupancyGrid(density, density > 0)


def cell_centres(cells: Tensor, resolution: int) -> Tensor:
    """(N, 3) positions in [-1, 1]^3 of the centres of `cells` (N, 3), whole numbers."""
    return (2.0 * cells.float() + 1.0) / resolution - 1.0


def all_cells(grid: OccupancyGrid) -> Tensor:
    """(G^3, 3) every cell, x slowest."""
    axis = torch.arange(grid.resolution, device=grid.density.device)
    return torch.cartesian_prod(axis, axis, axis)


def chosen_cells(grid: OccupancyGrid, generator: torch.Generator | None = None) -> Tensor:
    """(N, 3) cells for a cheap update: a quarter of the grid at random and as many draws among cells with density.

    Each cell comes once, so N varies. A grid without any density gives the random quarter alone.
    """
    device, count = grid.density.device, grid.density.numel()
    draws = max(1, count // 4)
    anywhere = torch.randint(count, (draws,), generator=generator, device=device)
    dense = (grid.density.reshape(-1) > 0).nonzero()[:, 0]
    if len(dense):
        picks = torch.randint(len(dense), (draws,), generator=generator, device=device)
        anywhere = torch.cat([anywhere, dense[picks]])
    return torch.stack(torch.unravel_index(anywhere.unique(), grid.density.shape), dim=-1)


@torch.no_grad()
def updated(
    grid: OccupancyGrid,
    query: Query,
    noise: Tensor,
    cells: Tensor | None = None,
    decay: float = 0.95,
    most: float = 10.0,
) -> OccupancyGrid:
    """The grid after one look at the field in `cells` (N, 3), all if none are given.

    Each cell is asked at one place, `noise` (N, 3) in [0, 1) within it; its density becomes the larger of the answer
    and `decay` times the old one. A cell is full above the mean of all densities (unseen ones count as 0), or above
    `most` where that is smaller. ValueError where the query's answer or the noise has another shape, or holds NaN.
    """
    cells = all_cells(grid) if cells is None else cells
    if noise.shape != cells.shape:
        raise ValueError(f"updated: noise of shape {tuple(noise.shape)} for cells of shape {tuple(cells.shape)}")
    places = cell_centres(cells, grid.resolution) + (2.0 * noise - 1.0) / grid.resolution
    fresh = _asked(query, places)
    density, index = grid.density.clone(), tuple(cells.t())
    old = density[index]
    density[index] = torch.where(old >= 0, torch.maximum(old * decay, fresh), old)
    return _thresholded(density, most)


def mean_density(grid: OccupancyGrid) -> Tensor:
    """Mean over all cells, unseen ones as 0; a tensor without axes."""
    return grid.density.clamp(min=0).mean()


@torch.no_grad()
def with_unseen(grid: OccupancyGrid, cameras: Camera) -> OccupancyGrid:
    """The grid without cells that none of `cameras` (B) sees: those whose centre lies outside every picture.

    A centre one cell outside still counts as seen. Perspective cameras only (ValueError).
    """
    clip = cameras.clip_from_camera.reshape(-1, 4, 4)
    if not bool((clip[:, 3, 2] == -1).all() & (clip[:, 3, 3] == 0).all()):
        raise ValueError("with_unseen: expected perspective cameras")
    centres = cell_centres(all_cells(grid), grid.resolution)
    margin, seen = 2.0 / grid.resolution, torch.zeros(len(centres), dtype=torch.bool, device=centres.device)
    for pose, projection in zip(cameras.camera_from_world.reshape(-1, 4, 4), clip, strict=True):
        x, y, z = (centres @ pose[:3, :3].t() + pose[:3, 3]).unbind(-1)
        inside = -z > 0
        for axis, place in ((0, x), (1, y)):
            reach = projection[axis, axis]
            inside &= (reach * place + projection[axis, 2] * z).abs() < -z + margin * reach
        seen |= inside
    unseen = ~seen.view_as(grid.density)
    return replace(grid, density=grid.density.masked_fill(unseen, UNSEEN), occupied=grid.occupied & ~unseen)


def _asked(query: Query, places: Tensor) -> Tensor:
    answers = [query(part) for part in places.split(CHUNK)]
    fresh = torch.cat(answers).float() if answers else places[:, 0]
    if fresh.shape != places.shape[:1]:
        raise ValueError(f"updated: {len(places)} points gave densities of shape {tuple(fresh.shape)}, expected (P,)")
    if bool(fresh.isnan().any()):
        raise ValueError("updated: the field's density is NaN at some points, check its weights")
    return fresh


def _thresholded(density: Tensor, most: float) -> OccupancyGrid:
    threshold = density.clamp(min=0).mean().clamp(max=most)
    return OccupancyGrid(density, density > threshold)


def morton_codes(cells: Tensor) -> Tensor:
    """(...) int64 numbers whose bits are those of `cells` (..., 3) interleaved, x lowest; coordinates below 2^20."""
    code = torch.zeros_like(cells[..., 0], dtype=torch.int64)
    for bit in range(20):
        for axis in range(3):
            code |= ((cells[..., axis].long() >> bit) & 1) << (3 * bit + axis)
    return code


def in_morton_order(values: Tensor) -> Tensor:
    """(G^3,) the `values` (G, G, G) in Morton order, as trained files hold them. G must be a power of two."""
    return torch.empty_like(values).reshape(-1).index_copy_(0, _codes(values), values.reshape(-1))


def from_morton_order(values: Tensor) -> Tensor:
    """(G, G, G) from `values` (G^3,) in Morton order."""
    size = round(values.numel() ** (1 / 3))
    if size**3 != values.numel():
        raise ValueError(f"from_morton_order: {values.numel()} values are no cube")
    return values[_codes(values.reshape(size, size, size))].reshape(size, size, size)


def _codes(values: Tensor) -> Tensor:
    size = len(values)
    if values.shape != (size, size, size) or size & (size - 1):
        raise ValueError(f"Morton order needs a cube of 2^k cells, got shape {tuple(values.shape)}")
    axis = torch.arange(size, device=values.device)
    return morton_codes(torch.cartesian_prod(axis, axis, axis))


def packed_bits(occupied: Tensor) -> Tensor:
    """(G^3 / 8,) uint8, eight cells in Morton order to a byte, the first in the lowest bit."""
    bits = in_morton_order(occupied).view(-1, 8).to(torch.uint8)
    return (bits << torch.arange(8, dtype=torch.uint8, device=bits.device)).sum(dim=1).to(torch.uint8)


def unpacked_bits(packed: Tensor) -> Tensor:
    """(G, G, G) bool from `packed_bits`."""
    shifts = torch.arange(8, dtype=torch.uint8, device=packed.device)
    return from_morton_order(((packed[:, None] >> shifts) & 1).reshape(-1).bool())
