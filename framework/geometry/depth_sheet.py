"""Surfaces from what one camera sees: a sheet through the points of its pixels, and its volume as a box.

Legend: H rows downwards, W columns, D slices from near to far.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import grid_sample

from framework.geometry.mesh import Mesh, MeshError


def sheet_mesh(points: Float[np.ndarray, "H W 3"], keep: Bool[np.ndarray, "H W"] | None = None) -> Mesh:
    """Two triangles for each cell of four neighbouring pixels' `points`, fronts towards the camera.

    Vertices are the points row by row. With `keep` only cells whose four pixels are kept get triangles, and unused
    points go. MeshError for less than 2 x 2 pixels and where no triangle is left.
    """
    if points.ndim != 3 or points.shape[2] != 3 or min(points.shape[:2]) < 2:
        raise MeshError(f"sheet_mesh: points of shape {points.shape}, expected (H, W, 3) with at least 2 x 2 pixels")
    height, width = points.shape[:2]
    index = np.arange(height * width).reshape(height, width)
    top_left, top_right = index[:-1, :-1].ravel(), index[:-1, 1:].ravel()
    low_left, low_right = index[1:, :-1].ravel(), index[1:, 1:].ravel()
    # Rows run downwards, so left, down, right is counter-clockwise for the camera.
    faces = np.stack([top_left, low_left, top_right, top_right, low_left, low_right], axis=1).reshape(-1, 3)
    if keep is None:
        return Mesh(points.reshape(-1, 3), faces)
    if keep.shape != (height, width):
        raise MeshError(f"sheet_mesh: keep of shape {keep.shape} for {height} x {width} points")
    cells = keep[:-1, :-1] & keep[:-1, 1:] & keep[1:, :-1] & keep[1:, 1:]
    if not cells.any():
        raise MeshError("sheet_mesh: no cell has all its four pixels kept, the mesh would be empty")
    used, rows = np.unique(faces[np.repeat(cells.ravel(), 2)], return_inverse=True)
    return Mesh(points.reshape(-1, 3)[used], rows.reshape(-1, 3))


def box_of_frustum(
    values: Float[Tensor, "H W D"], widening: Float[Tensor, " D"], outside: float
) -> Float[Tensor, "H W D"]:
    """A field sampled inside a camera's frustum, on the box around it: as wide as the frustum's far end everywhere.

    `widening` is, for each slice, the box's width over that of the frustum (far / z for a pinhole camera). Samples lie
    at the ends of each axis and between; what the frustum does not reach gets `outside`.
    """
    height, width, depth = values.shape
    if widening.shape != (depth,):
        raise ValueError(f"box_of_frustum: widening of shape {tuple(widening.shape)} for {depth} slices")
    x, y, z = (
        torch.linspace(-1.0, 1.0, size, device=values.device, dtype=values.dtype) for size in (width, height, depth)
    )
    z_at, y_at, x_at = torch.meshgrid(z, y, x, indexing="ij")
    place = torch.stack([x_at * widening[:, None, None], y_at * widening[:, None, None], z_at], dim=-1)
    volume = values.permute(2, 0, 1)[None, None]
    found = grid_sample(volume, place[None], mode="bilinear", padding_mode="border", align_corners=True)[0, 0]
    reached = (place[..., :2].abs() <= 1.0).all(dim=-1)
    return torch.where(reached, found, outside).permute(1, 2, 0)
