"""The rasterizer on nvdiffrast (CUDA only; its licence is for research and evaluation).

Its pictures begin with the row at clip y = -1, ours with the one at +1: positions are mirrored on the way in, so that
its first row is our first one. Its fragments are two weights, the depth, and the face's number + 1 in one tensor.

Dimension letters: B pictures, V vertices, F faces, H rows, W columns, C channels.
"""

from typing import Any

import torch
from torch import Tensor

from framework.renderers.adapters.built import check_on_gpu, library
from framework.renderers.arguments import check_attributes, check_image, check_layer, check_scene
from framework.renderers.config import AdapterConfig
from framework.renderers.rasterizer import Fragments, Wrap

_BOUNDARY = {"repeat": "wrap", "clamp": "clamp", "zero": "zero"}
_MOST_LAYERS = 8


class NvdiffrastRasterizer:
    """Calls nvdiffrast; everything is computed in 32 bits on the GPU of the positions."""

    name = "nvdiffrast"

    def __init__(self, config: AdapterConfig | None = None) -> None:
        self._library = library("nvdiffrast")
        self._contexts: dict[torch.device, Any] = {}

    def rasterize(self, clip_positions: Tensor, faces: Tensor, resolution: tuple[int, int]) -> Fragments:
        """Find the nearest face behind every pixel centre; see `Rasterizer.rasterize`."""
        check_scene(clip_positions, faces, resolution)
        context = self._context(clip_positions)
        if not len(faces):
            return _nothing(clip_positions, resolution)
        packed, _ = self._library.rasterize(
            context, _mirrored(clip_positions), faces.int(), resolution=list(resolution), grad_db=False
        )
        return _unpacked(packed, clip_positions.dtype)

    def peel(self, clip_positions: Tensor, faces: Tensor, front: Fragments) -> Fragments:
        """Find the layer behind `front`, which must be a layer of this very scene; see `Rasterizer.peel`."""
        check_layer(clip_positions, faces, front)
        context, (_, height, width) = self._context(clip_positions), front.face_index.shape
        if not len(faces):
            return _nothing(clip_positions, (height, width))
        with self._library.DepthPeeler(context, _mirrored(clip_positions), faces.int(), [height, width]) as peeler:
            for _ in range(_MOST_LAYERS):
                layer = _unpacked(peeler.rasterize_next_layer()[0], clip_positions.dtype)
                if torch.equal(layer.face_index, front.face_index):
                    return _unpacked(peeler.rasterize_next_layer()[0], clip_positions.dtype)
        raise ValueError(f"`front` is none of the first {_MOST_LAYERS} layers of these positions and faces")

    def interpolate(self, attributes: Tensor, fragments: Fragments, faces: Tensor) -> Tensor:
        """Return (B, H, W, C) values of vertex `attributes` at the fragments; see `Rasterizer.interpolate`."""
        check_attributes(attributes, fragments, faces)
        picture, _ = self._library.interpolate(attributes.float().contiguous(), _packed(fragments), faces.int())
        return picture.to(attributes.dtype)

    def antialias(self, image: Tensor, fragments: Fragments, clip_positions: Tensor, faces: Tensor) -> Tensor:
        """Return `image` (B, H, W, C) with smooth silhouettes; see `Rasterizer.antialias`."""
        check_image(image, fragments, clip_positions, faces)
        given = image.float().contiguous(), _packed(fragments), _mirrored(clip_positions), faces.int()
        return self._library.antialias(*given).to(image.dtype)

    def texture(self, image: Tensor, uv: Tensor, derivatives: Tensor | None = None, wrap: Wrap = "repeat") -> Tensor:
        """Return (B, H, W, C) samples of a texture; see `Rasterizer.texture`."""
        steps = None if derivatives is None else derivatives.flatten(3).float().contiguous()
        mode = "linear" if derivatives is None else "linear-mipmap-linear"
        given = image.float().contiguous(), uv.float().contiguous(), steps
        return self._library.texture(*given, filter_mode=mode, boundary_mode=_BOUNDARY[wrap]).to(image.dtype)

    def _context(self, clip_positions: Tensor) -> Any:
        check_on_gpu(self.name, clip_positions)
        device = clip_positions.device
        if device not in self._contexts:
            self._contexts[device] = self._library.RasterizeCudaContext(device=device)
        return self._contexts[device]


def _mirrored(clip_positions: Tensor) -> Tensor:
    return clip_positions.float() * clip_positions.new_tensor([1, -1, 1, 1], dtype=torch.float32)


def _packed(fragments: Fragments) -> Tensor:
    depth = torch.where(fragments.mask, fragments.depth, 0)
    parts = [fragments.barycentric[..., :2], depth[..., None], fragments.face_index[..., None] + 1]
    return torch.cat([part.float() for part in parts], 3).contiguous()


def _unpacked(packed: Tensor, dtype: torch.dtype) -> Fragments:
    face_index = packed[..., 3].detach().long() - 1
    seen = face_index >= 0
    u, v = packed[..., 0], packed[..., 1]
    barycentric = torch.stack([u, v, torch.where(seen, 1 - u - v, 0)], 3)
    return Fragments(face_index, barycentric.to(dtype), torch.where(seen, packed[..., 2], 1).to(dtype))


def _nothing(clip_positions: Tensor, resolution: tuple[int, int]) -> Fragments:
    shape, device = (len(clip_positions), *resolution), clip_positions.device
    empty = torch.full(shape, -1, device=device)
    return Fragments(empty, clip_positions.new_zeros(*shape, 3), clip_positions.new_ones(shape))
