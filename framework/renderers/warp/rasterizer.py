"""The rasterizer on Warp: torch tensors in and out without copies, gradients by hand-written adjoints.

Draws what the plain-torch rasterizer draws: positions are projected and triangles tested by the same sums. Everything
is computed in 32 bits, whatever the tensors' dtype. On a GPU gradients are added up in no fixed order.

Dimension letters: B pictures, V vertices, F faces, H rows, W columns, C channels.
"""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from framework.renderers.antialiasing import SHORTEST_EDGE, NeighbourMemory, Neighbours
from framework.renderers.arguments import check_attributes, check_image, check_layer, check_scene
from framework.renderers.config import WarpRasterizerConfig
from framework.renderers.coverage import NOTHING, layer_behind
from framework.renderers.rasterizer import Fragments, Wrap
from framework.renderers.texturing import texture
from framework.renderers.torch_rasterizer import SMALLEST_AREA
from framework.renderers.warp.kernels import load

_LARGE_TRIANGLES = 65_536


class WarpRasterizer:
    """Z-buffer rasterizer in Warp kernels; follows the device of the positions."""

    name = "warp"

    def __init__(self, config: WarpRasterizerConfig | None = None) -> None:
        self.config = config or WarpRasterizerConfig()
        self._neighbours = NeighbourMemory()
        self._kernels = load()

    def rasterize(self, clip_positions: Tensor, faces: Tensor, resolution: tuple[int, int]) -> Fragments:
        """Find the nearest face behind every pixel centre; see `Rasterizer.rasterize`."""
        check_scene(clip_positions, faces, resolution)
        return self._draw(clip_positions, faces, resolution, clip_positions.new_empty(0, dtype=torch.float32))

    def peel(self, clip_positions: Tensor, faces: Tensor, front: Fragments) -> Fragments:
        """Find the nearest face behind those of `front`; see `Rasterizer.peel`."""
        check_layer(clip_positions, faces, front)
        _, height, width = front.face_index.shape
        return self._draw(clip_positions, faces, (height, width), layer_behind(front))

    def _draw(self, clip_positions: Tensor, faces: Tensor, size: tuple[int, int], behind: Tensor) -> Fragments:
        clip, faces = clip_positions.float().contiguous(), faces.contiguous()
        keys = _draw_keys(self._kernels, clip.detach(), faces, size, behind, self.config.cull_backfaces)
        face_index, barycentric, depth = _Locate.apply(clip, keys, faces, size, self._kernels)
        return Fragments(face_index, barycentric.to(clip_positions.dtype), depth.to(clip_positions.dtype))

    def interpolate(self, attributes: Tensor, fragments: Fragments, faces: Tensor) -> Tensor:
        """Return (B, H, W, C) values of vertex `attributes` at the fragments; see `Rasterizer.interpolate`."""
        check_attributes(attributes, fragments, faces)
        values, weights = attributes.float().contiguous(), fragments.barycentric.float().contiguous()
        picture = _Interpolate.apply(values, weights, fragments.face_index, faces.contiguous(), self._kernels)
        return picture.to(attributes.dtype)

    def antialias(self, image: Tensor, fragments: Fragments, clip_positions: Tensor, faces: Tensor) -> Tensor:
        """Return `image` (B, H, W, C) with smooth silhouettes; see `Rasterizer.antialias`."""
        check_image(image, fragments, clip_positions, faces)
        if not len(faces):
            return image.clone()
        clip, faces = clip_positions.float().contiguous(), faces.contiguous()
        outlines = _find_outlines(self._kernels, clip.detach(), faces, self._neighbours.of(faces))
        depth = fragments.depth.detach().float().contiguous()
        seen = fragments.face_index, depth, faces, outlines
        return _Smooth.apply(image.float().contiguous(), clip, *seen, self._kernels).to(image.dtype)

    def texture(self, image: Tensor, uv: Tensor, derivatives: Tensor | None = None, wrap: Wrap = "repeat") -> Tensor:
        """Return (B, H, W, C) samples of a texture; see `Rasterizer.texture`."""
        return texture(image, uv, derivatives, wrap)


def _view(kernels: SimpleNamespace, tensor: Tensor, dtype: Any = None) -> Any:
    """Warp's view of a contiguous tensor's memory."""
    return kernels.wp.from_torch(tensor.detach(), dtype=dtype, requires_grad=False)


