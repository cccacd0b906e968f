"""The residual discriminator of StyleGAN2 (Karras et al. 2020, figure 7c)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework.nets.stylegan2.layers import ConvLayer, EqualLinear


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a 1x1 one; sides are halved."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = ConvLayer(inputs, inputs, 3)
        self.conv2 = ConvLayer(inputs, outputs, 3, halved=True)
        self.skip = ConvLayer(inputs, outputs, 1, halved=True, activated=False)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B O H2 W2"]:
        """(main + skip) / sqrt 2."""
        return (self.conv2(self.conv1(x)) + self.skip(x)).mul_(math.sqrt(0.5))


def deviation_group(batch: int) -> int:
    """Items that are compared with each other: the largest divisor of the batch up to 4."""
    return next(size for size in (4, 3, 2, 1) if batch % size == 0)


def with_deviation(x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C1 H W"]:
    """A last channel with the mean deviation within the item's group (Karras et al. 2018, section 3).

    Item i belongs to the group i modulo the number of groups.
    """
    size = deviation_group(len(x))
    groups = x.view(size, len(x) // size, *x.shape[1:])
    deviation = (groups.var(dim=0, correction=0) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    return torch.cat([x, deviation.repeat(size).view(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:])], dim=1)


class ResidualDiscriminator(nn.Module):
    """Pictures to logits; `channels` gives the channels of a side, from `size` down to 4."""

    def __init__(self, size: int, channels: Callable[[int], int]) -> None:
        super().__init__()
        sides = [2**power for power in range(round(math.log2(size)), 2, -1)]
        blocks = [ResidualBlock(channels(side), channels(side // 2)) for side in sides]
        self.convs = nn.Sequential(ConvLayer(3, channels(size), 1), *blocks)
        last = channels(4)
        self.final_conv = ConvLayer(last + 1, last, 3)
        self.final_linear = nn.Sequential(EqualLinear(last * 16, last, activated=True), EqualLinear(last, 1))

    def trunk(self, images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B C 4 4"]:
        """What the residual blocks leave."""
        return self.convs(images)

    def forward(self, images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B 1"]:
        """Logits of being real; they depend on the other items of the batch."""
        return self.final_linear(self.final_conv(with_deviation(self.trunk(images))).flatten(1))
