"""Which edges a mesh has, and which faces lie on them.

Dimension letters: V vertices, F faces, E edges, C columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from framework.geometry.mesh import MeshError


@dataclass(frozen=True, eq=False)
class Edges:
    """The edges of some faces, in order of their vertices."""

    low: Tensor
    """(E,) int64 vertex at one end."""

    high: Tensor
    """(E,) int64 vertex at the other end, a higher number."""

    of_face: Tensor
    """(F, 3) int64 edges between the corners 0-1, 1-2 and 2-0 of each face."""

    def lengths(self, positions: Tensor) -> Tensor:
        """(E,) lengths for vertices at `positions` (V, 3)."""
        return (positions.index_select(0, self.low) - positions.index_select(0, self.high)).norm(dim=1)

    def means(self, values: Tensor) -> Tensor:
        """(E, ...) means over both ends of `values` (V, ...)."""
        return (values.index_select(0, self.low) + values.index_select(0, self.high)) / 2

    def degrees(self, vertices: int) -> Tensor:
        """(V,) int64 number of edges at each vertex."""
        return torch.bincount(self.low, minlength=vertices) + torch.bincount(self.high, minlength=vertices)


def edges_of(faces: Tensor, vertices: int) -> Edges:
    """The edges of `faces` (F, 3) of a mesh with so many vertices."""
    corner, following = faces.reshape(-1), faces.roll(-1, 1).view(-1)
    key = torch.minimum(corner, following) * vertices + torch.maximum(corner, following)
    unique, of_side = key.unique(return_inverse=True)
    return Edges(unique // max(vertices, 1), unique % max(vertices, 1), of_side.view(-1, 3))


def sides_of_edges(faces: Tensor, edges: Edges) -> tuple[Tensor, Tensor]:
    """For each edge the side (E, 2) that runs along it from the lower to the higher vertex and the one that runs back,
    as 3 * face + first corner, -1 where there is none; and how many sides (E, 2) run either way.

    A manifold has at most one each way.
    """
    backward = faces > faces.roll(-1, 1)
    place = (edges.of_face * 2 + backward).view(-1)
    sides = place.new_full((2 * len(edges.low),), -1)
    sides.scatter_reduce_(0, place, torch.arange(len(place), device=place.device), "amax")
    return sides.view(-1, 2), torch.bincount(place, minlength=len(sides)).view(-1, 2)


def neighbour_means(values: Tensor, edges: Edges) -> Tensor:
    """(V, C) mean of `values` (V, C) over the vertices at the other ends of each vertex's edges, 0 without edges."""
    total = torch.zeros_like(values).index_add(0, edges.high, values.index_select(0, edges.low))
    total = total.index_add(0, edges.low, values.index_select(0, edges.high))
    return total / edges.degrees(len(values)).clamp(min=1)[:, None]


def square_lengths(positions: Tensor, edges: Edges) -> Tensor:
    """(V, 1) mean square of the lengths of each vertex's edges, 0 without edges."""
    square = edges.lengths(positions).square()
    total = torch.zeros_like(positions[:, 0]).index_add(0, edges.low, square).index_add(0, edges.high, square)
    return (total / edges.degrees(len(positions)).clamp(min=1))[:, None]


def packed(columns: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """`columns` (V, C) of the vertices that `faces` (F, 3) use, in their order, and the faces counted anew."""
    used = torch.zeros(len(columns), dtype=torch.bool, device=faces.device)
    used[faces.view(-1)] = True
    number = used.cumsum(0) - 1
    return columns[used], number[faces]


def proper_faces(faces: Tensor) -> Tensor:
    """The faces with three different corners."""
    return faces[has_three_corners(faces)]


def has_three_corners(faces: Tensor) -> Tensor:
    """(F,) bool: the corners of `faces` (F, 3) are three different vertices."""
    a, b, c = faces.unbind(1)
    return (a != b) & (b != c) & (c != a)


def check_triangles(positions: Tensor, faces: Tensor) -> None:
    """MeshError unless `positions` are finite (V, 3) and `faces` int64 (F, 3) rows of them; there may be none."""
    if positions.ndim != 2 or positions.shape[1] != 3:
        raise MeshError(f"vertices: expected shape (V, 3), got {tuple(positions.shape)}")
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype != torch.int64:
        raise MeshError(f"faces: expected int64 of shape (F, 3), got {faces.dtype} of shape {tuple(faces.shape)}")
    if not bool(positions.isfinite().all()):
        bad = int((~positions.isfinite()).any(1).sum())
        raise MeshError(f"vertices: {bad} of {len(positions)} are NaN or infinite. Repair the mesh or remove them")
    if faces.numel() and (int(faces.min()) < 0 or int(faces.max()) >= len(positions)):
        raise MeshError(
            f"faces: indices {int(faces.min())} to {int(faces.max())} don't fit the {len(positions)} vertices"
        )
