"""The rasterizer on Warp: torch tensors in and out without copies, gradients by hand-written adjoints.

Draws what the plain-torch rasterizer draws: positions are projected and triangles tested by the same sums. Everything
is computed in 32 bits, whatever the tensors' dtype. On a GPU gradients are added up in no fixed order.

Dimension letters: B pictures, V vertices, F faces, H rows, W columns, C channels.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from framework.renderers.antialiasing import SHORTEST_EDGE, NeighbourMemory, Neighbours
from framework.renderers.arguments import check_attributes, check_image, check_layer, check_scene
from framework.renderers.config import WarpRasterizerConfig
from framework.renderers.coverage import NOTHING, layer_behind
from framework.renderers.pixels import SMALLEST_AREA
from framework.renderers.rasterizer import Fragments, Wrap
from framework.renderers.texturing import texture
from framework.renderers.warp.kernels import load

# Kind of device -> how many large triangles are listed. A GPU's threads share their rows; a CPU draws them at once.
_LARGE_TRIANGLES = {"cuda": 65_536, "cpu": 0}


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
        if clip_positions.device.type not in _LARGE_TRIANGLES:
            raise ValueError(f"renderer=warp draws on CPU and CUDA, not on {clip_positions.device}: use renderer=torch")
        clip, faces = clip_positions.float().contiguous(), faces.contiguous()
        keys = _draw_keys(self._kernels, clip.detach(), faces, size, behind, self.config.cull_backfaces)
        face_index, barycentric, depth = _Locate.apply(clip, keys, faces, self._kernels)
        return Fragments(face_index, barycentric.to(clip_positions.dtype), depth.to(clip_positions.dtype))

    def interpolate(self, attributes: Tensor, fragments: Fragments, faces: Tensor) -> Tensor:
        """Return (B, H, W, C) values of vertex `attributes` at the fragments; see `Rasterizer.interpolate`."""
        check_attributes(attributes, fragments, faces)
        values, weights = attributes.float().contiguous(), fragments.barycentric.float().contiguous()
        picture = _Interpolate.apply(values, weights, fragments.face_index, faces.contiguous(), self._kernels)
        return picture.to(torch.promote_types(attributes.dtype, fragments.barycentric.dtype))

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


def _each(pictures: int, device: torch.device, draw: Callable[[slice], None]) -> None:
    """Call `draw` on all pictures; on a CPU, where a launch keeps one core busy, on some of them in each thread."""
    threads = min(pictures, torch.get_num_threads()) if device.type == "cpu" else 1
    if threads < 2:
        draw(slice(0, pictures))
        return
    ends = [number * pictures // threads for number in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(draw, map(slice, ends[:-1], ends[1:])))


def _scene(kernels: SimpleNamespace, clip: Tensor, faces: Tensor, size: Sequence[int]) -> Any:
    """The structure `drawing.Scene` of positions (B, V, 4), faces (F, 3) and the pictures' (H, W)."""
    scene = kernels.Scene()
    scene.clip = _view(kernels, clip.view(-1, 4), kernels.wp.vec4)
    scene.faces = _view(kernels, faces)
    scene.vertices, (scene.height, scene.width) = clip.shape[1], tuple(size)
    return scene


def _draw_keys(
    kernels: SimpleNamespace, clip: Tensor, faces: Tensor, size: tuple[int, int], behind: Tensor, cull: bool
) -> Tensor:
    """(B, H, W) int64 key of the face that wins each pixel."""
    keys = torch.full((len(clip), *size), NOTHING, device=clip.device)
    nearest = behind.view(len(clip), -1) if behind.numel() else behind.view(0, 1)

    def draw(part: slice) -> None:
        _draw_part(kernels, clip[part], faces, keys[part], nearest[part], cull)

    _each(len(clip), clip.device, draw)
    return keys


