"""The rasterizer on Kaolin (CUDA only): it finds the faces, torch does the rest.

Its screen has x to the right and y up from -1 to 1 and row 0 at the top, as ours; what is nearer has the larger z.

Dimension letters: H rows, W columns, T triangles.
"""

from torch import Tensor

from framework.renderers.adapters.built import check_on_gpu, library
from framework.renderers.adapters.visibility import VisibilityRasterizer
from framework.renderers.config import AdapterConfig


def kaolin_rasterizer(config: AdapterConfig | None = None) -> VisibilityRasterizer:
    """Return the rasterizer, for positions on a GPU. Raises MissingExtra without the library."""
    meshes = library("kaolin")

    def find(corners: Tensor, resolution: tuple[int, int]) -> Tensor:
        check_on_gpu("kaolin", corners)
        height, width = resolution
        nothing = corners.new_zeros(1, len(corners), 3, 1)
        screen, depth = corners[None, ..., :2].contiguous(), corners[None, ..., 2].contiguous()
        _, nearest = meshes.rasterize(height, width, -depth, screen, nothing)
        return nearest[0]

    return VisibilityRasterizer("kaolin", find)
