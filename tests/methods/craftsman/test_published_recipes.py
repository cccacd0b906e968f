"""The published recipes: their values, the networks that they make, and a step of training at toy size."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch

from framework.cli import main
from framework.cli.arguments import parse
from framework.cli.options import build
from framework.nets.config import ClipTextConfig
from framework.systems.optimizers import rate_factor
from framework.tasks.config import TrainOptions
from framework.weights.folder import WeightsError
from methods.craftsman.systems import AutoencoderSystem, DiffusionSystem
from methods.craftsman.weights import official_from_autoencoder, official_from_diffusion
from tests.data.balls import write_balls
from tests.methods.craftsman import tiny
from tests.methods.craftsman.official_files import manifest, tiny_state, write_folder


def recipe(name: str, *words: str) -> TrainOptions:
    return build(parse(["train", f"experiment=craftsman/{name}", *words]))


@pytest.mark.parametrize("latents", [256, 512, 1024])
def test_autoencoders(latents: int) -> None:
    options = recipe(f"autoencoder-l{latents}")
    with torch.device("meta"):
        system = AutoencoderSystem(options.system.config)
    shapes = {key: tuple(value.shape) for key, value in official_from_autoencoder(system).items()}
    assert shapes == manifest("v1_vae_checkpoint.official")  # the same for any number of latents
    assert options.system.config.shape_model.query_count == latents
    config, data = options.system.config, options.data.config
    assert (config.lambda_logits, config.lambda_kl, config.sample_posterior, config.mean_share) == (1, 0.001, True, 0)
    assert (data.batch_size, data.surface_points, data.supervision_points, data.workers) == (128, 4096, 4096, 16)
    assert (data.noise, data.near_fraction, data.mirror, data.views) == (0, 0, 0, 0)
    assert (config.optimizer.learning_rate, config.optimizer.betas, config.optimizer.eps) == (1e-4, (0.9, 0.99), 1e-6)


@pytest.mark.parametrize("name", ["diffusion-l256", "diffusion-l256-aligned"])
def test_diffusions(name: str) -> None:
    options = recipe(name)
    config, data = options.system.config, options.data.config
    clip = dataclasses.replace(config.view_encoder.config, text=ClipTextConfig())  # training leaves it out
    config.view_encoder = dataclasses.replace(config.view_encoder, config=clip)
    with torch.device("meta"):
        system = DiffusionSystem(config)
    expected = {key: shape for key, shape in manifest("v1_checkpoint.official").items() if key[:6] != "shape_"}
    assert {key: tuple(value.shape) for key, value in official_from_diffusion(system).items()} == expected
    trained = {key.split(".")[0] for key, value in system.named_parameters() if value.requires_grad}
    modulation = [key for key, value in system.view_encoder.named_parameters() if value.requires_grad]
    assert trained == {"denoiser", "view_encoder"}
    assert modulation and all(".mod_norm" in key for key in modulation)
    assert (data.batch_size, data.surface_points, data.workers) == (32, 4096, 16)
    assert (data.views, data.view_size, data.view_groups) == (4, 224, "all")
    assert (config.loss, config.snr_gamma, config.condition_dropout, config.latent_scale) == ("mse", 5, 0.1, 1)
    assert (config.optimizer.learning_rate, config.optimizer.betas, config.optimizer.eps) == (5e-5, (0.9, 0.99), 1e-6)
    assert config.autoencoder == f"ckpts/craftsman{'-aligned' if 'aligned' in name else ''}/autoencoder"


@pytest.mark.parametrize("name", ["autoencoder-l256", "diffusion-l256"])
def test_what_they_share(name: str) -> None:
    options = recipe(name)
    trainer, schedule = options.trainer, options.system.config.optimizer.schedule
    assert (trainer.precision, trainer.gradient_clip, trainer.ema_decay, trainer.log_interval) == ("16-mixed", 0, 0, 5)
    assert trainer.checkpoint_interval == trainer.keep_interval == 5000
    assert (schedule.kind, schedule.warmup_steps, schedule.warmup_start_factor) == ("cosine", 5000, 1e-6)
    official = recipe(name, "system.optimizer.schedule.kind=official").system.config.optimizer.schedule
    factor, ours = rate_factor(official, math.inf), rate_factor(schedule, trainer.max_steps)
    assert [round(factor(step), 6) for step in (5000, 10_000, 15_000)] == [1, 0, 1]
    assert ours(5000) == 1 > ours(15_000) > 0.98 and ours(trainer.max_steps) < 1e-9


def train(name: str, root: Path, *words: str) -> Path:
    """Two steps of a recipe at toy size."""
    sizes = ["data.batch_size=2", "data.workers=0", "data.surface_points=64", "data.validation_points=32"]
    run = ["trainer.max_steps=2", "trainer.val_interval=2", "trainer.precision=32", "trainer.strategy=auto"]
    output = root / f"{name}-run"
    given = [f"experiment=craftsman/{name}", f"data.root={root / 'balls'}", *sizes, *run, *words]
    assert main(["train", *given, "device=cpu", f"output={output}"]) == 0
    return output


def test_they_train_from_shapes_and_from_official_weights(tmp_path: Path) -> None:
    write_balls(tmp_path / "balls", groups=5)
    shape_model = "system.shape_model.{}"
    small = ["width=32", "heads=2", "encoder_layers=1", "decoder_layers=1", "num_latents=8", "embed_dim=4"]
    run = train("autoencoder-l256", tmp_path, *map(shape_model.format, small), "data.supervision_points=32")
    assert AutoencoderSystem.load(run).config.shape_model.queries == "fps"
    assert main(["export", f"run={run}", "format=official", f"output={tmp_path / 'published'}"]) == 0
    published = torch.load(tmp_path / "published" / "model.ckpt", weights_only=True)
    assert published["global_step"] == 2
    assert len(published["state_dict"]) == len(AutoencoderSystem.load(tmp_path / "published").state_dict())
    # The diffusion goes on from official weights, and takes their autoencoder: no other config says their sizes.
    official = write_folder(tmp_path / "official", tiny_state())
    denoiser = {"width": 64, "layers": 2, "heads": 4, "latent_channels": 16, "context_dim": 96, "latents": 32}
    vision = {"width": 96, "mlp_width": 192, "layers": 2, "heads": 4}
    sizes = [f"system.denoiser.{key}={value}" for key, value in denoiser.items()]
    sizes += [f"system.view_encoder.vision.{key}={value}" for key, value in vision.items()]
    start = [f"system.autoencoder={official}", f"start_weights={official}", "system.validation_steps=2"]
    run = train("diffusion-l256", tmp_path, *sizes, *start, "system.view_encoder.weights=")
    trained, before = DiffusionSystem.load(run), DiffusionSystem.load(official)
    frozen = "view_encoder.model.vision_model.encoder.layers.0.mlp.fc1.weight"
    assert torch.equal(trained.state_dict()[frozen], before.state_dict()[frozen])
    moved = (trained.denoiser.output_proj.weight - before.denoiser.output_proj.weight).abs().max()
    assert 0 < moved < 1e-3


def test_latents_made_in_training_are_those_of_the_autoencoder(tmp_path: Path) -> None:
    AutoencoderSystem(tiny.autoencoder_config()).save(tmp_path / "autoencoder")
    system = DiffusionSystem(tiny.diffusion_config(autoencoder=str(tmp_path / "autoencoder")))
    batch = tiny.ellipsoid_batch()
    with torch.no_grad():
        expected, _ = AutoencoderSystem.load(tmp_path / "autoencoder").shape_model.encode(batch["surface"])
    live = system._posterior(batch)
    assert torch.equal(live.mean, expected.mean) and not live.mean.requires_grad
    cached = system._posterior(batch | {"mean": expected.mean + 1, "log_variance": expected.log_variance})
    assert torch.equal(cached.mean, expected.mean + 1)


@pytest.mark.parametrize("form", ["nested", "bare", "no prefix", "ours"])
def test_a_denoiser_alone_can_be_the_start(form: str, tmp_path: Path) -> None:
    before = DiffusionSystem(tiny.diffusion_config())
    naked = dict(before.denoiser.state_dict())
    state = {f"denoiser_model.{key}": value for key, value in naked.items()}
    path = tmp_path / "denoiser.ckpt"
    torch.save({"nested": {"state_dict": state}, "no prefix": naked}.get(form, state), path)
    if form == "ours":
        path = before.save(tmp_path / "ours")
    system = DiffusionSystem(tiny.diffusion_config(denoiser_weights=str(path)))
    system.begin()
    assert all(torch.equal(value, naked[key]) for key, value in system.denoiser.state_dict().items())
    # Whatever brought weights before counts more: a continued training, or start_weights=.
    other = DiffusionSystem(tiny.diffusion_config(denoiser_weights=str(path)))
    own = {key: value.clone() for key, value in other.own_state().items()}
    other.load_own_state(own, "here")
    other.begin()
    assert all(torch.equal(value, own[key]) for key, value in other.own_state().items())


def test_a_denoiser_of_another_size_is_refused(tmp_path: Path) -> None:
    torch.save({"denoiser_model.input_proj.weight": torch.zeros(3, 4)}, tmp_path / "denoiser.ckpt")
    system = DiffusionSystem(tiny.diffusion_config(denoiser_weights=str(tmp_path / "denoiser.ckpt")))
    with pytest.raises(WeightsError, match=r"denoiser_model\.input_proj\.weight is \(3, 4\), expected \(32, 4\)"):
        system.begin()
