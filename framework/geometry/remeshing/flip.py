"""Flipping edges so that vertices have about six neighbours.

Dimension letters: V vertices, F faces, E edges, K candidates for a flip.
"""

from __future__ import annotations

import torch
from torch import Tensor

from framework.geometry.remeshing.connectivity import Edges, edges_of, sides_of_edges


def flip_edges(positions: Tensor, faces: Tensor, stable: bool = True) -> Tensor:
    """Faces (F, 3) in which some edges run between the other two corners of their faces.

    Flipped are edges that even out the numbers of neighbours, more than any other edge at the same four vertices,
    unless a new face would look away from the old ones or the new edge is there already. Edges on a border, and edges
    of more than two faces, stay. stable: of edges that gain the same, the last one wins; False leaves it to an
    unstable sort, as released programs do, which is the same in one build of torch only: use it for comparisons.
    """
    edges = edges_of(faces, len(positions))
    sides, count = sides_of_edges(faces, edges)
    candidate = ((count[:, 0] == 1) & (count[:, 1] == 1)).nonzero().squeeze(1)
    corners = _quads(faces, edges, sides, candidate)
    gain = _changes(edges, corners, len(positions))
    better = gain < 0
    candidate, corners, gain = candidate[better], corners[better], gain[better]
    kept = _best_around(corners, gain, len(positions), stable)
    kept &= _keeps_looking_outwards(positions, corners) & ~_are_edges(edges, corners[:, 2:], len(positions))
    return _rewritten(faces, sides[candidate[kept]] // 3, corners[kept])


def _quads(faces: Tensor, edges: Edges, sides: Tensor, candidate: Tensor) -> Tensor:
    """(K, 4) vertices: both ends of each candidate, and the third corners of the face left and right of it."""
    side = sides[candidate]
    opposite = faces.view(-1)[side - side % 3 + (side + 2) % 3]
    return torch.cat([edges.low[candidate, None], edges.high[candidate, None], opposite], 1)


def _changes(edges: Edges, corners: Tensor, vertices: int) -> Tensor:
    """(K,) half the change of the sum of squared degrees by each flip: negative is better."""
    first, second, left, right = edges.degrees(vertices)[corners].unbind(1)
    return 2 + left + right - first - second


def _best_around(corners: Tensor, change: Tensor, vertices: int, stable: bool) -> Tensor:
    """(K,) bool: candidates that outrank all others at each of their four vertices."""
    rank = torch.empty_like(change)
    rank[change.argsort(descending=True, stable=stable)] = torch.arange(len(rank), device=rank.device)
    highest = torch.full((vertices,), -1, dtype=rank.dtype, device=rank.device)
    highest.scatter_reduce_(0, corners.t().reshape(-1), rank.repeat(4), "amax")
    return (highest[corners] == rank[:, None]).all(1)


def _keeps_looking_outwards(positions: Tensor, corners: Tensor) -> Tensor:
    """(K,) bool: both new faces look to the side of the old ones' mean normal."""
    origin, second, left, right = positions.index_select(0, corners.t().reshape(-1)).view(4, -1, 3)
    second, left, right = second - origin, left - origin, right - origin
    cross = torch.linalg.cross
    old = cross(second, left) + cross(right, second)
    new = cross(right, left), cross(left - second, right - second)
    return ((old * new[0]).sum(1) > 0) & ((old * new[1]).sum(1) > 0)


def _are_edges(edges: Edges, pairs: Tensor, vertices: int) -> Tensor:
    """(K,) bool: pairs (K, 2) of vertices that an edge joins already."""
    known = edges.low * vertices + edges.high
    asked = pairs.amin(1) * vertices + pairs.amax(1)
    place = torch.searchsorted(known, asked).clamp(max=max(len(known) - 1, 0))
    return known[place] == asked


def _rewritten(faces: Tensor, left_and_right: Tensor, corners: Tensor) -> Tensor:
    """Faces with the rows `left_and_right` (K, 2) replaced by those on both sides of the new edges."""
    first, second, left, right = corners.unbind(1)
    new = torch.stack([torch.stack([first, right, left], 1), torch.stack([second, left, right], 1)], 1)
    return faces.index_copy(0, left_and_right.reshape(-1), new.view(-1, 3))