def _launch(
    kernels: SimpleNamespace, kernel: Any, size: int | tuple[int, ...], device: torch.device, *given: Any
) -> None:
    """Run a kernel behind whatever torch has queued on the device."""
    wp = kernels.wp
    stream = wp.stream_from_torch(torch.cuda.current_stream(device)) if device.type == "cuda" else None
    inputs = [_view(kernels, part) if isinstance(part, Tensor) else part for part in given]
    wp.launch(kernel, dim=size, inputs=inputs, device=wp.device_from_torch(device), stream=stream)


def _scene(kernels: SimpleNamespace, clip: Tensor, faces: Tensor, size: tuple[int, int]) -> Any:
    """The structure `drawing.Scene` of positions (B, V, 4) and faces (F, 3)."""
    scene = kernels.Scene()
    scene.clip = _view(kernels, clip.view(-1, 4), kernels.wp.vec4)
    scene.faces = _view(kernels, faces)
    scene.vertices, (scene.height, scene.width) = clip.shape[1], size
    return scene


def _draw_keys(
    kernels: SimpleNamespace, clip: Tensor, faces: Tensor, size: tuple[int, int], behind: Tensor, cull: bool
) -> Tensor:
    """(B * H * W,) int64 key of the face that wins each pixel."""
    (height, width), pictures, device = size, len(clip), clip.device
    keys = torch.full((pictures * height * width,), NOTHING, device=device)
    large = clip.new_empty(min(pictures * len(faces), _LARGE_TRIANGLES), 3, 3)
    large_face = torch.empty(len(large), 2, dtype=torch.int32, device=device)
    count = torch.zeros(1, dtype=torch.int32, device=device)
    target = kernels.Target()
    target.keys, target.behind, target.count = (_view(kernels, part) for part in (keys, behind, count))
    target.large, target.large_face = _view(kernels, large, kernels.wp.mat33), _view(kernels, large_face)
    target.height, target.width, target.cull = height, width, cull
    scene = _scene(kernels, clip, faces, size)
    _launch(kernels, kernels.draw_faces, (pictures, len(faces)), device, scene, target)
    listed = min(int(count), len(large))
    _launch(kernels, kernels.draw_large, (listed, height), device, target)
    return keys


def _find_outlines(kernels: SimpleNamespace, clip: Tensor, faces: Tensor, neighbours: Neighbours) -> Tensor:
    """(B, F) int8 with a bit for each edge that is a silhouette."""
    size, device = (len(clip), len(faces)), clip.device
    fronts, outlines = (torch.empty(size, dtype=torch.int8, device=device) for _ in range(2))
    _launch(kernels, kernels.find_fronts, size, device, _scene(kernels, clip, faces, (1, 1)), fronts)
    _launch(kernels, kernels.find_outlines, size, device, fronts, neighbours.face, neighbours.turned, outlines)
    return outlines


class _Locate(torch.autograd.Function):
    """Faces, weights and depths from the keys."""

    @staticmethod
    def forward(ctx: Any, clip: Tensor, keys: Tensor, faces: Tensor, size: tuple[int, int], kernels: Any) -> Any:
        shape = (len(clip), *size)
        face_index = torch.empty(shape, dtype=torch.int64, device=clip.device)
        barycentric, depth = clip.new_empty(*shape, 3), clip.new_empty(shape)
        results = face_index.view(-1), _view(kernels, barycentric.view(-1, 3), kernels.wp.vec3), depth.view(-1)
        _launch(kernels, kernels.locate, keys.numel(), clip.device, keys, _scene(kernels, clip, faces, size), *results)
        ctx.save_for_backward(clip, faces, face_index, barycentric, depth)
        ctx.size, ctx.kernels = size, kernels
        ctx.mark_non_differentiable(face_index)
        return face_index, barycentric, depth

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor, of_barycentric: Tensor, of_depth: Tensor) -> Any:
        clip, faces, face_index, barycentric, depth = ctx.saved_tensors
        kernels, gradient = ctx.kernels, torch.zeros_like(clip)
        vectors = barycentric.view(-1, 3), of_barycentric.contiguous().view(-1, 3)
        weights, of_weights = (_view(kernels, part, kernels.wp.vec3) for part in vectors)
        _launch(
            *(kernels, kernels.locate_adjoint, face_index.numel(), clip.device),
            *(face_index.view(-1), _scene(kernels, clip, faces, ctx.size), SMALLEST_AREA, weights, depth.view(-1)),
            *(of_weights, of_depth.contiguous().view(-1), _view(kernels, gradient.view(-1, 4), kernels.wp.vec4)),
        )
        return gradient, None, None, None, None


