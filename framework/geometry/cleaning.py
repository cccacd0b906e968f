"""Tidying up triangles held in tensors: smoothing, tiny faces, finer faces.

Dimension letters: V vertices, F faces.
"""

from __future__ import annotations

import torch
from torch import Tensor

from framework.geometry.normals import area_normals
from framework.geometry.remeshing.connectivity import (
    check_triangles,
    edges_of,
    packed,
    proper_faces,
    sides_of_edges,
)
from framework.geometry.remeshing.split import split_edges


def smoothed(positions: Tensor, faces: Tensor, steps: int = 1) -> Tensor:
    """Positions (V, 3) after so many steps of the umbrella operator, which evens out and slightly shrinks.

    A vertex moves to the mean of itself and, for each face around it, both other corners (so neighbours within the
    surface count twice); one on a border to the mean of itself, counted twice, and its neighbours along the border.
    MeshError for meshes that can't be used.
    """
    check_triangles(positions, faces)
    border, ends = _border(faces, len(positions))
    target = faces.t().reshape(-1).repeat(2)
    source = torch.cat([faces.roll(-1, 1).t().reshape(-1), faces.roll(-2, 1).t().reshape(-1)])
    inner = ~border[target]
    target = torch.cat([target[inner], ends.view(-1)])
    source = torch.cat([source[inner], ends.flip(0).view(-1)])
    own = (1 + border.to(positions.dtype))[:, None]
    total = own + torch.bincount(target, minlength=len(positions))[:, None]
    for _ in range(steps):
        positions = (own * positions).index_add(0, target, positions.index_select(0, source)) / total
    return positions


def _border(faces: Tensor, vertices: int) -> tuple[Tensor, Tensor]:
    """Which vertices (V,) lie on a border, and both ends (2, K) of the edges that have one face only."""
    edges = edges_of(faces, vertices)
    single = sides_of_edges(faces, edges)[1].sum(1) == 1
    ends = torch.stack([edges.low[single], edges.high[single]])
    border = torch.zeros(vertices, dtype=torch.bool, device=faces.device)
    border[ends.view(-1)] = True
    return border, ends


def without_tiny_faces(positions: Tensor, faces: Tensor, area: float) -> tuple[Tensor, Tensor]:
    """The mesh with each face smaller than `area` shrunk to its centre; its neighbours are drawn there.

    Where two such faces share a vertex, it goes to the later one's centre. Vertices at one place become one; faces that
    lose their area or come twice, and unused vertices, are dropped.
    """
    check_triangles(positions, faces)
    tiny = area_normals(positions, faces).norm(dim=1) / 2 < area
    gone = faces[tiny]
    centres = positions[gone].mean(1)
    target = torch.arange(len(positions), device=faces.device)
    number = len(positions) + torch.arange(len(gone), device=faces.device)
    target.scatter_reduce_(0, gone.view(-1), number.repeat_interleave(3), "amax")
    return _merged(torch.cat([positions, centres]), target[faces[~tiny]])


def _merged(positions: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Equal positions as one vertex, each face once, nothing without area or use; in order of first appearance."""
    _, place = (positions + 0.0).unique(dim=0, return_inverse=True)
    first = torch.full_like(place, len(place)).scatter_reduce_(0, place, torch.arange(len(place)).to(place), "amin")
    faces = proper_faces(first[place][faces])
    _, same = faces.sort(1)[0].unique(dim=0, return_inverse=True)
    number = torch.arange(len(faces), device=faces.device)
    earliest = torch.full_like(number, len(faces)).scatter_reduce_(0, same, number, "amin")
    return packed(positions, faces[earliest[same] == number])


def subdivided(columns: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """The mesh with every edge split at its middle: each face becomes four.

    columns: (V, C) positions first, then anything else that vertices carry, of which middles get the mean.
    """
    check_triangles(columns[:, :3], faces)
    edges = edges_of(faces, len(columns))
    return split_edges(columns, faces, edges, torch.ones_like(edges.low, dtype=torch.bool))
