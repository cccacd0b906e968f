"""From views with cameras to condition tokens: what a view encoder is, and a small one that is trained from scratch.

View encoders are registered under the kind `encoder`, so that a system can be given one or the other. Each is a module
made from its config, with the methods of `ViewEncoding`.

B batch, K views, S side in pixels, T tokens per view, W width.
"""

from __future__ import annotations

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from framework.nets.attention import SelfAttentionBlock
from framework.nets.config import ViewEncoderConfig


class ViewEncoding(Protocol):
    """What a system asks of a view encoder."""

    width: int
    """Channels of a token."""

    def __call__(
        self, views: Float[Tensor, "B K 4 S S"], world_from_camera: Float[Tensor, "B K 4 4"]
    ) -> Float[Tensor, "B KT W"]:
        """Tokens of straight-alpha RGBA views in [0, 1], in view order; the arguments stay as they are."""

    def unconditional(self, tokens: Float[Tensor, "B KT W"]) -> Float[Tensor, "B KT W"]:
        """What stands for no pictures at all, in number, type and place like `tokens`."""

    def begin_training(self) -> None:
        """Take the weights that a training starts from, if the config names any and nothing was trained yet."""

    def drop_unused(self) -> None:
        """Give up the weights that tokens don't depend on: to use the encoder, not to save it."""


class ViewEncoder(nn.Module):
    """Turns RGBA views with known cameras into K * T condition tokens.

    Convolutions bring each view down to a token per patch; a projection of the camera matrix is added to all of its
    tokens, and attention (Dosovitskiy et al. 2021) runs inside a view, so that the tokens of one view do not depend on
    which others are given.
    """

    def __init__(self, config: ViewEncoderConfig) -> None:
        super().__init__()
        self.image_size, self.width = config.image_size, config.width
        patch, width = config.patch_size, config.width
        self.patches = convolution_stem(4, width, patch)
        self.positions = nn.Parameter(torch.randn((config.image_size // patch) ** 2, width) * 0.02)
        self.camera = nn.Linear(CAMERA_FEATURES, width)
        blocks = (SelfAttentionBlock(width, config.heads, qkv_bias=False) for _ in range(config.layers))
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width)

    def forward(
        self, views: Float[Tensor, "B K 4 S S"], world_from_camera: Float[Tensor, "B K 4 4"]
    ) -> Float[Tensor, "B KT W"]:
        """Tokens of straight-alpha RGBA views in [0, 1], in view order."""
        batch, count = views.shape[:2]
        pixels = self._prepared(views.flatten(0, 1))
        tokens = self.patches(pixels).flatten(2).transpose(1, 2) + self.positions
        tokens = tokens + self.camera(camera_features(world_from_camera.flatten(0, 1)))[:, None]
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens).reshape(batch, -1, tokens.shape[-1])

    def unconditional(self, tokens: Float[Tensor, "B KT W"]) -> Float[Tensor, "B KT W"]:
        """Zeros."""
        return torch.zeros_like(tokens)

    def begin_training(self) -> None:
        """Nothing: all weights begin at random."""

    def drop_unused(self) -> None:
        """Nothing: all weights are used."""

    def _prepared(self, rgba: Tensor) -> Tensor:
        """Resampled to the encoder's size; colour over mid grey and alpha, both in [-1, 1]."""
        if rgba.shape[-1] != self.image_size:
            size = (self.image_size, self.image_size)
            rgba = interpolate(rgba, size=size, mode="bilinear", antialias=True, align_corners=False)
        colour, alpha = rgba[:, :3], rgba[:, 3:]
        return torch.cat([(2.0 * colour - 1.0) * alpha, 2.0 * alpha - 1.0], dim=1)


def convolution_stem(channels: int, width: int, stride: int) -> nn.Sequential:
    """Convolutions that halve a picture until one pixel stands for `stride`, and end with `width` channels.

    From scratch and on little data a transformer learns far faster behind them than on cut-out patches (Xiao et al.
    2021, "Early Convolutions Help Transformers See Better"). `stride` is a power of two.
    """
    halvings = stride.bit_length() - 1
    layers: list[nn.Module] = []
    for level in range(halvings, 0, -1):
        out = width >> (level - 1)
        layers += [nn.Conv2d(channels, out, 3, stride=2, padding=1), nn.GroupNorm(1, out), nn.GELU()]
        channels = out
    return nn.Sequential(*layers, nn.Conv2d(channels, width, 1))


CAMERA_FEATURES = 32
"""Channels of `camera_features`."""


def camera_features(world_from_camera: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 32"]:
    """Sines, then cosines, of the 16 entries of a camera matrix (CraftsMan, arXiv 2405.14979, section 3.2)."""
    flat = world_from_camera.flatten(-2)
    return torch.cat([flat.sin(), flat.cos()], dim=-1)
