"""The systems learn, and what they draw from is under control."""

from __future__ import annotations

import pytest
import torch

from framework.nets.gaussian import DiagonalGaussian
from methods.craftsman.systems import AutoencoderSystem, DiffusionSystem
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


@pytest.mark.parametrize("guidance", [0.0, 1.0, 3.0])
def test_samples_repeat_with_the_seed_and_change_with_it(guidance: float) -> None:
    system, batch = DiffusionSystem(tiny.diffusion_config()).eval(), diffusion_batch(2)

    def sample(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        cameras = batch["world_from_camera"][:, :1]
        return system.sample(batch["views"][:, :1], cameras, steps=3, guidance=guidance, generator=generator)

    assert torch.equal(sample(3), sample(3))
    assert not torch.allclose(sample(3), sample(4))
    assert sample(3).shape == (2, 8, 4)


def test_no_guidance_ignores_the_pictures() -> None:
    system, batch = DiffusionSystem(tiny.diffusion_config()).eval(), diffusion_batch(1)
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
        views, cameras = system._training_views(batch)
        assert torch.equal(views[:, 0], batch["views"][:, 0])
        assert views.shape[1] == cameras.shape[1]
        counts.add(views.shape[1])
    assert counts == {1, 2, 3, 4}


def test_condition_is_dropped_per_item() -> None:
    torch.manual_seed(0)
    system = DiffusionSystem(tiny.diffusion_config(condition_dropout=0.5))
    kept = system._dropped(torch.ones(400, 2, 3)).flatten(1)
    share = (kept == 0).all(dim=1).float().mean().item()
    assert share == pytest.approx(0.5, abs=0.1)
    assert ((kept == 0).all(dim=1) | (kept == 1).all(dim=1)).all()


def test_posterior_statistics() -> None:
    posterior = DiagonalGaussian.from_moments(torch.tensor([[[0.5, 100.0]]]))
    assert posterior.log_variance.item() == 20.0
    assert DiagonalGaussian(torch.zeros(2, 3, 4), torch.zeros(2, 3, 4)).kl().tolist() == [0.0, 0.0]
