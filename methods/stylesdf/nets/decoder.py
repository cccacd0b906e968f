"""The style-based decoder of `stylesdf/full`: rendered features become a large picture (StyleSDF, section 3.3).

B batch, D numbers of a renderer latent, W renderer features, R and S sides of thumbnail and picture, G layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import log2

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework.nets.stylegan2.layers import EqualLinear, PixelNorm, StyledConv, ToRGB, channels_at
from framework.nets.stylegan2.resampling import fast_layout
from methods.stylesdf.config import GeneratorConfig

MAPPING_LAYERS = 5


class Decoder(nn.Module):
    """Styled convolutions from side R to S; names of parameters and buffers are the published ones."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        width = 2 * config.style_dim
        channels = partial(channels_at, multiplier=config.channel_multiplier, limit=config.channel_max)
        first = round(log2(config.renderer_resolution))
        sides = [2**power for power in range(first, round(log2(config.size)) + 1)]
        linear = partial(EqualLinear, outputs=width, learning_rate=config.lr_mapping, activated=True)
        deeper = (linear(width) for _ in range(MAPPING_LAYERS - 1))
        self.style = nn.Sequential(PixelNorm(), linear(config.style_dim), *deeper)
        self.conv1 = StyledConv(config.style_dim, channels(sides[0]), width)
        self.to_rgb1 = ToRGB(channels(sides[0]), width, doubled=False)
        self.convs, self.to_rgbs = nn.ModuleList(), nn.ModuleList()
        for side in sides[1:]:
            self.convs.append(StyledConv(channels(side // 2), channels(side), width, doubled=True))
            self.convs.append(StyledConv(channels(side), channels(side), width))
            self.to_rgbs.append(ToRGB(channels(side), width))
        self.noises = nn.Module()
        for layer, side in enumerate([sides[0], *(side for side in sides[1:] for _ in range(2))]):
            self.noises.register_buffer(f"noise_{layer}", torch.randn(1, 1, side, side))

    @property
    def layers(self) -> int:
        """Codes that a picture takes (G)."""
        return 2 * len(self.to_rgbs) + 2

    @property
    def noise_maps(self) -> list[Tensor]:
        """The fixed noise of all layers, (1, 1, r, r) each."""
        return list(self.noises.buffers())

    @property
    def noise_shapes(self) -> list[tuple[int, int, int]]:
        """(1, r, r) of the noise of each layer, in order."""
        return [(1, noise.shape[-2], noise.shape[-1]) for noise in self.noise_maps]

    def draw_noise(self, count: int, generator: torch.Generator | None = None) -> list[Tensor]:
        """Fresh standard normal noise for `count` pictures, drawn layer after layer on the decoder's device."""
        device = self.conv1.bias.device
        return [torch.randn((count, *shape), generator=generator, device=device) for shape in self.noise_shapes]

    def map(self, renderer_latents: Float[Tensor, "B D"]) -> Float[Tensor, "B D2"]:
        """Renderer latents (truncated or not) to the decoder's latents of twice the numbers."""
        return self.style(renderer_latents)

    def forward(
        self,
        features: Float[Tensor, "B W R R"],
        codes: Float[Tensor, "B G D2"],
        noise: Sequence[Tensor] | None = None,
    ) -> Float[Tensor, "B 3 S S"]:
        """Pictures, nominally in [-1, 1]; `noise` (1 or B, 1, r, r) for each layer, None: the fixed maps."""
        noise = self.noise_maps if noise is None else noise
        x = self.conv1(fast_layout(features), codes[:, 0], noise[0])
        picture = self.to_rgb1(x, codes[:, 1])
        for block, to_rgb in enumerate(self.to_rgbs):
            layer = 2 * block  # a block's first convolution shares its code with the colours before it
            x = self.convs[layer](x, codes[:, layer + 1], noise[layer + 1])
            x = self.convs[layer + 1](x, codes[:, layer + 2], noise[layer + 2])
            picture = to_rgb(x, codes[:, layer + 3], picture)
        return picture
