"""The rasterizer that is always there: plain torch, CPU and CUDA, deterministic in its choice of faces.

The nearest face of each pixel is found without gradients (`framework.renderers.coverage`); weights, depths and
attributes follow from the positions, where gradients flow (`framework.renderers.pixels`). There is no gradient of
visibility: only `antialias` moves silhouettes.

Dimension letters: B pictures, V vertices, F faces, H rows, W columns, C channels.
"""

from torch import Tensor

from framework.renderers.antialiasing import NeighbourMemory, antialias
from framework.renderers.arguments import check_attributes, check_image, check_layer, check_scene
from framework.renderers.config import TorchRasterizerConfig
from framework.renderers.coverage import layer_behind, visible_faces
from framework.renderers.pixels import blend, locate
from framework.renderers.rasterizer import Fragments, Wrap
from framework.renderers.texturing import texture


class TorchRasterizer:
    """Z-buffer rasterizer in torch operations; follows the device and the dtype of the positions."""

    name = "torch"

    def __init__(self, config: TorchRasterizerConfig | None = None) -> None:
        self.config = config or TorchRasterizerConfig()
        self._neighbours = NeighbourMemory()

    def rasterize(self, clip_positions: Tensor, faces: Tensor, resolution: tuple[int, int]) -> Fragments:
        """Find the nearest face behind every pixel centre.

        clip_positions: (B, V, 4) float32 or float64, OpenGL clip space; non-finite vertices drop their faces. faces:
        (F, 3) int64 on the same device. resolution: (H, W) pixels. Raises ValueError for anything else.
        """
        check_scene(clip_positions, faces, resolution)
        return self._draw(clip_positions, faces, resolution, None)

    def peel(self, clip_positions: Tensor, faces: Tensor, front: Fragments) -> Fragments:
        """Find the nearest face behind those of `front`; see `Rasterizer.peel`."""
        check_layer(clip_positions, faces, front)
        _, height, width = front.face_index.shape
        return self._draw(clip_positions, faces, (height, width), layer_behind(front))

    def _draw(
        self, clip_positions: Tensor, faces: Tensor, resolution: tuple[int, int], behind: Tensor | None
    ) -> Fragments:
        options = self.config
        face_index = visible_faces(clip_positions, faces, resolution, options.cull_backfaces, options.chunk, behind)
        return locate(clip_positions, faces, face_index, options.chunk)

    def interpolate(self, attributes: Tensor, fragments: Fragments, faces: Tensor) -> Tensor:
        """Return (B, H, W, C) values of vertex `attributes` (B or 1, V, C) at the fragments, 0 where nothing is seen.

        Differentiable with respect to the attributes and, through the weights, the clip positions.
        """
        check_attributes(attributes, fragments, faces)
        return blend(attributes, fragments, faces, self.config.chunk)

    def antialias(self, image: Tensor, fragments: Fragments, clip_positions: Tensor, faces: Tensor) -> Tensor:
        """Return `image` (B, H, W, C) with smooth silhouettes; see `Rasterizer.antialias`."""
        check_image(image, fragments, clip_positions, faces)
        return antialias(image, fragments, clip_positions, faces, self._neighbours.of(faces))

    def texture(self, image: Tensor, uv: Tensor, derivatives: Tensor | None = None, wrap: Wrap = "repeat") -> Tensor:
        """Return (B, H, W, C) samples of a texture; see `Rasterizer.texture`."""
        return texture(image, uv, derivatives, wrap)
