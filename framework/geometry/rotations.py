"""Rotations as networks and body models write them, turned into matrices.

Legend: "..." any number of batch axes. Matrices act on column vectors.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def matrix_from_6d(values: Float[Tensor, "... 6"]) -> Float[Tensor, "... 3 3"]:
    """The rotation whose first two columns are the Gram-Schmidt basis of `values`, a (3, 2) matrix row by row.

    Zhou et al., "On the continuity of rotation representations in neural networks", CVPR 2019, equation 14.
    """
    first, second = values.unflatten(-1, (3, 2)).unbind(-1)
    x = torch.nn.functional.normalize(first, dim=-1)
    y = torch.nn.functional.normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-1)


def matrix_from_axis_angle(vectors: Float[Tensor, "... 3"]) -> Float[Tensor, "... 3 3"]:
    """The rotation about `vectors` by their length in radians (right-hand rule), differentiable at zero too."""
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [zero, -z, y, z, zero, -x, -y, x, zero]
    return torch.linalg.matrix_exp(torch.stack(rows, dim=-1).unflatten(-1, (3, 3)))
