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
