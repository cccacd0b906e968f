"""Collapsing edges of faces that are folded or too small, and edges that are too short.

Dimension letters: V vertices, F faces, E edges, C columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from framework.geometry.normals import area_normals, smooth_normals
from framework.geometry.remeshing.connectivity import Edges

# A face looks for a partner within this many edges; of those, one edge is collapsed at a time.
_RINGS = 3


def random_picks(faces: int, generator: torch.Generator | None = None) -> Tensor:
    """(F,) int64 which of its edges each face would collapse, see `nominated_edges`: the shortest in 8 of 10 cases.

    Drawn on the CPU from `generator` (torch's own if none), so that a seed means the same on every device.
    """
    return torch.randint(0, 10, (faces,), generator=generator).clamp(max=2)


def nominated_edges(positions: Tensor, faces: Tensor, edges: Edges, shortest: Tensor, picks: Tensor) -> Tensor:
    """(E,) bool: edges that a bad face names: one whose normal opposes those at its corners, or that is smaller than
    half a square of the allowed length.

    shortest: (V,) allowed length at each vertex. picks: (F,) rank of the edge that a face names: 0 the longest, 2 the
    shortest.
    """
    bad = _bad_faces(positions, faces, shortest).nonzero().squeeze(1)
    of_bad = edges.of_face[bad]
    order = edges.lengths(positions)[of_bad].argsort(dim=1, descending=True, stable=True)
    nominated = torch.zeros(len(edges.low), dtype=torch.bool, device=faces.device)
    nominated[of_bad.gather(1, order.gather(1, picks[bad, None]))] = True
    return nominated


def collapse_priorities(positions: Tensor, edges: Edges, shortest: Tensor, nominated: Tensor) -> Tensor:
    """(E,) how urgently each edge wants to go: 1 if `nominated`, and its relative shortage where it is shorter than the
    mean of `shortest` (V,) at its ends; 0 for not at all."""
    shortage = 1 - edges.lengths(positions) / edges.means(shortest)
    return nominated + shortage.clamp(min=0)


def collapse_edges(
    columns: Tensor, faces: Tensor, edges: Edges, priorities: Tensor, stable: bool = True
) -> tuple[Tensor, Tensor]:
    """Merge both ends of the edges that are most urgent among their neighbours.

    The lower vertex takes the mean of both in every column (V, C), the other stays behind without faces. Returned faces
    keep their rows; those that vanished have equal corners. stable: see `flip_edges`.
    """
    chosen = _collapsible(edges, priorities, len(columns), stable)
    first, second = edges.low[chosen], edges.high[chosen]
    merged = columns.index_copy(0, first, (columns[first] + columns[second]) / 2)
    target = torch.arange(len(columns), device=faces.device)
    target[second] = first
    return merged, target[faces]


def _bad_faces(positions: Tensor, faces: Tensor, shortest: Tensor) -> Tensor:
    """(F,) bool: folded or too small."""
    normals = area_normals(positions, faces)
    around = smooth_normals(positions, faces).index_select(0, faces.view(-1)).view(-1, 3, 3).sum(1)
    folded = (normals * around).sum(1) < 0
    return folded | (normals.norm(dim=1) < shortest[faces].mean(1).square())


def _collapsible(edges: Edges, priorities: Tensor, vertices: int, stable: bool) -> Tensor:
    """(E,) bool: the edges that outrank all within three rings, and whose collapse leaves a manifold."""
    rank = _ranks(priorities, stable)
    value, highest = rank, torch.zeros(vertices, dtype=rank.dtype, device=rank.device)
    for _ in range(_RINGS):
        highest.scatter_reduce_(0, edges.low, value, "amax").scatter_reduce_(0, edges.high, value, "amax")
        value = torch.maximum(highest.index_select(0, edges.low), highest.index_select(0, edges.high))
    chosen = (value == rank) & (priorities > 0)
    return chosen & (_shared_neighbours(edges, chosen, vertices) <= 2)


def _ranks(priorities: Tensor, stable: bool) -> Tensor:
    """(E,) place of each edge in ascending order of priority."""
    if not stable:  # where an unstable sort leaves ties hangs on all that it sorts: released tables begin with a NaN
        priorities = torch.cat([priorities.new_full((1,), torch.nan), priorities])
    order = priorities.argsort(stable=stable)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    return rank if stable else rank[1:]


def _shared_neighbours(edges: Edges, chosen: Tensor, vertices: int) -> Tensor:
    """(E,) how many neighbours the ends of each chosen edge have in common, by marks that travel along the edges."""
    mark = torch.zeros(vertices, dtype=torch.int64, device=chosen.device)
    low, high = edges.low[chosen], edges.high[chosen]
    mark[low] = 1
    _spread(mark, edges)
    mark[low] = mark[high] = 0
    _spread(mark, edges)
    return mark.index_select(0, edges.high)


def _spread(mark: Tensor, edges: Edges) -> None:
    """Add to the marks (V,) of both ends of every edge the sum of the two."""
    total = mark.index_select(0, edges.low) + mark.index_select(0, edges.high)
    mark.index_add_(0, edges.low, total).index_add_(0, edges.high, total)
