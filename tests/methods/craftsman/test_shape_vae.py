"""The shape autoencoder's promises: how many queries, what is computed once, what inference can do without."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from methods.craftsman.config import ExtractionConfig, ShapeVAEConfig
from methods.craftsman.nets.shape_vae import ShapeVAE
from methods.craftsman.stages import extract_mesh
from tests.methods.craftsman import tiny


@pytest.fixture
def vae() -> ShapeVAE:
    torch.manual_seed(0)
    return ShapeVAE(tiny.autoencoder_config().shape_model).eval().requires_grad_(False)


@pytest.mark.parametrize("chunk", [1, 777, 10_000])
def test_points_do_not_see_each_other(vae: ShapeVAE, chunk: int) -> None:
    generator = torch.Generator().manual_seed(1)
    field = vae.field(vae.decode(torch.randn(1, 8, 4, generator=generator)))
    points = 2.0 * torch.rand(1, 2000, 3, generator=generator) - 1.0
    whole = vae.query(points, field)
    parts = torch.cat([vae.query(part, field) for part in points.split(chunk, dim=1)], dim=1)
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=0)


def test_a_mesh_takes_keys_and_values_once(vae: ShapeVAE, monkeypatch: pytest.MonkeyPatch) -> None:
    latents = torch.randn(1, 8, 4, generator=torch.Generator().manual_seed(2))
    values = vae.query(2.0 * torch.rand(1, 500, 3) - 1.0, vae.field(vae.decode(latents)))
    vae.decoder.output_proj.bias.sub_(values.median())  # so that there is a surface
    asked = {"field": 0, "query": 0}
    for name in asked:
        plain = getattr(vae, name)

        def counted(*arguments: torch.Tensor, name: str = name, plain: Any = plain) -> Any:
            asked[name] += 1
            return plain(*arguments)

        monkeypatch.setattr(vae, name, counted)
    extract_mesh(vae, latents, ExtractionConfig(depth=6))
    assert asked["field"] == 1 and asked["query"] > 1


def test_meshes_need_no_encoder(vae: ShapeVAE) -> None:
    latents, points = torch.randn(1, 8, 4), torch.rand(1, 50, 3)
    before = vae.query(points, vae.field(vae.decode(latents)))
    count = sum(value.numel() for value in vae.parameters())
    vae.drop_encoder()
    assert sum(value.numel() for value in vae.parameters()) < 0.7 * count
    torch.testing.assert_close(vae.query(points, vae.field(vae.decode(latents))), before)


@pytest.mark.parametrize(("points", "latents", "expected"), [(2048, 96, 96), (3000, 64, 64), (3000, 96, 97)])
def test_farthest_points_are_counted_as_the_original_rounds(points: int, latents: int, expected: int) -> None:
    """In float32, 3000 * (96 / 3000) is above 96."""
    sizes = {"width": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1, "embed_dim": 4, "num_freqs": 2}
    vae = ShapeVAE(ShapeVAEConfig(num_latents=latents, queries="fps", **sizes))
    with torch.no_grad():
        posterior, _ = vae.encode(torch.randn(1, points, 6, generator=torch.Generator().manual_seed(0)))
    assert posterior.mean.shape == (1, expected, 4)
