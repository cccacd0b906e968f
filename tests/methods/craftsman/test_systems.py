"""The systems learn, and what they draw from is under control."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from framework.config.build import from_dict, to_dict
from framework.config.choice import Choice
from framework.config.errors import ConfigError
from framework.nets.gaussian import DiagonalGaussian
from methods.craftsman.config import ClipViewsConfig, DiffusionConfig
from methods.craftsman.systems import SECTION_SIDE, AutoencoderSystem, DiffusionSystem
from tests.methods.craftsman import tiny


@pytest.mark.parametrize("queries", ["learned", "fps"])
def test_autoencoder_learns_ellipsoids(queries: str) -> None:
    torch.manual_seed(0)
    system = AutoencoderSystem(tiny.autoencoder_config(queries=queries))
    system.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]
    optimizer = torch.optim.AdamW(system.parameters(), lr=3e-3)
    losses = []
    for step in range(60):
        loss = system.training_step(tiny.ellipsoid_batch(8, seed=step), 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


@torch.no_grad()
@pytest.mark.parametrize(("column", "corner"), [(0, (-1.0, 1.0, 0.0)), (1, (0.0, 1.0, 1.0)), (2, (-1.0, 0.0, -1.0))])
def test_sections_lie_as_seen_from_front_right_and_above(column: int, corner: tuple[float, float, float]) -> None:
    """Each section's upper left pixel shows how empty the shape's box is at that corner."""
    torch.manual_seed(0)
    system = AutoencoderSystem(tiny.autoencoder_config()).eval()
    batch = tiny.ellipsoid_batch(2)
    picture = system.images(batch)["sections"]
    assert picture.shape == (SECTION_SIDE, 3 * SECTION_SIDE, 3)
    posterior, _ = system.shape_model.encode(batch["surface"][:1])
    points = torch.tensor([[corner, (0.0, 0.0, 0.0)]])
    field = system.shape_model.field(system.shape_model.decode(posterior.mean))
    empty = 1.0 - system.shape_model.query(points, field)[0].sigmoid()
    assert picture[0, column * SECTION_SIDE, 0] == pytest.approx(empty[0].item(), abs=1e-5)
    assert abs(float(empty[0] - empty[1])) > 1e-3


def diffusion_batch(count: int = 3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "mean": torch.randn(count, 8, 4, generator=generator),
        "log_variance": torch.full((count, 8, 4), -4.0),
        "views": torch.rand(count, 4, 4, 16, 16, generator=generator),
        "world_from_camera": torch.randn(count, 4, 4, 4, generator=generator),
    }


def test_diffusion_overfits_one_batch() -> None:
    torch.manual_seed(0)
    system = DiffusionSystem(tiny.diffusion_config(condition_dropout=0.0, random_views=True))
    system.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    optimizer = torch.optim.AdamW(system.parameters(), lr=3e-3)
    losses = []
    for _ in range(150):
        loss = system.training_step(diffusion_batch(), 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-20:]) < 0.7 * sum(losses[:20])


def clip_choice(**changes: Any) -> Choice:
    return Choice("craftsman/clip", tiny.clip_config(**changes))


ENCODERS = pytest.mark.parametrize("encoder", [{}, {"view_encoder": clip_choice()}], ids=["vit", "clip"])


@ENCODERS
@pytest.mark.parametrize("guidance", [-2.0, 0.0, 1.0, 3.0])
def test_samples_repeat_with_the_seed_and_change_with_it(guidance: float, encoder: dict[str, Any]) -> None:
    system, batch = DiffusionSystem(tiny.diffusion_config(**encoder)).eval(), diffusion_batch(2)

    def sample(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        cameras = batch["world_from_camera"][:, :1]
        return system.sample(batch["views"][:, :1], cameras, steps=3, guidance=guidance, generator=generator)

    assert torch.equal(sample(3), sample(3))
    assert not torch.allclose(sample(3), sample(4))
    assert sample(3).shape == (2, 8, 4)


@ENCODERS
def test_no_guidance_ignores_the_pictures(encoder: dict[str, Any]) -> None:
    system, batch = DiffusionSystem(tiny.diffusion_config(**encoder)).eval(), diffusion_batch(1)
    cameras = batch["world_from_camera"][:, :1]
    samples = [
        system.sample(views, cameras, steps=2, guidance=0.0, generator=torch.Generator().manual_seed(0))
        for views in (batch["views"][:, :1], batch["views"][:, 1:2])
    ]
    assert torch.equal(*samples)


def test_training_views_start_with_the_front_and_vary_in_number() -> None:
    system, batch = DiffusionSystem(tiny.diffusion_config(random_views=True)), diffusion_batch(1)
    counts = set()
    for _ in range(60):
        views, cameras = system._training_views(batch, system.draws(1))
        assert torch.equal(views[:, 0], batch["views"][:, 0])
        assert views.shape[1] == cameras.shape[1]
        counts.add(views.shape[1])
    assert counts == {1, 2, 3, 4}


def occupancy_system(folder: Path, weight: float) -> DiffusionSystem:
    torch.manual_seed(2)
    autoencoder = AutoencoderSystem(tiny.autoencoder_config()).save(folder / "autoencoder")
    config = tiny.diffusion_config(condition_dropout=0.0, occupancy_weight=weight, autoencoder=str(autoencoder))
    return DiffusionSystem(config)


def test_the_occupancy_loss_reaches_the_denoiser_through_the_frozen_decoder(tmp_path: Path) -> None:
    losses, gradients, logged = [], [], {}
    for weight in (0.0, 2.0):
        system = occupancy_system(tmp_path, weight)
        system.log = lambda name, value, **_: logged.update({name: float(value)})  # type: ignore[method-assign]
        torch.manual_seed(3)
        batch = diffusion_batch() | {"points": torch.rand(3, 20, 3), "occupancy": torch.ones(3, 20)}
        loss = system.training_step(batch, 0)
        loss.backward()
        losses.append(loss.item())
        gradients.append(torch.cat([value.grad.flatten() for value in system.denoiser.parameters()]))
    assert losses[1] == pytest.approx(losses[0] + 2.0 * logged["train/loss_logits"], rel=1e-5)
    assert not torch.allclose(gradients[0], gradients[1])
    assert all(value.grad is None for value in system.autoencoder().parameters())


def test_the_occupancy_loss_says_that_it_needs_points(tmp_path: Path) -> None:
    system = occupancy_system(tmp_path, 1.0)
    system.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match="supervision_points"):
        system.training_step(diffusion_batch(), 0)


def test_condition_is_dropped_per_item() -> None:
    torch.manual_seed(0)
    system = DiffusionSystem(tiny.diffusion_config(condition_dropout=0.5))
    kept = system._dropped(torch.ones(400, 2, 3), system.draws(400)).flatten(1)
    share = (kept == 0).all(dim=1).float().mean().item()
    assert share == pytest.approx(0.5, abs=0.1)
    assert ((kept == 0).all(dim=1) | (kept == 1).all(dim=1)).all()


def test_tokens_are_left_out_one_by_one() -> None:
    torch.manual_seed(0)
    system = DiffusionSystem(tiny.diffusion_config(condition_dropout=0.0, token_dropout=0.25))
    kept = (system._dropped(torch.ones(40, 50, 3), system.draws(40)) == 1).all(dim=-1)
    assert abs(kept.float().mean().item() - 0.75) < 0.05
    assert kept.float().mean(dim=1).std() < 0.15


def test_condition_is_dropped_for_the_whole_batch_as_in_the_original() -> None:
    torch.manual_seed(0)
    system = DiffusionSystem(tiny.diffusion_config(condition_dropout=0.5, condition_drop="batch"))
    batches = [system._dropped(torch.ones(3, 2, 3), system.draws(3)).unique().tolist() for _ in range(200)]
    assert batches.count([0.0]) + batches.count([1.0]) == 200
    assert 70 <= batches.count([0.0]) <= 130


def test_dropped_items_get_the_encoders_own_tokens() -> None:
    torch.manual_seed(0)
    system = DiffusionSystem(tiny.diffusion_config(condition_dropout=0.5, view_encoder=clip_choice()))
    batch = diffusion_batch(8)
    condition = system.view_encoder(batch["views"], batch["world_from_camera"])
    empty, dropped = system.view_encoder.unconditional(condition), system._dropped(condition, system.draws(8))
    kinds = [
        (torch.equal(row, full), torch.equal(row, none))
        for row, full, none in zip(dropped, condition, empty, strict=True)
    ]
    assert set(kinds) == {(True, False), (False, True)}


def test_a_frozen_tower_stays_while_its_modulation_trains() -> None:
    torch.manual_seed(0)
    system = DiffusionSystem(tiny.diffusion_config(view_encoder=clip_choice()))
    system.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    before = {name: value.clone() for name, value in system.view_encoder.state_dict().items()}
    optimizer = torch.optim.AdamW([value for value in system.parameters() if value.requires_grad], lr=1e-2)
    for _ in range(2):  # the denoiser's context projection must not be at its start for gradients to arrive
        optimizer.zero_grad()
        system.training_step(diffusion_batch(), 0).backward()
        optimizer.step()
    changed = {name for name, value in system.view_encoder.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if ".mod_norm" in name}


def test_options_without_a_type_mean_the_small_transformer() -> None:
    """Weights and runs from before the encoder was a choice."""
    saved = {"view_encoder": {"image_size": 16, "patch_size": 8, "width": 32, "layers": 1, "heads": 2}}
    config = from_dict(DiffusionConfig, saved)
    assert config.view_encoder == tiny.diffusion_config().view_encoder
    assert from_dict(DiffusionConfig, to_dict(config)) == config
    assert (
        from_dict(DiffusionConfig, {"view_encoder": {"type": "craftsman/clip"}}).view_encoder.config
        == ClipViewsConfig()
    )
    with pytest.raises(ConfigError, match="system.view_encoder.image_sizes: unknown key. Nearest: image_size"):
        from_dict(DiffusionConfig, {"view_encoder": {"image_sizes": 16}}, "system")


def test_shipped_weights_still_name_their_encoder() -> None:
    folder = Path(__file__).parents[3] / "ckpts" / "craftsman-small" / "diffusion"
    config = from_dict(DiffusionConfig, json.loads((folder / "config.json").read_text())["config"])
    assert config.view_encoder.type == "vit"


def test_clip_systems_are_saved_and_loaded_whole(tmp_path: Path) -> None:
    torch.manual_seed(0)
    system = DiffusionSystem(tiny.diffusion_config(view_encoder=clip_choice()))
    loaded = DiffusionSystem.load(system.save(tmp_path / "weights"))
    assert loaded.config == system.config
    assert all(torch.equal(value, system.state_dict()[name]) for name, value in loaded.state_dict().items())


def test_tokens_must_be_as_wide_as_the_denoiser_reads_them() -> None:
    config = tiny.diffusion_config(view_encoder=clip_choice())
    config.denoiser.context_dim = 48
    with pytest.raises(ConfigError, match="system.denoiser.context_dim: is 48, .* 32 wide"):
        DiffusionSystem(config)


@pytest.mark.parametrize(("random_views", "expected"), [(True, 1), (False, 4)])
def test_validation_samples_from_as_many_views_as_training_prepares_for(random_views: bool, expected: int) -> None:
    system = DiffusionSystem(tiny.diffusion_config(random_views=random_views, validation_steps=1)).eval()
    system.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]
    system._autoencoder.append(AutoencoderSystem(tiny.autoencoder_config()).eval())
    counts = []
    system.view_encoder.register_forward_hook(lambda _, inputs, output: counts.append(inputs[0].shape[1]))
    with torch.no_grad():
        points = {"points": torch.rand(3, 5, 3), "occupancy": torch.ones(3, 5), "index": torch.arange(3)}
        system.validation_step(diffusion_batch() | points, 0)
    assert counts == [4, expected]


def test_posterior_statistics() -> None:
    posterior = DiagonalGaussian.from_moments(torch.tensor([[[0.5, 100.0]]]))
    assert posterior.log_variance.item() == 20.0
    assert DiagonalGaussian(torch.zeros(2, 3, 4), torch.zeros(2, 3, 4)).kl().tolist() == [0.0, 0.0]
