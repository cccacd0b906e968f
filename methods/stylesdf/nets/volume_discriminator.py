"""The discriminator of `stylesdf/volume`: residual blocks of coordinate convolutions that also tell the pose.

After pi-GAN's (Chan et al. 2021); coordinate convolutions: Liu et al. 2018. B batch, R side of a thumbnail.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d

from framework.nets.stylegan2.layers import LeakyBias
from framework.nets.stylegan2.resampling import biased_leaky_relu
from methods.stylesdf.config import GeneratorConfig


def channels_at(side: int, limit: int | None = None) -> int:
    """Channels of maps of a side: 400 up to 16, then 8192 / side; at most `limit`."""
    channels = 400 if side <= 16 else 8192 // side
    return channels if limit is None else min(channels, limit)


class VolumeDiscriminator(nn.Module):
    """Thumbnails to logits and, with `poses`, to angles."""

    def __init__(self, config: GeneratorConfig, poses: bool) -> None:
        super().__init__()
        size = config.renderer_resolution
        sides = [2**power for power in range(round(math.log2(size)), 0, -1)]
        channels = [channels_at(side, config.channel_max) for side in sides]
        blocks = [_Block(*pair) for pair in zip(channels, channels[1:], strict=False)]
        self.convs = nn.Sequential(_Conv(3, channels[0]), *blocks)
        self.final_conv = _Holder(nn.Conv2d(channels[-1], 3 if poses else 1, 2))
        self.poses = poses

    def forward(self, images: Float[Tensor, "B 3 R R"]) -> tuple[Float[Tensor, "B 1"], Float[Tensor, "B 2"] | None]:
        """Logits of being real, and azimuth and elevation in radians (None without `poses`)."""
        answers = self.final_conv.conv(self.convs(images)).flatten(1)
        return answers[:, :1], answers[:, 1:] if self.poses else None


class _Holder(nn.Module):
    """A convolution one name deeper, as published files have it."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv


class _Conv(nn.Module):
    """A 1x1 convolution, bias, leaky ReLU of gain 1."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.activation = _even_bias(outputs, inputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.conv(x))


class _CoordinateConv(nn.Module):
    """A 3x3 convolution over the input, then y, then x (each -1 to 1), with bias and leaky ReLU of gain 1.

    Coordinates are the same for all items: their share of the output is computed once, and joins the bias.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = _Holder(nn.Conv2d(inputs + 2, outputs, 3, padding=1, bias=False))
        self.activation = _even_bias(outputs, inputs * 9)

    def forward(self, x: Tensor) -> Tensor:
        weight, inputs = self.conv.conv.weight, x.shape[1]
        place = conv2d(_coordinates(x), weight[:, inputs:], self.activation.bias, padding=1)
        return biased_leaky_relu(conv2d(x, weight[:, :inputs], padding=1), place, gain=1.0)


class _Block(nn.Module):
    """Two coordinate convolutions beside a 1x1 one; sides are halved by averages."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = _CoordinateConv(inputs, outputs)
        self.conv2 = _CoordinateConv(outputs, outputs)
        self.skip = _Holder(nn.Conv2d(inputs, outputs, 1)) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        main, skip = avg_pool2d(self.conv2(self.conv1(x)), 2), avg_pool2d(x, 2)
        return (main + (skip if self.skip is None else self.skip.conv(skip))).mul_(math.sqrt(0.5))


def _even_bias(channels: int, fan_in: int) -> LeakyBias:
    """Biases begin evenly within 1 / sqrt(fan-in)."""
    layer = LeakyBias(channels, gain=1.0)
    nn.init.uniform_(layer.bias, -(fan_in**-0.5), fan_in**-0.5)
    return layer


def _coordinates(x: Tensor) -> Float[Tensor, "1 2 H W"]:
    """y and x of a map's pixels, -1 at the first and 1 at the last."""
    axes = [torch.linspace(-1.0, 1.0, side, device=x.device, dtype=x.dtype) for side in x.shape[2:]]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]