def _draw_part(kernels: SimpleNamespace, clip: Tensor, faces: Tensor, keys: Tensor, behind: Tensor, cull: bool) -> None:
    """Lower the keys (B, H, W) of some pictures."""
    (pictures, height, width), device = keys.shape, clip.device
    large = clip.new_empty(min(pictures * len(faces), _LARGE_TRIANGLES[device.type]), 3, 3)
    large_face = torch.empty(len(large), 2, dtype=torch.int32, device=device)
    count = torch.zeros(1, dtype=torch.int32, device=device)
    target = kernels.Target()
    target.keys, target.behind, target.count = (_view(kernels, part.view(-1)) for part in (keys, behind, count))
    target.large, target.large_face = _view(kernels, large, kernels.wp.mat33), _view(kernels, large_face)
    target.height, target.width, target.cull = height, width, cull
    scene = _scene(kernels, clip, faces, (height, width))
    _launch(kernels, kernels.draw_faces, (pictures, len(faces)), device, scene, target)
    if len(large):
        listed = min(int(count), len(large))
        _launch(kernels, kernels.draw_large, (listed, height), device, target)


def _find_outlines(kernels: SimpleNamespace, clip: Tensor, faces: Tensor, neighbours: Neighbours) -> Tensor:
    """(B, F) int8 with a bit for each edge that is a silhouette."""
    fronts, outlines = (torch.empty(len(clip), len(faces), dtype=torch.int8, device=clip.device) for _ in range(2))

    def find(part: slice) -> None:
        shape, scene = tuple(fronts[part].shape), _scene(kernels, clip[part], faces, (1, 1))
        given = fronts[part], neighbours.face, neighbours.turned, outlines[part]
        _launch(kernels, kernels.find_fronts, shape, clip.device, scene, fronts[part])
        _launch(kernels, kernels.find_outlines, shape, clip.device, *given)

    _each(len(clip), clip.device, find)
    return outlines


class _Locate(torch.autograd.Function):
    """Faces, weights and depths from the keys."""

    @staticmethod
    def forward(ctx: Any, clip: Tensor, keys: Tensor, faces: Tensor, kernels: Any) -> Any:
        face_index, depth = torch.empty_like(keys), clip.new_empty(keys.shape)
        barycentric, size = clip.new_empty(*keys.shape, 3), keys.shape[1:]

        def locate(part: slice) -> None:
            results = _flat(kernels, face_index[part], barycentric[part], depth[part])
            scene = _scene(kernels, clip[part], faces, size)
            _launch(kernels, kernels.locate, depth[part].numel(), clip.device, keys[part].view(-1), scene, *results)

        _each(len(clip), clip.device, locate)
        ctx.save_for_backward(clip, faces, face_index, barycentric, depth)
        ctx.kernels = kernels
        ctx.mark_non_differentiable(face_index)
        return face_index, barycentric, depth

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor, of_barycentric: Tensor, of_depth: Tensor) -> Any:
        clip, faces, face_index, barycentric, depth = ctx.saved_tensors
        kernels, gradient, size = ctx.kernels, torch.zeros_like(clip), depth.shape[1:]
        of_barycentric, of_depth = of_barycentric.contiguous(), of_depth.contiguous()

        def pull(part: slice) -> None:
            face, weights, depths = _flat(kernels, face_index[part], barycentric[part], depth[part])
            _, *of_results = _flat(kernels, face_index[part], of_barycentric[part], of_depth[part])
            scene, pulled = _scene(kernels, clip[part], faces, size), _vectors(kernels, gradient[part])
            given = face, scene, SMALLEST_AREA, weights, depths, *of_results, pulled
            _launch(kernels, kernels.locate_adjoint, depth[part].numel(), clip.device, *given)

        _each(len(clip), clip.device, pull)
        return gradient, None, None, None


def _flat(kernels: SimpleNamespace, face_index: Tensor, barycentric: Tensor, depth: Tensor) -> tuple[Any, Any, Any]:
    """Fragments of some pictures as the kernels take them, one row for each pixel."""
    return face_index.view(-1), _vectors(kernels, barycentric), depth.view(-1)


def _vectors(kernels: SimpleNamespace, values: Tensor) -> Any:
    """Warp's view of (..., 3) or (..., 4) values as a row of vectors."""
    vector = kernels.wp.vec3 if values.shape[-1] == 3 else kernels.wp.vec4
    return _view(kernels, values.reshape(-1, values.shape[-1]), vector)


