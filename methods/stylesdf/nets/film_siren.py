"""StyleSDF's field: sine layers whose frequencies and phases come from a latent (FiLM-SIREN).

A layer sin(gamma * (x W^T + b) + beta) is computed as sin(x W'^T + b') with W' = diag(gamma) W and b' = gamma * b +
beta, which are a latent's own: one matrix product and one sine for all points, in training too.

Dimension letters: B latents, D numbers of a latent, I inputs of a layer, W channels of a layer, P points, ... axes of
points.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import sqrt
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from methods.stylesdf.config import RendererConfig
from methods.stylesdf.nets.mapping import SLOPE
from methods.stylesdf.nets.precision import full_precision

CACHED_POINTS = 8192
"""Points of each thread asked at once on a CPU without gradients: few enough for its cache, enough to be worth waiting
for the other threads after every layer."""


class SirenOutput(NamedTuple):
    """What the field says about points."""

    rgb: Tensor
    """(B, ..., 3) colour before the sigmoid."""

    sdf: Tensor
    """(B, ...) signed distance in world units, negative inside; or a raw density."""

    features: Tensor
    """(B, ..., W) in [-1, 1]."""


class _Style(nn.Linear):
    """scale * (x W^T + b) + offset, of small weights: what a latent does to a layer."""

    def __init__(self, style_dim: int, width: int, scale: float, offset: float) -> None:
        self.scale, self.offset = scale, offset
        super().__init__(style_dim, width)

    def reset_parameters(self) -> None:
        nn.init.kaiming_normal_(self.weight, a=SLOPE)
        with torch.no_grad():
            self.weight.mul_(0.25)
        _uniform_bias(self)

    def forward(self, latents: Tensor) -> Tensor:
        return self.scale * super().forward(latents) + self.offset


class FilmLayer(nn.Module):
    """sin(gamma * (x W^T + b) + beta); gamma and beta (B, W) follow from the latent."""

    def __init__(self, inputs: int, width: int, style_dim: int, first: bool = False) -> None:
        super().__init__()
        bound = 1.0 / 3.0 if first else _head_bound(inputs)
        self.weight = nn.Parameter(torch.empty(width, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(width).uniform_(-sqrt(1.0 / inputs), sqrt(1.0 / inputs)))
        self.gamma = _Style(style_dim, width, 15.0, 30.0)
        self.beta = _Style(style_dim, width, 0.25, 0.0)

    def forward(self, latents: Tensor) -> Folded:
        """The layer as it is for latents (B, D)."""
        gamma = self.gamma(latents)
        shift = torch.addcmul(self.beta(latents), gamma, self.bias)
        return Folded((gamma[:, :, None] * self.weight).mT, shift[:, None])


class Folded(NamedTuple):
    """A layer sin(x weight + bias) for each of B latents."""

    weight: Tensor
    """(B, I, W)."""

    bias: Tensor
    """(B, 1, W)."""

    def phase(self, values: Tensor) -> Tensor:
        """(B, P, W) what the sine is taken of, for `values` (B, P, I)."""
        return torch.baddbmm(self.bias, values, self.weight)


class _SineAndCosine(torch.autograd.Function):
    """sin x and cos x, each also the other's derivative: nothing is computed again in the backward pass."""

    @staticmethod
    def forward(ctx: Any, phase: Tensor) -> tuple[Tensor, Tensor]:
        sine, cosine = phase.sin(), phase.cos()
        ctx.save_for_backward(sine, cosine)
        return sine, cosine

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        sine, cosine = ctx.saved_tensors
        return torch.addcmul(gradients[0] * cosine, gradients[1], sine, value=-1.0)


class _Head(nn.Linear):
    """A linear layer of small weights."""

    def reset_parameters(self) -> None:
        bound = _head_bound(self.in_features)
        nn.init.uniform_(self.weight, -bound, bound)
        _uniform_bias(self)


def _head_bound(inputs: int) -> float:
    return sqrt(6.0 / inputs) / 25.0


def _uniform_bias(layer: nn.Linear) -> None:
    bound = sqrt(1.0 / layer.in_features)
    nn.init.uniform_(layer.bias, -bound, bound)


