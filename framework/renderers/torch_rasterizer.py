"""The rasterizer that is always there: plain torch, CPU and CUDA, deterministic in its choice of faces.

The nearest face of each pixel is found without gradients (`framework.renderers.coverage`); its barycentric weights are
then computed again from the clip positions, where gradients flow. Weights are found in homogeneous coordinates (Olano
and Greer, "Triangle scan conversion using 2D homogeneous coordinates", 1997), so they are perspective-correct and hold
for faces that reach behind the camera too. There is no gradient of visibility: only `antialias` moves silhouettes.

Dimension letters: B pictures, V vertices, F faces, H rows, W columns, C channels, M pixels that see a face.
"""

import torch
from torch import Tensor

from framework.renderers.antialiasing import NeighbourMemory, antialias
from framework.renderers.arguments import check_attributes, check_image, check_layer, check_scene
from framework.renderers.config import TorchRasterizerConfig
from framework.renderers.coverage import layer_behind, visible_faces
from framework.renderers.rasterizer import Fragments, Wrap
from framework.renderers.texturing import texture

SMALLEST_AREA = 1e-6
"""Gradients are those of triangles that are larger by this much (twice the area in NDC, times the corners' w): slivers
would otherwise be pushed without bound."""


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
        return locate(clip_positions, faces, face_index)

    def interpolate(self, attributes: Tensor, fragments: Fragments, faces: Tensor) -> Tensor:
        """Return (B, H, W, C) values of vertex `attributes` (B or 1, V, C) at the fragments, 0 where nothing is seen.

        Differentiable with respect to the attributes and, through the weights, the clip positions.
        """
        check_attributes(attributes, fragments, faces)
        pixel, corners = _seen(fragments.face_index, faces, attributes.shape[1], len(attributes) == 1)
        values = attributes.reshape(-1, attributes.shape[2])
        weights = fragments.barycentric.reshape(-1, 3).index_select(0, pixel)
        first, second, third = (values.index_select(0, corners[i]) * weights[:, i : i + 1] for i in range(3))
        return _scatter(first + second + third, pixel, fragments.face_index.shape)

    def antialias(self, image: Tensor, fragments: Fragments, clip_positions: Tensor, faces: Tensor) -> Tensor:
        """Return `image` (B, H, W, C) with smooth silhouettes; see `Rasterizer.antialias`."""
        check_image(image, fragments, clip_positions, faces)
        return antialias(image, fragments, clip_positions, faces, self._neighbours.of(faces))

    def texture(self, image: Tensor, uv: Tensor, derivatives: Tensor | None = None, wrap: Wrap = "repeat") -> Tensor:
        """Return (B, H, W, C) samples of a texture; see `Rasterizer.texture`."""
        return texture(image, uv, derivatives, wrap)


def _seen(face_index: Tensor, faces: Tensor, vertices: int, shared: bool) -> tuple[Tensor, Tensor]:
    """Flat numbers (M,) of the pixels that see a face, and (3, M) rows of its corners in a (B * V, ...) table."""
    flat = face_index.reshape(-1)
    pixel = (flat >= 0).nonzero().squeeze(1)
    corners = faces.t().contiguous().index_select(1, flat.index_select(0, pixel))
    if not shared:
        _, height, width = face_index.shape
        corners = corners + pixel // (height * width) * vertices
    return pixel, corners


def _scatter(values: Tensor, pixel: Tensor, shape: torch.Size) -> Tensor:
    """Put `values` (M, C) at flat pixel numbers of a picture (B, H, W, C) of zeros."""
    picture = values.new_zeros((shape.numel(), values.shape[1]))
    return picture.index_copy_(0, pixel, values).view(*shape, values.shape[1])


def locate(clip_positions: Tensor, faces: Tensor, face_index: Tensor) -> Fragments:
    """Return the fragments of faces found (B, H, W), -1 for none, differentiable in `clip_positions` (B, V, 4)."""
    pixel, corners = _seen(face_index, faces, clip_positions.shape[1], False)
    x, y, z, w = clip_positions.reshape(-1, 4).index_select(0, corners.reshape(-1)).view(3, -1, 4).unbind(2)
    _, height, width = face_index.shape
    centre_x = ((pixel % width).to(x.dtype) + 0.5) * (2 / width) - 1
    centre_y = 1 - ((pixel // width % height).to(x.dtype) + 0.5) * (2 / height)
    # Corners seen from the pixel: in homogeneous coordinates no division by w is needed.
    x, y = x - centre_x * w, y - centre_y * w
    areas = torch.stack([x[j] * y[k] - x[k] * y[j] for j, k in ((1, 2), (2, 0), (0, 1))])
    total = areas.sum(0)
    flat = total == 0
    weights = torch.where(flat, 1 / 3, areas.detach() / torch.where(flat, 1, total.detach()))
    if clip_positions.requires_grad:
        soft = areas[:2] / (total + torch.copysign(torch.full_like(total, SMALLEST_AREA), total))
        soft = torch.cat([soft, 1 - soft.sum(0, keepdim=True)])
        weights = weights + (soft - soft.detach())
    depth = (weights * z).sum(0) / (weights * w).sum(0)
    background = clip_positions.new_ones(face_index.numel())
    barycentric = _scatter(weights.t(), pixel, face_index.shape)
    return Fragments(face_index, barycentric, background.index_copy_(0, pixel, depth).view(face_index.shape))
