"""Splitting edges at their middle.

Dimension letters: V vertices, F faces, E edges, C columns, S split edges.
"""

from __future__ import annotations

import torch
from torch import Tensor

from framework.geometry.remeshing.connectivity import Edges


def split_edges(columns: Tensor, faces: Tensor, edges: Edges, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Cut the `chosen` (E,) edges in two, and their faces along.

    Returns (V + S, C) columns, the means of both ends behind the old ones, and faces: each old one shrunk to its middle
    (one split side cuts off one corner), and behind all of them the corners that were cut off.
    """
    middles = edges.means(columns)[chosen]
    number = torch.where(chosen, len(columns) - 1 + chosen.cumsum(0), -1)
    middle = number[edges.of_face]
    inner = torch.where(middle >= 0, middle, faces)
    corners = torch.stack([faces, middle, inner.roll(1, 1)], 2)[middle >= 0]
    return torch.cat([columns, middles]), torch.cat([inner, corners])


def longer_than_allowed(positions: Tensor, edges: Edges, longest: Tensor) -> Tensor:
    """(E,) bool: edges longer than the mean of what `longest` (V,) allows at their ends."""
    return edges.lengths(positions) > edges.means(longest)