class FilmSiren(nn.Module):
    """Points in network coordinates and view directions -> colour, signed distance, features.

    In its own precision whatever is allowed outside. ValueError where `style_dim` differs from the width: published
    weights know no other case.
    """

    def __init__(self, config: RendererConfig, style_dim: int) -> None:
        super().__init__()
        if style_dim != config.width:
            raise ValueError(
                f"generator.style_dim is {style_dim} and renderer.width {config.width}: they must be equal. "
                "Set both to the same number"
            )
        width = config.width
        self.pts_linears = nn.ModuleList(
            FilmLayer(width if index else 3, width, style_dim, first=index == 0) for index in range(config.depth)
        )
        self.views_linears = FilmLayer(width + 3, width, style_dim)
        self.rgb_linear = _Head(width, 3)
        self.sigma_linear = _Head(width, 1)

    def forward(self, points: Tensor, directions: Tensor, latents: Tensor) -> SirenOutput:
        """What latents (B, D) say about `points` (B, ..., 3) seen along unit `directions` (B, ..., 3)."""
        axes = points.shape[1:-1]
        with full_precision(points.device):
            points, directions, latents = self._own(points, directions, latents)
            if torch.is_grad_enabled():
                hidden = points
                for layer in self._folded(latents):
                    hidden = layer.phase(hidden).sin()
                found = self._seen(hidden, directions, latents)
            else:
                found = self._at_once(points, directions, latents)
        return SirenOutput(*(values.unflatten(1, axes) for values in found))

    def with_gradient(self, points: Tensor, directions: Tensor, latents: Tensor) -> tuple[SirenOutput, Tensor]:
        """The same, and the gradient (B, ..., 3) of the signed distance with respect to the points.

        The gradient is an expression of its own, so that a loss of it costs no second differentiation.
        """
        axes = points.shape[1:-1]
        with full_precision(points.device):
            hidden, directions, latents = self._own(points, directions, latents)
            layers, slopes = self._folded(latents), []
            for layer in layers:
                hidden, slope = _SineAndCosine.apply(layer.phase(hidden))
                slopes.append(slope)
            gradient = self.sigma_linear.weight
            for layer, slope in zip(reversed(layers), reversed(slopes), strict=True):
                gradient = torch.bmm(gradient * slope, layer.weight.mT)
            found = self._seen(hidden, directions, latents)
        return SirenOutput(*(values.unflatten(1, axes) for values in found)), gradient.unflatten(1, axes)

    def sdf(self, points: Tensor, latents: Tensor) -> Tensor:
        """(B, ...) the signed distance alone, of `points` (B, ..., 3)."""
        axes = points.shape[1:-1]
        with full_precision(points.device):
            hidden, latents = self._own(points, latents)
            if not torch.is_grad_enabled():
                return self._distances(hidden, latents).unflatten(1, axes)
            for layer in self._folded(latents):
                hidden = layer.phase(hidden).sin()
            return self.sigma_linear(hidden)[..., 0].unflatten(1, axes)

    def _own(self, *given: Tensor) -> list[Tensor]:
        """Points as (B, P, 3), latents as they are, in the network's precision."""
        dtype = self.sigma_linear.weight.dtype
        return [values.flatten(1, -2).to(dtype) if values.ndim > 2 else values.to(dtype) for values in given]

    def _folded(self, latents: Tensor) -> list[Folded]:
        return [layer(latents) for layer in self.pts_linears]

    def _seen(self, hidden: Tensor, directions: Tensor, latents: Tensor) -> SirenOutput:
        """All outputs from what the last layer before the view layer gives."""
        features = self.views_linears(latents).phase(torch.cat([hidden, directions], dim=-1)).sin()
        return SirenOutput(self.rgb_linear(features), self.sigma_linear(hidden)[..., 0], features)

    def _at_once(self, points: Tensor, directions: Tensor, latents: Tensor) -> SirenOutput:
        """All outputs without gradients: in place, points by points."""
        width = self.sigma_linear.in_features
        shape, view = points.shape[:-1], self.views_linears(latents)
        rgb, sdf = points.new_empty(*shape, 3), points.new_empty(*shape, 1)
        features = points.new_empty(*shape, width)
        for item, rows, hidden in self._passes(points, latents):
            _affine(hidden, self.sigma_linear.weight.mT, self.sigma_linear.bias, sdf[item, rows])
            seen = _affine(hidden, view.weight[item, :width], view.bias[item, 0], features[item, rows])
            seen.addmm_(directions[item, rows], view.weight[item, width:]).sin_()
            _affine(seen, self.rgb_linear.weight.mT, self.rgb_linear.bias, rgb[item, rows])
        return SirenOutput(rgb, sdf[..., 0], features)

    def _distances(self, points: Tensor, latents: Tensor) -> Tensor:
        """(B, P) the signed distance without gradients."""
        sdf = points.new_empty(*points.shape[:-1], 1)
        for item, rows, hidden in self._passes(points, latents):
            _affine(hidden, self.sigma_linear.weight.mT, self.sigma_linear.bias, sdf[item, rows])
        return sdf[..., 0]

    def _passes(self, points: Tensor, latents: Tensor) -> Iterator[tuple[int, slice, Tensor]]:
        """(latent, rows of its points, what the last layer before the view layer gives for them), part by part.

        The tensor is overwritten by the next part.
        """
        layers, count = self._folded(latents), points.shape[1]
        part = count if points.is_cuda else min(CACHED_POINTS * torch.get_num_threads(), count)
        room = points.new_empty(2, part, self.sigma_linear.in_features)
        for item in range(len(points)):
            for first in range(0, count, part):
                rows = slice(first, min(first + part, count))
                yield item, rows, _through([_of(layer, item) for layer in layers], points[item, rows], room)


def _of(layer: Folded, item: int) -> tuple[Tensor, Tensor]:
    return layer.weight[item], layer.bias[item, 0]


def _through(layers: Sequence[tuple[Tensor, Tensor]], values: Tensor, room: Tensor) -> Tensor:
    """`values` (P, I) through sine layers, from one half of `room` (2, at least P, W) to the other and back."""
    for index, (weight, bias) in enumerate(layers):
        values = _affine(values, weight, bias, room[index % 2, : len(values)]).sin_()
    return values


def _affine(values: Tensor, weight: Tensor, bias: Tensor, out: Tensor) -> Tensor:
    """values @ weight + bias, written to `out`."""
    return torch.addmm(bias, values, weight, out=out)
