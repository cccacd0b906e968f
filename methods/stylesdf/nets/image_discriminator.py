"""The discriminator of `stylesdf/full`: StyleGAN2's, on large pictures."""

from __future__ import annotations

from functools import partial

from framework.nets.stylegan2.discriminator import ResidualDiscriminator
from framework.nets.stylegan2.layers import channels_at
from methods.stylesdf.config import GeneratorConfig


class ImageDiscriminator(ResidualDiscriminator):
    """Pictures (B, 3, S, S) in [-1, 1] to logits (B, 1); keys are the published ones."""

    def __init__(self, config: GeneratorConfig) -> None:
        channels = partial(channels_at, multiplier=config.channel_multiplier, limit=config.channel_max)
        super().__init__(config.size, channels)
