"""The networks give the original's numbers: weights filled by official key, outputs recorded from the original."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from framework.diffusion.config import NoiseScheduleConfig
from framework.diffusion.losses import diffusion_loss, diffusion_target
from framework.diffusion.sampling import sample_latents
from framework.diffusion.schedules import sampling_scheduler, signal_to_noise, training_scheduler
from framework.nets.gaussian import DiagonalGaussian
from framework.nets.point_embedding import FourierEmbedding
from methods.craftsman.config import DenoiserConfig, ShapeVAEConfig
from methods.craftsman.losses import occupancy_scores, reconstruction_loss
from methods.craftsman.nets.denoiser import LatentSetDenoiser, timestep_embedding
from methods.craftsman.nets.shape_vae import ShapeVAE
from tests.parity import fill

FIXTURES = Path(__file__).parents[2] / "parity" / "fixtures" / "craftsman"


def fixture(name: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    description = json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))
    return description, load_file(FIXTURES / f"{name}.safetensors")


def official_weights(description: dict[str, Any]) -> dict[str, torch.Tensor]:
    shapes = {key: (shape, dtype) for key, (shape, dtype, _) in description["state"].items()}
    prefix = description["prefix"]
    filled = fill.fill_state(shapes, description["salt"])
    return {key.removeprefix(prefix): torch.from_numpy(value) for key, value in filled.items()}


def inputs(name: str, *shape: int) -> torch.Tensor:
    return torch.from_numpy(fill.inputs(name, shape))


def shape_config(facts: dict[str, Any]) -> ShapeVAEConfig:
    return ShapeVAEConfig(
        num_latents=facts["num_latents"],
        embed_dim=facts["embed_dim"],
        width=facts["width"],
        heads=facts["heads"],
        encoder_layers=facts["num_encoder_layers"],
        decoder_layers=facts["num_decoder_layers"],
        num_freqs=facts["num_freqs"],
        include_pi=facts["include_pi"],
        qkv_bias=facts["qkv_bias"],
        queries="fps" if facts.get("use_downsample") else "learned",
        aligned_dim=768 if "aligned" in facts["class"] else 0,
    )


@pytest.mark.parametrize(
    ("name", "surface", "queries"),
    [
        ("v1_vae_aligned", (2, 300, 6), (2, 200, 3)),
        pytest.param("v1_vae_fps", (2, 1024, 6), (2, 512, 3), marks=pytest.mark.slow),
        pytest.param("v1_vae_learned_query", (1, 4096, 6), (1, 2048, 3), marks=pytest.mark.slow),
    ],
)
@torch.no_grad()
def test_shape_autoencoder(name: str, surface: tuple[int, ...], queries: tuple[int, ...]) -> None:
    description, expected = fixture(name)
    model = ShapeVAE(shape_config(description["config"])).eval()
    model.load_state_dict(official_weights(description), strict=True)
    points = torch.from_numpy(fill.uniform("queries", queries, -1.1, 1.1))
    posterior, embedding = model.encode(0.4 * inputs("surface", *surface))
    tokens = model.decode(posterior.mean)
    logits = model.query(points, model.field(tokens))
    statistics = description["outputs"]["stats"]
    values = {
        "shape_latents": embedding,
        "kl_embed(mode)": posterior.mean,
        "latents": tokens,
        "logits": logits,
        "logvar": posterior.log_variance,
    }
    for key, value in values.items():
        assert list(value.shape) == statistics[key]["shape"], key
        assert value.mean().item() == pytest.approx(statistics[key]["mean"], rel=1e-3, abs=3e-4), key
        assert value.norm().item() == pytest.approx(statistics[key]["l2"], rel=1e-5), key
    names = {"kl_embed": posterior.mean, "logvar": posterior.log_variance, "logits": logits, "kl": posterior.kl()}
    names["latents[:, ::8, ::8]"] = tokens[:, ::8, ::8]
    if embedding.ndim == 3:
        names["shape_latents[:, ::8, ::8]"] = embedding[:, ::8, ::8]
    else:
        names["shape_embeds"] = embedding
    assert names.keys() == expected.keys()
    for key, value in names.items():
        torch.testing.assert_close(value, expected[key], atol=3e-4, rtol=1e-3)


@pytest.mark.slow
@torch.no_grad()
def test_denoiser_at_official_size() -> None:
    description, expected = fixture("v1_denoiser")
    model = LatentSetDenoiser(DenoiserConfig()).eval()
    model.load_state_dict(official_weights(description), strict=True)
    times = torch.tensor([981, 1])
    torch.testing.assert_close(timestep_embedding(times, 768), expected["time_embed"], atol=2e-4, rtol=1e-3)
    output = model(inputs("model_input", 2, 256, 64), times, inputs("context", 2, 1028, 1024))
    torch.testing.assert_close(output, expected["sample"], atol=2e-4, rtol=1e-3)


@torch.no_grad()
def test_guided_sampling() -> None:
    description, expected = fixture("v1_sampler")
    config = DenoiserConfig(latents=12, latent_channels=8, width=64, layers=1, heads=4, context_dim=32)
    model = LatentSetDenoiser(config).eval()
    model.load_state_dict(official_weights(description), strict=True)
    condition, unconditional = inputs("cond", 1, 20, 32), 0.3 * inputs("uncond", 1, 20, 32)

    def trajectory(guidance: float) -> torch.Tensor:
        noise = inputs("x_T", 1, 12, 8)
        steps = sample_latents(
            model, noise, condition, unconditional, NoiseScheduleConfig(), steps=5, guidance=guidance
        )
        return torch.stack(list(steps))

    torch.testing.assert_close(trajectory(3.0), expected["trajectory"], atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(trajectory(1.0)[-1], expected["no_guidance_final"], atol=2e-4, rtol=1e-3)


def test_point_embedding() -> None:
    _, expected = fixture("fourier_embedder")
    points = torch.from_numpy(fill.uniform("points", (2, 64, 3), -1.1, 1.1))
    for name, value in expected.items():
        options = {part.rstrip("0123456789"): int(part.lstrip("nfpilog")) for part in name.split("_")}
        embedding = FourierEmbedding(options["nf"], bool(options["pi"]), bool(options["in"]), bool(options["log"]))
        torch.testing.assert_close(embedding(points), value, atol=2e-5, rtol=0)
        assert embedding.out_dim == value.shape[-1]


def test_autoencoder_losses_and_posterior() -> None:
    _, expected = fixture("v1_vae_losses")
    logits, occupancy = 2 * inputs("logits", 3, 64), (inputs("occ", 3, 64) > 0).float()
    posterior = DiagonalGaussian.from_moments(inputs("moments", 3, 10, 8))
    accuracy, iou = occupancy_scores(logits, occupancy)
    values = {
        "loss_logits_bce": reconstruction_loss(logits, occupancy),
        "loss_kl": posterior.kl().mean(),
        "kl_per_item": posterior.kl(),
        "posterior_mean": posterior.mean,
        "posterior_std": torch.exp(0.5 * posterior.log_variance),
        "sample": posterior.sample(inputs("eps", 3, 10, 4)),
        "accuracy": accuracy.mean(),
        "iou": iou.mean(),
    }
    for key, value in values.items():
        torch.testing.assert_close(value, expected[key], atol=1e-5, rtol=1e-5)


def test_schedules() -> None:
    _, expected = fixture("schedulers")
    config = NoiseScheduleConfig()
    training, (x, eps, noise) = training_scheduler(config), (inputs(name, 2, 5, 4) for name in ("x", "eps", "noise"))
    times = torch.tensor([17, 803])
    torch.testing.assert_close(signal_to_noise(training, torch.arange(1000)), expected["snr"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(training.add_noise(x, noise, times), expected["add_noise"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(training.get_velocity(x, noise, times), expected["velocity"], atol=1e-5, rtol=1e-5)
    for steps in (int(key.removeprefix("steps_")) for key in expected if key.startswith("steps_")):
        sampling = sampling_scheduler(config)
        sampling.set_timesteps(steps)
        chosen = [*sampling.timesteps[:3], *sampling.timesteps[-2:]]
        values = torch.stack([sampling.step(eps, time, x, eta=0.0).prev_sample for time in chosen])
        torch.testing.assert_close(values, expected[f"steps_{steps}"], atol=1e-5, rtol=1e-5)


def test_diffusion_losses() -> None:
    _, expected = fixture("diffusion_loss")
    latents, noise, prediction = (inputs(name, 6, 8, 4) for name in ("latents", "noise", "pred"))
    times = expected["timesteps"].long()
    for name, value in expected.items():
        if "gamma" not in name:
            continue
        kind, loss, gamma = name.rsplit("_", 2)
        scheduler = training_scheduler(NoiseScheduleConfig(prediction=kind))
        target = diffusion_target(scheduler, 0.9 * latents, noise, times)
        result = diffusion_loss(
            scheduler, prediction, target, times, gamma=float(gamma.removeprefix("gamma")), kind=loss
        )
        torch.testing.assert_close(result, value, atol=1e-5, rtol=1e-5)
