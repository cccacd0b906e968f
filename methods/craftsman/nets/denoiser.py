"""CraftsMan's first denoiser: a transformer over [time, condition, latents] with U-Net style skips between blocks.

CraftsMan (arXiv 2405.14979), section 3.2; the skip layout follows U-ViT (Bao et al. 2023). Submodules carry the names
of the official state dict below `denoiser_model.`.

B batch, L latents, E latent channels, M condition tokens, C condition width, W width.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework.nets.attention import MLP, SelfAttentionBlock, run_block
from methods.craftsman.config import DenoiserConfig


def timestep_embedding(timestep: Float[Tensor, " B"], width: int, flip_sin_to_cos: bool = False) -> Tensor:
    """Sinusoids (B, width) of `timestep`: sin then cos (the other way round with `flip_sin_to_cos`).

    Frequencies fall from 1 towards 1e-4 as 10000^(-j / (width/2)) (Vaswani et al. 2017).
    """
    half = width // 2
    frequencies = torch.exp(torch.arange(half, device=timestep.device) * (-math.log(10000.0) / half))
    angles = timestep.float()[:, None] * frequencies
    waves = [angles.cos(), angles.sin()] if flip_sin_to_cos else [angles.sin(), angles.cos()]
    return torch.cat(waves, dim=-1)


class SkipTransformer(nn.Module):
    """n blocks down, one in the middle, n up; each block on the way up also reads its partner's output."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.checkpointing = config.checkpointing
        width, scale = config.width, config.init_scale

        def block() -> SelfAttentionBlock:
            return SelfAttentionBlock(width, config.heads, scale, config.qkv_bias)

        def up_block() -> nn.ModuleList:
            """[block, merge, norm]: index 0 runs last; the order is that of the official state dict."""
            merge = nn.Linear(2 * width, width)
            nn.init.normal_(merge.weight, std=scale / math.sqrt(width))
            nn.init.zeros_(merge.bias)
            return nn.ModuleList([block(), merge, *([nn.LayerNorm(width)] if config.skip_ln else [])])

        self.encoder = nn.ModuleList(block() for _ in range(config.layers))
        self.middle_block = block()
        self.decoder = nn.ModuleList(up_block() for _ in range(config.layers))

    def forward(self, x: Float[Tensor, "B N W"]) -> Float[Tensor, "B N W"]:
        """Tokens through all 2 n + 1 blocks."""
        skips = []
        for block in self.encoder:
            x = run_block(block, x, self.checkpointing)
            skips.append(x)
        x = run_block(self.middle_block, x, self.checkpointing)
        for up in self.decoder:
            block, *merge = up.children()
            x = torch.cat([skips.pop(), x], dim=-1)
            for layer in merge:
                x = layer(x)
            x = run_block(block, x, self.checkpointing)
        return x


class LatentSetDenoiser(nn.Module):
    """Predicts noise (or velocity) of a noisy latent set under a condition of image tokens.

    Without `latent_positions` it is permutation-equivariant over the latents, as the original. Learned queries give
    each latent a role of its own, though, and a small model need not find out which is which when it is told.
    """

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        width, std = config.width, config.init_scale / math.sqrt(config.width)
        self.time_proj = MLP(width, std)
        linear = nn.Linear(config.context_dim, width)
        self.context_embed = nn.Sequential(nn.LayerNorm(config.context_dim), linear) if config.context_ln else linear
        self.input_proj = nn.Linear(config.latent_channels, width)
        if config.latent_positions:
            self.latent_positions = nn.Parameter(torch.randn(config.latents, width) * 0.02)
        self.backbone = SkipTransformer(config)
        self.ln_post = nn.LayerNorm(width)
        self.output_proj = nn.Linear(width, config.latent_channels)

    def forward(
        self, latents: Float[Tensor, "B L E"], timestep: Float[Tensor, " B"], context: Float[Tensor, "B M C"]
    ) -> Float[Tensor, "B L E"]:
        """The network's prediction for `latents` at integer `timestep` in [0, 1000)."""
        time = timestep_embedding(timestep, self.config.width, self.config.flip_sin_to_cos)
        time = self.time_proj(time.to(latents.dtype))[:, None]
        x = self.input_proj(latents)
        if self.config.latent_positions:
            x = x + self.latent_positions
        tokens = torch.cat([time, self.context_embed(context), x], dim=1)
        tokens = self.ln_post(self.backbone(tokens))
        return self.output_proj(tokens[:, -latents.shape[1] :])
