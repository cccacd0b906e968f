"""CraftsMan at toy size: configs, and a batch of ellipsoids with known occupancy."""

from __future__ import annotations

from typing import Any

import torch

from methods.craftsman.config import (
    AutoencoderConfig,
    DenoiserConfig,
    DiffusionConfig,
    ShapeVAEConfig,
    ViewEncoderConfig,
)


def autoencoder_config(**changes: Any) -> AutoencoderConfig:
    shape_model = ShapeVAEConfig(
        num_latents=8, embed_dim=4, width=32, heads=2, encoder_layers=1, decoder_layers=1, num_freqs=4, **changes
    )
    return AutoencoderConfig(shape_model=shape_model)


def diffusion_config(**changes: Any) -> DiffusionConfig:
    return DiffusionConfig(
        denoiser=DenoiserConfig(latents=8, latent_channels=4, width=32, layers=1, heads=2, context_dim=32),
        view_encoder=ViewEncoderConfig(image_size=16, patch_size=8, width=32, layers=1, heads=2),
        **changes,
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
