"""The latent cache holds what the autoencoder says, and is made once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from framework.config.choice import Choice
from framework.config.errors import ConfigError
from framework.data.config import ProceduralConfig
from methods.craftsman import data
from methods.craftsman.config import LatentsConfig
from methods.craftsman.data import LatentsData
from methods.craftsman.systems import AutoencoderSystem
from tests.methods.craftsman import tiny


@pytest.fixture
def latents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LatentsData:
    """Six training objects in shards of four, by an untrained autoencoder."""
    monkeypatch.setattr(data, "SHARD", 4)
    torch.manual_seed(0)
    weights = AutoencoderSystem(tiny.autoencoder_config()).save(tmp_path / "weights")
    source = ProceduralConfig(
        root=str(tmp_path / "set"),
        train=6,
        val=2,
        test=1,
        samples=200,
        surface_points=64,
        supervision_points=64,
        validation_points=64,
        render_size=16,
        processes=0,
    )
    config = LatentsConfig(
        source=Choice("procedural", source),
        autoencoder=str(weights),
        root=str(tmp_path / "cache"),
        batch_size=2,
        surface_points=128,
        views=3,
    )
    module = LatentsData(config)
    module.prepare_data()
    return module


def test_batches_hold_posteriors_views_and_points(latents: LatentsData) -> None:
    batch = next(iter(latents.train_dataloader()))
    shapes = {name: tuple(value.shape) for name, value in batch.items() if isinstance(value, torch.Tensor)}
    assert shapes["mean"] == shapes["log_variance"] == (2, 8, 4)
    assert shapes["views"] == (2, 3, 4, 16, 16)
    assert shapes["world_from_camera"] == (2, 3, 4, 4)
    assert 0.0 < batch["views"].max() <= 1.0
    validation = next(iter(latents.val_dataloader()))
    assert tuple(validation["points"].shape) == (2, 64, 3)
    assert set(validation["occupancy"].unique().tolist()) <= {0.0, 1.0}


def test_training_points_are_drawn_by_seed_epoch_and_index(latents: LatentsData) -> None:
    folder = latents.folder / "train"
    assert "points" not in data.LatentDataset(folder, points=0)[(0, 1)]
    whole, few = data.LatentDataset(folder)[(0, 1)], data.LatentDataset(folder, points=16)
    drawn = few[(0, 1)]
    assert tuple(drawn["points"].shape) == (16, 3) and tuple(drawn["occupancy"].shape) == (16,)
    known = {tuple(point): inside for point, inside in zip(whole["points"].tolist(), whole["occupancy"], strict=True)}
    for point, inside in zip(drawn["points"].tolist(), drawn["occupancy"], strict=True):
        assert known[tuple(point)] == inside
    assert torch.equal(few[(0, 1)]["points"], drawn["points"])
    assert not torch.equal(few[(1, 1)]["points"], drawn["points"])
    assert not torch.equal(data.LatentDataset(folder, points=16, seed=1)[(0, 1)]["points"], drawn["points"])


def test_more_training_points_than_the_cache_holds_are_refused(latents: LatentsData) -> None:
    with pytest.raises(ConfigError, match="supervision_points"):
        LatentsData(dataclasses.replace(latents.config, supervision_points=65))


def test_cached_posterior_is_the_autoencoders(latents: LatentsData) -> None:
    system = AutoencoderSystem.load(latents.config.autoencoder)
    stored = data.LatentDataset(latents.folder / "train")
    surface = latents.source.dataset("train")[(0, 5)]["surface"]
    with torch.no_grad():
        posterior, _ = system.shape_model.encode(surface[None])
    assert surface.shape == (128, 6)
    torch.testing.assert_close(stored[(0, 5)]["mean"], posterior.mean[0], atol=2e-3, rtol=2e-3)


def test_statistics_are_those_of_samples(latents: LatentsData) -> None:
    mean, std = latents.latent_statistics()
    dataset = data.LatentDataset(latents.folder / "train")
    means = torch.stack([dataset[(0, row)]["mean"] for row in range(6)])
    variances = torch.stack([dataset[(0, row)]["log_variance"].exp() for row in range(6)])
    torch.testing.assert_close(mean, means.mean(dim=0))
    torch.testing.assert_close(std.square(), means.var(dim=0, correction=0) + variances.mean(dim=0))


def test_variants_are_what_the_first_epochs_draw(latents: LatentsData) -> None:
    source = dataclasses.replace(latents.config.source.config, stretch=(0.3, 0.3, 0.3))
    module = LatentsData(dataclasses.replace(latents.config, variants=2, source=Choice("procedural", source)))
    module.prepare_data()
    assert [len(data.LatentDataset(module.folder / split)) for split in ("train", "val")] == [12, 2]
    dataset = data.LatentDataset(module.folder / "train")
    assert dataset[(0, 8)]["id"] == dataset[(0, 2)]["id"]
    drawn = module.source.dataset("train")[(1, 2)]
    torch.testing.assert_close(dataset[(0, 8)]["points"], drawn["points"], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(dataset[(0, 8)]["views"], drawn["views"], atol=1 / 254, rtol=0)
    assert not torch.equal(dataset[(0, 8)]["mean"], dataset[(0, 2)]["mean"])


def test_a_second_start_encodes_nothing(latents: LatentsData, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after a kill, of which something half-written may be left: that goes."""
    index = latents.folder / "train" / "index.json"
    before = [path.stat().st_mtime_ns for path in sorted(latents.folder.rglob("*.safetensors"))]
    index.unlink()
    (index.parent / ".part-0123-00002.safetensors").write_text("half")
    LatentsData(latents.config).prepare_data()
    assert index.is_file()
    assert not list(latents.folder.rglob(".part-*"))
    assert before == [path.stat().st_mtime_ns for path in sorted(latents.folder.rglob("*.safetensors"))]


def test_other_weights_have_another_cache(latents: LatentsData, tmp_path: Path) -> None:
    torch.manual_seed(1)
    other = AutoencoderSystem(tiny.autoencoder_config()).save(tmp_path / "other")
    config = dataclasses.replace(latents.config, autoencoder=str(other))
    assert LatentsData(config).folder != latents.folder


DAMAGES: tuple[tuple[str, bytes | None], ...] = (
    ("index.json", b"{"),
    ("index.json", b"[1, 2]"),
    ("index.json", b'{"ids": ["a", "b"], "shards": []}'),
    ("index.json", b'{"ids": ["a"], "shards": ["../00000.safetensors"]}'),
    ("index.json", b'{"ids": [1], "shards": ["00000.safetensors"]}'),
    ("00000.safetensors", b""),
    ("00000.safetensors", b"\xff" * 100),
    ("00000.safetensors", b"\x02\0\0\0\0\0\0\0{}"),
    ("00000.safetensors", None),
)


def test_a_damaged_cache_is_named(latents: LatentsData) -> None:
    for file, content in DAMAGES:
        path = latents.folder / "train" / file
        whole = path.read_bytes()
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(data.LatentsError, match=rf"{file} can't be read .*Remove .*/train: it is made anew"):
            list(latents.train_dataloader().dataset[0, 0])
        with pytest.raises(data.LatentsError, match=file):
            latents.latent_statistics()
        path.write_bytes(whole)


def test_the_fingerprint_is_that_of_weights_and_shapes(latents: LatentsData) -> None:
    first = latents.fingerprint()
    assert LatentsData(latents.config).fingerprint() == first
    shard = latents.folder / "train" / "00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    assert latents.fingerprint() != first
