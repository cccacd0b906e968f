"""The rasterizer on PyTorch3D: it finds the faces, torch does the rest.

Its screen has x to the left and y up, the shorter side from -1 to 1 and the longer one further by the ratio of the
sides; z is the depth, and row 0 is the top. With the blur radius at 0 it may leave out a pixel whose centre lies
exactly on an edge.

Dimension letters: H rows, W columns, T triangles.
"""

import torch
from torch import Tensor

from framework.renderers.adapters.built import library
from framework.renderers.adapters.visibility import VisibilityRasterizer
from framework.renderers.config import AdapterConfig


def pytorch3d_rasterizer(config: AdapterConfig | None = None) -> VisibilityRasterizer:
    """Return the rasterizer; it follows the device of the positions. Raises MissingExtra without the library."""
    library("pytorch3d")
    rasterize_meshes = library("pytorch3d", "pytorch3d.renderer.mesh.rasterize_meshes").rasterize_meshes
    meshes_of = library("pytorch3d", "pytorch3d.structures").Meshes

    def find(corners: Tensor, resolution: tuple[int, int]) -> Tensor:
        height, width = resolution
        shorter = min(height, width)
        screen = corners * corners.new_tensor([-width / shorter, height / shorter, 1])
        triangles = torch.arange(3 * len(corners), device=corners.device).view(-1, 3)
        nearest, *_ = rasterize_meshes(
            meshes_of(verts=[screen.reshape(-1, 3)], faces=[triangles]),
            image_size=resolution,
            blur_radius=0.0,
            faces_per_pixel=1,
            perspective_correct=False,
        )
        return nearest[0, :, :, 0]

    return VisibilityRasterizer("pytorch3d", find)
