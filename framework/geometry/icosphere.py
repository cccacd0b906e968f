"""A closed surface to start from: an icosahedron whose faces are cut in four again and again."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from framework.geometry.remeshing.connectivity import edges_of
from framework.geometry.remeshing.split import split_edges

_GOLDEN = (1 + 5**0.5) / 2


def icosphere(subdivisions: int, radius: float = 1.0) -> tuple[Tensor, Tensor]:
    """Positions (10 * 4^n + 2, 3) float32 on a sphere around the origin, and outward faces (20 * 4^n, 3) int64."""
    corners = torch.tensor([[-1.0, _GOLDEN, 0.0], [1.0, _GOLDEN, 0.0], [-1.0, -_GOLDEN, 0.0], [1.0, -_GOLDEN, 0.0]])
    positions = normalize(torch.cat([corners.roll(turn, 1) for turn in range(3)]), dim=1)
    faces = _triangles_of_neighbours(positions)
    for _ in range(subdivisions):
        edges = edges_of(faces, len(positions))
        positions, faces = split_edges(positions, faces, edges, torch.ones_like(edges.low, dtype=torch.bool))
        positions = normalize(positions, dim=1)
    return positions * radius, faces


def _triangles_of_neighbours(positions: Tensor) -> Tensor:
    """Outward faces of the icosahedron: all triples of corners that are an edge apart."""
    triples = torch.combinations(torch.arange(len(positions)), 3)
    a, b, c = positions[triples.t()]
    longest = torch.stack([(a - b).norm(dim=1), (b - c).norm(dim=1), (c - a).norm(dim=1)]).amax(0)
    inwards = (torch.linalg.cross(b - a, c - a) * a).sum(1) < 0
    return torch.where(inwards[:, None], triples.flip(1), triples)[longest < 1.1]
