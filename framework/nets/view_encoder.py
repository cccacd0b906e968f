"""A small vision transformer over a set of views, for training from scratch.

B batch, K views, S side in pixels, T tokens per view, W width.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from framework.nets.attention import SelfAttentionBlock


class ViewEncoder(nn.Module):
    """Turns RGBA views with known cameras into K * T condition tokens.

    Each view is cut into patches (Dosovitskiy et al. 2021); a projection of the camera matrix is added to all of its
    tokens, and attention runs inside a view, so that the tokens of one view do not depend on which others are given.
    """

    def __init__(self, image_size: int, patch_size: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        if image_size % patch_size:
            raise ValueError(f"image_size {image_size} is not a multiple of patch_size {patch_size}")
        self.image_size = image_size
        self.patches = nn.Conv2d(4, width, patch_size, stride=patch_size)
        self.positions = nn.Parameter(torch.randn((image_size // patch_size) ** 2, width) * 0.02)
        self.camera = nn.Linear(32, width)
        self.blocks = nn.ModuleList(SelfAttentionBlock(width, heads, qkv_bias=False) for _ in range(layers))
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

    def _prepared(self, rgba: Tensor) -> Tensor:
        """Resampled to the encoder's size; colour over mid grey and alpha, both in [-1, 1]."""
        if rgba.shape[-1] != self.image_size:
            size = (self.image_size, self.image_size)
            rgba = interpolate(rgba, size=size, mode="bilinear", antialias=True, align_corners=False)
        colour, alpha = rgba[:, :3], rgba[:, 3:]
        return torch.cat([(2.0 * colour - 1.0) * alpha, 2.0 * alpha - 1.0], dim=1)


def camera_features(world_from_camera: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 32"]:
    """Sines, then cosines, of the 16 entries of a camera matrix (CraftsMan, arXiv 2405.14979, section 3.2)."""
    flat = world_from_camera.flatten(-2)
    return torch.cat([flat.sin(), flat.cos()], dim=-1)
