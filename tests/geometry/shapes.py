"""Closed surfaces in tensors for tests."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from framework.geometry.remeshing.connectivity import edges_of
from framework.geometry.remeshing.split import split_edges

_GOLDEN = (1 + 5**0.5) / 2


def icosphere(subdivisions: int, radius: float = 1.0) -> tuple[Tensor, Tensor]:
    """Positions (V, 3) on a sphere and faces (F, 3): an icosahedron whose faces are cut in four again and again."""
    corners = torch.tensor([[-1.0, _GOLDEN, 0.0], [1.0, _GOLDEN, 0.0], [-1.0, -_GOLDEN, 0.0], [1.0, -_GOLDEN, 0.0]])
    positions = normalize(torch.cat([corners.roll(turn, 1) for turn in range(3)]), dim=1)
    distance = torch.cdist(positions, positions)
    near = (distance > 0) & (distance < 1.1)
    faces = torch.tensor(
        [[a, b, c] for a in range(12) for b in range(a) for c in range(b) if near[a, b] and near[b, c] and near[a, c]]
    )
    a, b, c = positions[faces.t()]
    inwards = (torch.linalg.cross(b - a, c - a) * a).sum(1) < 0
    faces = torch.where(inwards[:, None], faces.flip(1), faces)
    for _ in range(subdivisions):
        edges = edges_of(faces, len(positions))
        positions, faces = split_edges(positions, faces, edges, torch.ones(len(edges.low), dtype=torch.bool))
        positions = normalize(positions, dim=1)
    return positions * radius, faces


def torus(around: int, across: int, tube: float = 0.35) -> tuple[Tensor, Tensor]:
    """Positions and faces of a ring of radius 1."""
    u, v = torch.meshgrid(torch.arange(around), torch.arange(across), indexing="ij")
    angle, turn = 2 * torch.pi * u / around, 2 * torch.pi * v / across
    reach = 1 + tube * turn.cos()
    positions = torch.stack([reach * angle.cos(), reach * angle.sin(), tube * turn.sin()], 2).view(-1, 3)
    here, ahead, up, both = (
        ((u + i) % around * across + (v + j) % across).reshape(-1) for i, j in ((0, 0), (1, 0), (0, 1), (1, 1))
    )
    return positions, torch.cat([torch.stack([here, ahead, both], 1), torch.stack([here, both, up], 1)])
