"""What pixels see of the faces found for them: weights, depth, attributes; with gradients, in bounded memory.

Weights are found in homogeneous coordinates (Olano and Greer, "Triangle scan conversion using 2D homogeneous
coordinates", 1997), so they are perspective-correct and hold for faces that reach behind the camera too.

Pixels are taken in chunks, forwards and backwards, and what the chain rule needs is computed again on the way back
rather than kept: beside the pictures themselves only one chunk is ever in memory.

Dimension letters: B pictures, V vertices, F faces, H rows, W columns, C channels, M pixels of a chunk, N rows of
values.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from framework.renderers.rasterizer import Fragments

SMALLEST_AREA = 1e-6
"""Gradients are those of triangles that are larger by this much (twice the area in NDC, times the corners' w): slivers
would otherwise be pushed without bound."""

CHUNK = 262_144


def locate(clip_positions: Tensor, faces: Tensor, face_index: Tensor, chunk: int = CHUNK) -> Fragments:
    """Return the fragments of faces found (B, H, W), -1 for none, differentiable in `clip_positions` (B, V, 4)."""
    return Fragments(face_index, *_Locate.apply(clip_positions, faces, face_index, chunk))


def blend(attributes: Tensor, fragments: Fragments, faces: Tensor, chunk: int = CHUNK) -> Tensor:
    """Return (B, H, W, C) `attributes` (B or 1, V, C) at the fragments, differentiable in them and in the weights."""
    picture: Tensor = _Blend.apply(attributes, fragments.barycentric, fragments.face_index, faces, chunk)
    return picture


def _seen(face_index: Tensor, faces: Tensor, vertices: int, chunk: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Flat numbers (M,) of pixels that see a face, and (3, M) rows of its corners; `vertices`: rows of a picture."""
    _, height, width = face_index.shape
    flat, corners_of = face_index.reshape(-1), faces.t().contiguous()
    for pixel in (flat >= 0).nonzero().squeeze(1).split(chunk):
        corners = corners_of.index_select(1, flat.index_select(0, pixel))
        yield pixel, corners + pixel // (height * width) * vertices if vertices else corners


class _Corners:
    """The three corners of the faces that some pixels see, as seen from the pixels' centres; (3, M) each."""

    def __init__(self, clip_positions: Tensor, pixel: Tensor, corners: Tensor, shape: torch.Size) -> None:
        _, height, width = shape
        x, y, z, w = clip_positions.reshape(-1, 4).index_select(0, corners.reshape(-1)).view(3, -1, 4).unbind(2)
        self.centre_x = ((pixel % width).to(x.dtype) + 0.5) * (2 / width) - 1
        self.centre_y = 1 - ((pixel // width % height).to(x.dtype) + 0.5) * (2 / height)
        self.x, self.y, self.z, self.w = x - self.centre_x * w, y - self.centre_y * w, z, w
        x, y = self.x, self.y
        self.areas = torch.stack([x[j] * y[k] - x[k] * y[j] for j, k in ((1, 2), (2, 0), (0, 1))])
        self.total = self.areas.sum(0)

    def weights(self) -> Tensor:
        """(3, M) shares of the areas; a third each where the face is seen from its edge."""
        flat = self.total == 0
        return torch.where(flat, 1 / 3, self.areas / torch.where(flat, 1, self.total))

    def pulled(self, of_weights: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients (3, M) of x and y, given those of the weights (3, M)."""
        longer = self.total + torch.copysign(torch.full_like(self.total, SMALLEST_AREA), self.total)
        # The third weight is what the first two leave.
        first, second = of_weights[0] - of_weights[2], of_weights[1] - of_weights[2]
        rest = (first * self.areas[0] + second * self.areas[1]) / longer
        of_areas = torch.stack([first - rest, second - rest, -rest]) / longer
        after, before = of_areas.roll(-1, 0), of_areas.roll(-2, 0)
        of_x = before * self.y.roll(-1, 0) - after * self.y.roll(-2, 0)
        of_y = after * self.x.roll(-2, 0) - before * self.x.roll(-1, 0)
        return of_x, of_y


class _Locate(torch.autograd.Function):
    """Weights (B, H, W, 3) and NDC depth (B, H, W)."""

    @staticmethod
    def forward(ctx: Any, clip_positions: Tensor, faces: Tensor, face_index: Tensor, chunk: int) -> Any:
        shape = face_index.shape
        barycentric = clip_positions.new_zeros(shape.numel(), 3)
        depth = clip_positions.new_ones(shape.numel())
        for pixel, rows in _seen(face_index, faces, clip_positions.shape[1], chunk):
            corners = _Corners(clip_positions, pixel, rows, shape)
            weights = corners.weights()
            barycentric.index_copy_(0, pixel, weights.t())
            depth.index_copy_(0, pixel, (weights * corners.z).sum(0) / (weights * corners.w).sum(0))
        results = barycentric.view(*shape, 3), depth.view(shape)
        ctx.save_for_backward(clip_positions, faces, face_index, *results)
        ctx.chunk = chunk
        return results

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_barycentric: Tensor, of_depth: Tensor) -> Any:
        clip_positions, faces, face_index, barycentric, depth = ctx.saved_tensors
        gradient = clip_positions.new_zeros(clip_positions.shape[0] * clip_positions.shape[1], 4)
        of_barycentric, of_depth = of_barycentric.reshape(-1, 3), of_depth.reshape(-1)
        for pixel, rows in _seen(face_index, faces, clip_positions.shape[1], ctx.chunk):
            corners = _Corners(clip_positions, pixel, rows, face_index.shape)
            weights = barycentric.view(-1, 3).index_select(0, pixel).t()
            found = depth.view(-1).index_select(0, pixel)
            # Depth is (weights . z) / (weights . w).
            ratio = of_depth.index_select(0, pixel) / (weights * corners.w).sum(0)
            of_weights = of_barycentric.index_select(0, pixel).t() + ratio * (corners.z - found * corners.w)
            of_x, of_y = corners.pulled(of_weights)
            of_z = ratio * weights
            of_w = -found * of_z - corners.centre_x * of_x - corners.centre_y * of_y
            gradient.index_add_(0, rows.reshape(-1), torch.stack([of_x, of_y, of_z, of_w], 2).view(-1, 4))
        return gradient.view_as(clip_positions), None, None, None


class _Blend(torch.autograd.Function):
    """Weighted sums of the corners' attributes."""

    @staticmethod
    def forward(
        ctx: Any, attributes: Tensor, barycentric: Tensor, face_index: Tensor, faces: Tensor, chunk: int
    ) -> Tensor:
        shape, channels = face_index.shape, attributes.shape[2]
        kind = torch.promote_types(attributes.dtype, barycentric.dtype)
        picture = torch.zeros(shape.numel(), channels, dtype=kind, device=attributes.device)
        values, stride = attributes.reshape(-1, channels), attributes.shape[1] if len(attributes) > 1 else 0
        for pixel, rows in _seen(face_index, faces, stride, chunk):
            weights = barycentric.reshape(-1, 3).index_select(0, pixel)
            parts = (values.index_select(0, rows[i]) * weights[:, i : i + 1] for i in range(3))
            picture.index_copy_(0, pixel, next(parts).add_(next(parts)).add_(next(parts)))
        ctx.save_for_backward(attributes, barycentric, face_index, faces)
        ctx.chunk, ctx.stride = chunk, stride
        return picture.view(*shape, channels)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_picture: Tensor) -> Any:
        attributes, barycentric, face_index, faces = ctx.saved_tensors
        values, of_picture = attributes.reshape(-1, attributes.shape[2]), of_picture.reshape(-1, attributes.shape[2])
        of_values = torch.zeros_like(values) if ctx.needs_input_grad[0] else None
        of_weights = barycentric.new_zeros(barycentric.numel() // 3, 3) if ctx.needs_input_grad[1] else None
        for pixel, rows in _seen(face_index, faces, ctx.stride, ctx.chunk):
            given = of_picture.index_select(0, pixel)
            if of_weights is not None:
                products = [(given * values.index_select(0, rows[i])).sum(1) for i in range(3)]
                of_weights.index_copy_(0, pixel, torch.stack(products, 1).to(of_weights.dtype))
            if of_values is not None:
                weights = barycentric.reshape(-1, 3).index_select(0, pixel)
                for i in range(3):
                    of_values.index_add_(0, rows[i], (given * weights[:, i : i + 1]).to(of_values.dtype))
        shaped = [None if of_values is None else of_values.view_as(attributes)]
        shaped.append(None if of_weights is None else of_weights.view_as(barycentric))
        return *shaped, None, None, None
