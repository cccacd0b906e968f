"""Fields sampled on regular grids: every point, or coarse to fine with queries only near the surface.

Grids have resolution + 1 points per axis over a box, ends included, x slowest (`ij` order).
Legend: N points per axis, P query points.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike
from torch import Tensor

from framework.geometry.isosurface import FieldError, box_corners

Query = Callable[[Float[Tensor, "P 3"]], Float[Tensor, " P"]]


class GridSamples(NamedTuple):
    """A sampled field and its price."""

    values: Float[np.ndarray, "N N N"]
    """float32 samples."""

    evaluations: int
    """Points at which the field was asked; N**3 for a dense grid."""


def grid_axes(resolution: int, bounds: ArrayLike) -> list[Float[np.ndarray, " N"]]:
    """The float32 x, y and z coordinates of the grid points; `bounds` as in `isosurface.box_corners`."""
    low, high = box_corners(bounds)
    return [np.linspace(a, b, resolution + 1, dtype=np.float32) for a, b in zip(low, high, strict=True)]


def evaluate_grid(
    query: Query,
    resolution: int,
    bounds: ArrayLike,
    method: Literal["coarse_to_fine", "dense"] = "coarse_to_fine",
    level: float = 0.0,
    coarse: int = 32,
    chunk: int = 65536,
    device: torch.device | str = "cpu",
    slope: float | None = None,
) -> GridSamples:
    """Sample `query` (world points (P, 3) float32 on `device` -> values (P,)), `chunk` points at a time, no gradients.

    "coarse_to_fine" starts from a grid of `resolution / 2^k` intervals, the smallest such number that is whole and at
    least `coarse` (so small or odd resolutions are dense), and doubles it k times. The first doubling asks the cells
    within one coarse cell of a crossing of `level`, the others the crossed ones; each then follows the surface until
    every cell that it crosses has been asked at all corners. Elsewhere points carry a value of their coarse cell, which
    has the right side of the level only. The surface therefore equals the dense one, except that parts which no coarse
    cell corner notices (thinner than a coarse cell, or hollows as small) and which touch no noticed part are missed;
    raise `coarse` or use "dense" for those.

    With `slope` every doubling instead asks the cells with a corner whose value lies within `slope` times their
    diagonal of `level`. Fields that change by no more than that per unit of length, such as signed distances (1; what
    networks learn of them: about 2), lose no part then, be it ever so thin; for some more questions.

    Raises FieldError when the query returns NaN, infinity or the wrong shape.
    """
    if resolution < 1 or chunk < 1 or coarse < 1:
        raise ValueError(
            f"evaluate_grid: resolution {resolution}, coarse {coarse} and chunk {chunk} must be at least 1"
        )
    if slope is not None and slope <= 0:
        raise ValueError(f"evaluate_grid: slope is {slope}, expected more than 0, or None")
    sampler = _Sampler(query, grid_axes(resolution, bounds), chunk, torch.device(device))
    stride = 1 if method == "dense" else _coarsest_stride(resolution, coarse)
    values = first = sampler.full(stride)
    known = np.ones(values.shape, dtype=bool)
    low, high = box_corners(bounds)
    finest = float(np.linalg.norm(high - low)) / resolution
    while stride > 1:
        reach = None if slope is None else slope * stride * finest
        near = _near_cells(values, level, reach, margin=values is first)
        stride //= 2
        values, known = _refine(sampler, values, known, level, stride, near)
    return GridSamples(values, sampler.evaluations)


class _Sampler:
    """Asks the field at grid points given by their indices and counts."""

    def __init__(self, query: Query, axes: list[np.ndarray], chunk: int, device: torch.device) -> None:
        self.query, self.axes, self.chunk, self.device = query, axes, chunk, device
        self.evaluations = 0

    def full(self, stride: int) -> Float[np.ndarray, "N N N"]:
        """Values at every `stride`-th point of each axis."""
        shape = tuple(len(axis[::stride]) for axis in self.axes)
        return self._ask(np.arange(np.prod(shape)), shape, stride).reshape(shape)

    def fill(self, values: np.ndarray, known: np.ndarray, wanted: Bool[np.ndarray, "N N N"], stride: int) -> None:
        """Ask the `wanted` points of the grid of every `stride`-th point and mark them known, in place."""
        values[wanted] = self._ask(np.flatnonzero(wanted), values.shape, stride)
        known |= wanted

    def _ask(self, indices: Int[np.ndarray, " P"], shape: tuple[int, ...], stride: int) -> Float[np.ndarray, " P"]:
        answers = np.empty(len(indices), dtype=np.float32)
        for start in range(0, len(indices), self.chunk):
            part = np.unravel_index(indices[start : start + self.chunk], shape)
            points = np.stack([axis[i * stride] for axis, i in zip(self.axes, part, strict=True)], axis=-1)
            answers[start : start + self.chunk] = self._values(torch.from_numpy(points))
        self.evaluations += len(indices)
        return answers

    def _values(self, points: Float[Tensor, "P 3"]) -> Float[np.ndarray, " P"]:
        with torch.no_grad():
            answer = self.query(points.to(self.device))
        if answer.shape != points.shape[:1]:
            raise FieldError(f"field: {len(points)} points gave values of shape {tuple(answer.shape)}, expected (P,)")
        values = answer.float().cpu().numpy()
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            where = ", ".join(f"{x:.3f}" for x in points[bad[0]].tolist())
            raise FieldError(f"field: {len(bad)} of {len(values)} values are NaN or infinite, the first at ({where})")
        return values


def _coarsest_stride(resolution: int, coarse: int) -> int:
    stride = 1
    while resolution % (2 * stride) == 0 and resolution // (2 * stride) >= coarse:
        stride *= 2
    return stride


def _near_cells(values: np.ndarray, level: float, reach: float | None, margin: bool) -> Bool[np.ndarray, "M M M"]:
    """Cells to ask at: crossed ones, with `margin` their neighbours, with `reach` cells with a value so near `level`.

    A value that was filled in comes from a cell twice as large that was too far away: it is too far here as well.
    """
    crossed = _crossed_cells(values > level)
    if reach is not None:
        return crossed | _cells_with(np.abs(values - level) <= reach)
    return _dilated(crossed) if margin else crossed


def _refine(
    sampler: _Sampler,
    values: np.ndarray,
    known: np.ndarray,
    level: float,
    stride: int,
    cells: Bool[np.ndarray, "M M M"],
) -> tuple[Float[np.ndarray, "N N N"], Bool[np.ndarray, "N N N"]]:
    """The next finer grid from `values` and from which of them were asked (`known`) rather than filled in.

    Asks in `cells`, and where the surface then leads to.
    """
    near = _corners_of(_doubled(cells))
    # Index i // 2 is a corner of the coarse cell that holds i: where no crossing is near, any corner's side is right.
    fine = _doubled(values)[:-1, :-1, :-1]
    asked = np.zeros(fine.shape, dtype=bool)
    asked[::2, ::2, ::2] = known
    wanted = near & ~asked
    while wanted.any():
        sampler.fill(fine, asked, wanted, stride)
        wanted = _corners_of(_crossed_cells(fine > level)) & ~asked
    return fine, asked


def _crossed_cells(above: Bool[np.ndarray, "N N N"]) -> Bool[np.ndarray, "M M M"]:
    """Cells (M = N - 1) whose eight corners are not all on the same side."""
    some, every = above, above
    for axis in range(3):
        head, tail = _slices(axis, slice(1, None)), _slices(axis, slice(None, -1))
        some, every = some[head] | some[tail], every[head] & every[tail]
    return some & ~every


def _cells_with(points: Bool[np.ndarray, "N N N"]) -> Bool[np.ndarray, "M M M"]:
    """Cells (M = N - 1) with a corner in `points`."""
    for axis in range(3):
        points = points[_slices(axis, slice(1, None))] | points[_slices(axis, slice(None, -1))]
    return points


def _corners_of(cells: Bool[np.ndarray, "M M M"]) -> Bool[np.ndarray, "N N N"]:
    """Points (N = M + 1) that are a corner of a cell in `cells`."""
    for axis in range(3):
        grown = np.zeros([n + (i == axis) for i, n in enumerate(cells.shape)], dtype=bool)
        grown[_slices(axis, slice(None, -1))] = cells
        grown[_slices(axis, slice(1, None))] |= cells
        cells = grown
    return cells


def _dilated(cells: Bool[np.ndarray, "M M M"]) -> Bool[np.ndarray, "M M M"]:
    """Cells in `cells` and their 26 neighbours."""
    for axis in range(3):
        grown = cells.copy()
        grown[_slices(axis, slice(1, None))] |= cells[_slices(axis, slice(None, -1))]
        grown[_slices(axis, slice(None, -1))] |= cells[_slices(axis, slice(1, None))]
        cells = grown
    return cells


def _doubled(array: np.ndarray) -> np.ndarray:
    """Each entry repeated twice along every axis."""
    for axis in range(3):
        array = array.repeat(2, axis=axis)
    return array


def _slices(axis: int, part: slice) -> tuple[slice, ...]:
    """`part` along `axis`, everything along the others."""
    return tuple(part if i == axis else slice(None) for i in range(3))
