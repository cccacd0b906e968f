"""Rasterizers that ask another library which face each pixel sees, and compute all else in torch.

That keeps the contract exact (perspective-correct weights, clipping, silhouettes, gradients, layers) whatever the
library's own conventions for these are. Triangles are clipped and projected by us, so the library sees plain triangles
on the screen, one picture at a time.

Dimension letters: B pictures, V vertices, F faces, H rows, W columns, C channels, T triangles of one picture.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from framework.renderers.arguments import check_scene
from framework.renderers.clipping import Triangles, clip_triangles
from framework.renderers.pixels import locate
from framework.renderers.rasterizer import Fragments, Wrap
from framework.renderers.torch_rasterizer import TorchRasterizer

Find = Callable[[Tensor, tuple[int, int]], Tensor]
"""Corners (T, 3, 3) of triangles, x to the right and y up in [-1, 1], depth in [0, 1], and the size -> (H, W) number of
the nearest triangle, -1 for none."""


class VisibilityRasterizer:
    """Finds faces by `find`; layers behind them, and all that comes after, are plain torch.

    name: of the registry, for messages.
    """

    def __init__(self, name: str, find: Find) -> None:
        self.name = name
        self._find = find
        self._plain = TorchRasterizer()

    def rasterize(self, clip_positions: Tensor, faces: Tensor, resolution: tuple[int, int]) -> Fragments:
        """Find the nearest face behind every pixel centre; see `Rasterizer.rasterize`."""
        check_scene(clip_positions, faces, resolution)
        face_index = torch.full((len(clip_positions), *resolution), -1, device=clip_positions.device)
        if len(faces):
            triangles = clip_triangles(clip_positions, faces, resolution)
            for number in range(len(clip_positions)):
                ours = (triangles.picture_row == number * resolution[0]).nonzero().squeeze(1)
                face_index[number] = self._faces(triangles.select(ours), resolution)
        fragments = locate(clip_positions, faces, face_index)
        beyond = fragments.mask & (fragments.depth.detach() > 1)
        return locate(clip_positions, faces, face_index.masked_fill(beyond, -1)) if beyond.any() else fragments

    def _faces(self, triangles: Triangles, resolution: tuple[int, int]) -> Tensor:
        """(H, W) faces that one picture sees."""
        height, width = resolution
        columns, rows = triangles.x * (2 / width) - 1, 1 - triangles.y * (2 / height)
        corners = torch.stack([columns, rows, triangles.depth.clamp(min=0)], 2).permute(1, 0, 2)
        whole = corners.flatten(1).isfinite().all(1).nonzero().squeeze(1)
        if not len(whole):
            return triangles.face.new_full(resolution, -1)
        nearest = self._find(corners[whole].contiguous(), resolution)
        return torch.where(nearest >= 0, triangles.face[whole][nearest.clamp(min=0)], -1)

    def peel(self, clip_positions: Tensor, faces: Tensor, front: Fragments) -> Fragments:
        """Find the layer behind `front`; see `Rasterizer.peel`."""
        return self._plain.peel(clip_positions, faces, front)

    def interpolate(self, attributes: Tensor, fragments: Fragments, faces: Tensor) -> Tensor:
        """Return (B, H, W, C) values of vertex `attributes` at the fragments; see `Rasterizer.interpolate`."""
        return self._plain.interpolate(attributes, fragments, faces)

    def antialias(self, image: Tensor, fragments: Fragments, clip_positions: Tensor, faces: Tensor) -> Tensor:
        """Return `image` (B, H, W, C) with smooth silhouettes; see `Rasterizer.antialias`."""
        return self._plain.antialias(image, fragments, clip_positions, faces)

    def texture(self, image: Tensor, uv: Tensor, derivatives: Tensor | None = None, wrap: Wrap = "repeat") -> Tensor:
        """Return (B, H, W, C) samples of a texture; see `Rasterizer.texture`."""
        return self._plain.texture(image, uv, derivatives, wrap)
