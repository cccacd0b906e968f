"""Normals of triangles held in tensors, differentiable.

Dimension letters: V vertices, F faces.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def area_normals(positions: Tensor, faces: Tensor) -> Tensor:
    """Return (F, 3) outward normals of `faces` (F, 3) whose length is twice the area of their face."""
    a, b, c = positions.index_select(0, faces.t().reshape(-1)).view(3, -1, 3)
    return torch.linalg.cross(b - a, c - a)


def smooth_normals(positions: Tensor, faces: Tensor) -> Tensor:
    """Return (V, 3) unit normals averaged over all faces around a vertex, weighted by area; 0 where there is none."""
    of_face = area_normals(positions, faces)
    total = torch.zeros_like(positions).index_add_(0, faces.t().reshape(-1), of_face.repeat(3, 1))
    return normalize(total, dim=1)


def angle_normals(positions: Tensor, faces: Tensor) -> Tensor:
    """Return (V, 3) unit normals averaged over all faces around a vertex, weighted by the angle of their corner there.

    0 where there is none. Unlike `smooth_normals` they don't depend on how the surface around is cut into triangles.
    """
    of_face = normalize(area_normals(positions, faces), dim=1)
    total = torch.zeros_like(positions)
    for corner in range(3):
        here, ahead, behind = (positions[faces[:, (corner + turn) % 3]] for turn in range(3))
        one, other = normalize(ahead - here, dim=1), normalize(behind - here, dim=1)
        angle = torch.atan2(torch.linalg.cross(one, other).norm(dim=1), (one * other).sum(1))
        total = total.index_add(0, faces[:, corner], angle[:, None] * of_face)
    return normalize(total, dim=1)