class _Interpolate(torch.autograd.Function):
    """Attributes of the pixels."""

    @staticmethod
    def forward(
        ctx: Any, attributes: Tensor, barycentric: Tensor, face_index: Tensor, faces: Tensor, kernels: Any
    ) -> Tensor:
        picture = attributes.new_zeros(*face_index.shape, attributes.shape[2])

        def draw(part: slice) -> None:
            given = _attributes_of(kernels, attributes, barycentric, face_index, faces, part)
            _launch(kernels, kernels.interpolate, given[0].numel(), picture.device, *given, _rows(picture[part]))

        _each(len(picture), picture.device, draw)
        ctx.save_for_backward(attributes, barycentric, face_index, faces)
        ctx.kernels = kernels
        return picture

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_picture: Tensor) -> Any:
        attributes, barycentric, face_index, faces = ctx.saved_tensors
        kernels, wanted, of_picture = ctx.kernels, ctx.needs_input_grad[0], of_picture.contiguous()
        of_barycentric = torch.zeros_like(barycentric)
        shared = len(attributes) == 1
        # Attributes that all pictures share get a sum from each thread.
        sums: list[Tensor] = []
        of_own = torch.zeros_like(attributes) if wanted and not shared else attributes.new_empty(0, 1, 1)

        def pull(part: slice) -> None:
            of_attributes = torch.zeros_like(attributes) if wanted and shared else of_own[part]
            inputs = _attributes_of(kernels, attributes, barycentric, face_index, faces, part)
            given = *inputs, _rows(of_picture[part]), _rows(of_attributes)
            pulled = _vectors(kernels, of_barycentric[part])
            _launch(kernels, kernels.interpolate_adjoint, given[0].numel(), attributes.device, *given, pulled)
            sums.append(of_attributes)

        _each(len(of_picture), of_picture.device, pull)
        if not wanted:
            return None, of_barycentric, None, None, None
        return sum(sums[1:], sums[0]) if shared else of_own, of_barycentric, None, None, None


def _attributes_of(
    kernels: SimpleNamespace,
    attributes: Tensor,
    barycentric: Tensor,
    face_index: Tensor,
    faces: Tensor,
    part: slice,
) -> tuple[Any, ...]:
    """What both kernels of interpolation take first, for some of the pictures."""
    shared = len(attributes) == 1
    stride, pixels = 0 if shared else attributes.shape[1], face_index.shape[1] * face_index.shape[2]
    weights, values = _vectors(kernels, barycentric[part]), _rows(attributes if shared else attributes[part])
    return face_index[part].view(-1), weights, faces, values, stride, pixels


def _rows(values: Tensor) -> Tensor:
    """(..., C) values as (N, C)."""
    return values.reshape(-1, values.shape[-1])


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
        marks, result = torch.empty(depth.shape, dtype=torch.int8, device=image.device), image.clone()
        size = depth.shape[1:]

        def smooth(part: slice) -> None:
            scene = _scene(kernels, clip[part], faces, size)
            given = face_index[part].view(-1), depth[part].view(-1), scene, outlines[part], _rows(image[part])
            _launch(kernels, kernels.smooth, marks[part].numel(), image.device, *given, *_marked(marks, result, part))

        _each(len(clip), clip.device, smooth)
        ctx.save_for_backward(image, clip, face_index, faces, marks)
        ctx.kernels = kernels
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_result: Tensor) -> Any:
        image, clip, face_index, faces, marks = ctx.saved_tensors
        kernels, of_result, size = ctx.kernels, of_result.contiguous(), marks.shape[1:]
        of_image, gradient = of_result.clone(), torch.zeros_like(clip)

        def pull(part: slice) -> None:
            scene = _scene(kernels, clip[part], faces, size)
            given = face_index[part].view(-1), scene, SHORTEST_EDGE, _rows(image[part])
            pulled = *_marked(marks, of_result, part), _rows(of_image[part]), _vectors(kernels, gradient[part])
            _launch(kernels, kernels.smooth_adjoint, marks[part].numel(), image.device, *given, *pulled)

        _each(len(clip), clip.device, pull)
        return of_image, gradient, None, None, None, None, None


def _marked(marks: Tensor, picture: Tensor, part: slice) -> tuple[Tensor, Tensor]:
    """Marks and colours of some pictures, one row for each pixel."""
    return marks[part].view(-1), _rows(picture[part])
