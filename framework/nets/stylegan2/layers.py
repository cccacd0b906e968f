"""Layers with equalised learning rate and style-modulated convolutions (Karras et al. 2018, 2020).

Weights are N(0, 1) and are scaled when used, so that all of them learn equally fast. Parameters and buffers carry the
names of the widely used PyTorch port (`weight`, `modulation`, `blur.kernel`, `activate.bias`), so that its files load.

B batch, C channels, D numbers of a style, k kernel side.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, linear

from framework.nets.stylegan2.resampling import Resample, biased_leaky_relu, leaky_relu_

ROOT2 = math.sqrt(2.0)


def channels_at(resolution: int, multiplier: int = 2, limit: int | None = None) -> int:
    """Channels of StyleGAN2's maps of a side: 512 up to 32, then `multiplier` * 2^14 / side; at most `limit`."""
    channels = 512 if resolution <= 32 else 2**14 // resolution * multiplier
    return channels if limit is None else min(channels, limit)


class PixelNorm(nn.Module):
    """x / sqrt(mean of x^2 over channels)."""

    def forward(self, x: Float[Tensor, "B C *rest"]) -> Float[Tensor, "B C *rest"]:
        """Unit mean square over dimension 1."""
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


class EqualLinear(nn.Module):
    """A linear layer with equalised learning rate; `activated`: leaky ReLU with gain sqrt 2."""

    def __init__(
        self, inputs: int, outputs: int, bias: float = 0.0, learning_rate: float = 1.0, activated: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / learning_rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self.scale, self.learning_rate, self.activated = learning_rate / math.sqrt(inputs), learning_rate, activated

    def forward(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B O"]:
        """Rows are items."""
        bias = self.bias if self.learning_rate == 1.0 else self.bias * self.learning_rate
        x = linear(x, self.weight * self.scale, bias)
        return biased_leaky_relu(x, None) if self.activated else x


class EqualConv(nn.Module):
    """A convolution without bias and with equalised learning rate."""

    def __init__(self, inputs: int, outputs: int, side: int, stride: int = 1, padding: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, side, side))
        self.scale, self.stride, self.padding = 1.0 / math.sqrt(inputs * side**2), stride, padding

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B O H2 W2"]:
        """Plain convolution with scaled weights."""
        return conv2d(x, self.weight * self.scale, stride=self.stride, padding=self.padding)


class LeakyBias(nn.Module):
    """A bias per channel and a leaky ReLU."""

    def __init__(self, channels: int, gain: float = ROOT2) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))
        self.gain = gain

    def forward(self, x: Float[Tensor, "B C *rest"]) -> Float[Tensor, "B C *rest"]:
        """gain * leaky_relu(x + bias)."""
        return biased_leaky_relu(x, self.bias, self.gain)