def _of_pixels(
    kernels: SimpleNamespace, attributes: Tensor, barycentric: Tensor, face_index: Tensor, faces: Tensor
) -> tuple[Any, ...]:
    """What both kernels of interpolation take first."""
    weights = _view(kernels, barycentric.view(-1, 3), kernels.wp.vec3)
    stride = attributes.shape[1] if len(attributes) > 1 else 0
    pixels = face_index.shape[1] * face_index.shape[2]
    return face_index.view(-1), weights, faces, attributes.view(-1, attributes.shape[2]), stride, pixels


class _Interpolate(torch.autograd.Function):
    """Attributes of the pixels."""

    @staticmethod
    def forward(
        ctx: Any, attributes: Tensor, barycentric: Tensor, face_index: Tensor, faces: Tensor, kernels: Any
    ) -> Tensor:
        channels = attributes.shape[2]
        picture = attributes.new_zeros(*face_index.shape, channels)
        ctx.save_for_backward(attributes, barycentric, face_index, faces)
        ctx.kernels = kernels
        given = _of_pixels(kernels, attributes, barycentric, face_index, faces)
        _launch(kernels, kernels.interpolate, face_index.numel(), picture.device, *given, picture.view(-1, channels))
        return picture

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_picture: Tensor) -> Any:
        attributes, barycentric, face_index, _ = ctx.saved_tensors
        given = _of_pixels(ctx.kernels, *ctx.saved_tensors)
        kernels, channels = ctx.kernels, attributes.shape[2]
        wanted = ctx.needs_input_grad[0]
        of_attributes = torch.zeros_like(attributes) if wanted else attributes.new_empty(0, 1, channels)
        of_barycentric = torch.zeros_like(barycentric)
        _launch(
            *(kernels, kernels.interpolate_adjoint, face_index.numel(), attributes.device, *given),
            *(of_picture.contiguous().view(-1, channels), of_attributes.view(-1, channels)),
            _view(kernels, of_barycentric.view(-1, 3), kernels.wp.vec3),
        )
        return of_attributes if wanted else None, of_barycentric, None, None, None


class _Smooth(torch.autograd.Function):
    """Pictures with smooth silhouettes."""

    @staticmethod
    def forward(
        ctx: Any,
        image: Tensor,
        clip: Tensor,
        face_index: Tensor,
        depth: Tensor,
        faces: Tensor,
        outlines: Tensor,
        kernels: Any,
    ) -> Tensor:
        _, height, width, channels = image.shape
        marks = torch.empty(face_index.numel(), dtype=torch.int8, device=image.device)
        result = image.clone()
        _launch(
            *(kernels, kernels.smooth, len(marks), image.device, face_index.view(-1), depth.view(-1)),
            *(_scene(kernels, clip, faces, (height, width)), outlines, image.view(-1, channels), marks),
            result.view(-1, channels),
        )
        ctx.save_for_backward(image, clip, face_index, faces, marks)
        ctx.kernels = kernels
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_result: Tensor) -> Any:
        image, clip, face_index, faces, marks = ctx.saved_tensors
        kernels, (_, height, width, channels) = ctx.kernels, image.shape
        of_result = of_result.contiguous()
        of_image, gradient = of_result.clone(), torch.zeros_like(clip)
        _launch(
            *(kernels, kernels.smooth_adjoint, len(marks), image.device, face_index.view(-1)),
            *(_scene(kernels, clip, faces, (height, width)), SHORTEST_EDGE, image.view(-1, channels), marks),
            *(of_result.view(-1, channels), of_image.view(-1, channels)),
            _view(kernels, gradient.view(-1, 4), kernels.wp.vec4),
        )
        return of_image, gradient, None, None, None, None, None
