"""Closed surfaces in tensors for tests."""

import torch
from torch import Tensor


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