class ConvLayer(nn.Sequential):
    """[blur,] convolution [, bias and leaky ReLU]; `halved` sides come from a blur and a stride of 2."""

    def __init__(self, inputs: int, outputs: int, side: int, halved: bool = False, activated: bool = True) -> None:
        layers: list[nn.Module] = []
        if halved and side == 1:  # a strided 1x1 convolution reads every second sample: the blur need not make the rest
            layers += [Resample((1, 1), down=2), EqualConv(inputs, outputs, side)]
        elif halved:
            layers += [Resample(_blur_padding(side)), EqualConv(inputs, outputs, side, stride=2)]
        else:
            layers += [EqualConv(inputs, outputs, side, padding=side // 2)]
        super().__init__(*layers, *([LeakyBias(outputs)] if activated else []))


class ModulatedConv(nn.Module):
    """A convolution whose weights a style scales per input channel, and which are normalised per output channel.

    `resampling`: `up` doubles sides (transposed convolution, blur), `down` halves them (blur, stride 2).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        side: int,
        style_dim: int,
        demodulate: bool = True,
        resampling: Literal["none", "up", "down"] = "none",
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, side, side))
        if resampling != "none":
            padding, gain = ((1, 1), 4.0) if resampling == "up" else (_blur_padding(side), 1.0)
            self.blur = Resample(padding, gain=gain)
        self.modulation = EqualLinear(style_dim, inputs, bias=1.0)
        self.scale, self.demodulate, self.resampling = 1.0 / math.sqrt(inputs * side**2), demodulate, resampling

    def forward(
        self, x: Float[Tensor, "B C H W"], style: Float[Tensor, "B D"], gain: float = 1.0
    ) -> Float[Tensor, "B O H2 W2"]:
        """`gain` times the convolution, with weights that all items share.

        The style scales what comes in (of a single item, the weights), the normalisation what goes out. Weights of
        single pixels that are not normalised (colours) are scaled for each item: there are few of them.
        """
        style, weight = self.modulation(style), self.weight[0] * self.scale
        if weight.shape[-1] == 1 and not self.demodulate:
            return _pointwise(x, weight[:, :, 0, 0] * (gain * style)[:, None])
        factor: Tensor | float = gain
        if self.demodulate:
            norms = linear(style.square(), weight.square().sum(dim=(2, 3)))
            factor = (gain * torch.rsqrt(norms + 1e-8))[:, :, None, None]
        if len(x) == 1:
            weight = weight * style[0, :, None, None]
        else:
            x = x * style[:, :, None, None]
        x = self._convolved(x, weight)
        return x * factor if torch.is_grad_enabled() else x.mul_(factor)

    def reference(self, x: Float[Tensor, "B C H W"], style: Float[Tensor, "B D"]) -> Float[Tensor, "B O H2 W2"]:
        """The same by definition: weights of each item, run as groups of one convolution."""
        batch = len(x)
        weight = self.weight * self.scale * self.modulation(style)[:, None, :, None, None]
        if self.demodulate:
            weight = weight * torch.rsqrt(weight.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8)
        x = self._convolved(x.reshape(1, -1, *x.shape[2:]), weight.flatten(0, 1), groups=batch)
        return x.view(batch, -1, *x.shape[2:])

    def _convolved(self, x: Tensor, weight: Tensor, groups: int = 1) -> Tensor:
        if self.resampling == "up":
            turned = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
            return self.blur(conv_transpose2d(x, turned, stride=2, groups=groups))
        if self.resampling == "down":
            return conv2d(self.blur(x), weight, stride=2, groups=groups)
        return conv2d(x, weight, padding=weight.shape[-1] // 2, groups=groups)


class NoiseWeight(nn.Module):
    """How much noise a layer adds: one number, zero at first."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, noise, bias and leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, style_dim: int, doubled: bool = False) -> None:
        super().__init__()
        # Published files hold this second bias, and no forward pass uses it.
        self.bias = nn.Parameter(torch.zeros(1, outputs, 1, 1), requires_grad=False)
        self.conv = ModulatedConv(inputs, outputs, 3, style_dim, resampling="up" if doubled else "none")
        self.noise = NoiseWeight()
        self.activate = LeakyBias(outputs)

    def forward(
        self, x: Float[Tensor, "B C H W"], style: Float[Tensor, "B D"], noise: Float[Tensor, "#B 1 H2 W2"]
    ) -> Float[Tensor, "B O H2 W2"]:
        """`noise` is a map for each item, or one for all."""
        gain, bias = self.activate.gain, self.activate.bias[:, None, None]
        x = self.conv(x, style, gain)
        return leaky_relu_(x.add_(gain * self.noise.weight * noise).add_(gain * bias))


class ToRGB(nn.Module):
    """Colours of a feature map, added to the colours so far; `doubled`: those come with half the side."""

    def __init__(self, inputs: int, style_dim: int, doubled: bool = True) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        if doubled:
            self.upsample = Resample((2, 1), up=2, gain=4.0)
        self.conv = ModulatedConv(inputs, 3, 1, style_dim, demodulate=False)
        self.doubled = doubled

    def forward(
        self, x: Float[Tensor, "B C H W"], style: Float[Tensor, "B D"], skip: Float[Tensor, "B 3 H2 W2"] | None = None
    ) -> Float[Tensor, "B 3 H W"]:
        """No activation."""
        colors = self.conv(x, style) + self.bias
        if skip is None:
            return colors
        return colors + (self.upsample(skip) if self.doubled else skip)


def _pointwise(x: Tensor, weight: Tensor) -> Tensor:
    """A 1x1 convolution of maps (B, C, H, W) with weights (B, O, C) of each item."""
    return torch.bmm(weight, x.flatten(2)).unflatten(2, x.shape[2:])


def _blur_padding(side: int) -> tuple[int, int]:
    """Padding of the blur before a convolution of stride 2."""
    total = 4 - 2 + side - 1
    return (total + 1) // 2, total // 2
