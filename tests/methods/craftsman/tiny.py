"""CraftsMan at toy size: configs, and a batch of ellipsoids with known occupancy."""

from __future__ import annotations

from typing import Any

import torch

from framework.config.choice import Choice
from framework.nets.config import ClipVisionConfig, ViewEncoderConfig
from methods.craftsman.config import (
    AutoencoderConfig,
    ClipViewsConfig,
    DenoiserConfig,
    DiffusionConfig,
    ShapeVAEConfig,
)


def autoencoder_config(**changes: Any) -> AutoencoderConfig:
    shape_model = ShapeVAEConfig(
        num_latents=8,
        embed_dim=4,
        width=32,
        heads=2,
        encoder_layers=1,
        decoder_layers=1,
        **{"num_freqs": 4} | changes,
    )
    return AutoencoderConfig(shape_model=shape_model)


def clip_config(**changes: Any) -> ClipViewsConfig:
    vision = ClipVisionConfig(image_size=16, patch_size=8, width=32, mlp_width=64, layers=2, heads=2)
    return ClipViewsConfig(vision=vision, **changes)


def diffusion_config(**changes: Any) -> DiffusionConfig:
    vit = Choice("vit", ViewEncoderConfig(image_size=16, patch_size=8, width=32, layers=1, heads=2))
    return DiffusionConfig(
        denoiser=DenoiserConfig(latents=8, latent_channels=4, width=32, layers=1, heads=2, context_dim=32),
        **{"view_encoder": vit} | changes,
    )


def ellipsoid_batch(count: int = 4, points: int = 256, seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    radii = 0.4 + 0.4 * torch.rand(count, 1, 3, generator=generator)
    directions = torch.nn.functional.normalize(torch.randn(count, points, 3, generator=generator), dim=-1)
    normals = torch.nn.functional.normalize(directions / radii, dim=-1)
    queries = 2.2 * torch.rand(count, points, 3, generator=generator) - 1.1
    inside = (queries / radii).square().sum(dim=-1) < 1.0
    return {
        "surface": torch.cat([directions * radii, normals], dim=-1),
        "points": queries,
        "occupancy": inside.float(),
        "index": torch.arange(count),
        "id": [str(row) for row in range(count)],
    }
