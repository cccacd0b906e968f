"""CLIP from plain numbers: transformers' own numbers, a modulation that begins as nothing, and no hub."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from framework.config.errors import ConfigError
from framework.nets.clip import Modulation, build_clip, drop_text, pooled, vision_tokens
from framework.nets.config import ClipTextConfig, ClipVisionConfig

ROOT = Path(__file__).parents[2]
VISION = ClipVisionConfig(image_size=16, patch_size=8, width=32, mlp_width=64, layers=2, heads=2)
TEXT = ClipTextConfig(
    vocabulary=20, positions=8, width=16, mlp_width=32, layers=1, heads=2, begin_token=18, end_token=19, projection=12
)


@pytest.fixture
def clip() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_clip(VISION, TEXT, modulation_channels=6).eval()


def pixels(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def train_modulation(clip: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(2)
    for name, value in clip.named_parameters():
        if ".mod_norm" in name:
            value.data = 0.3 * torch.randn(value.shape, generator=generator)


@torch.no_grad()
def test_tokens_and_features_are_those_of_transformers(clip: torch.nn.Module) -> None:
    tower = clip.vision_model
    tokens = vision_tokens(tower, pixels())
    theirs = tower(pixel_values=pixels())
    torch.testing.assert_close(tokens, theirs.last_hidden_state)
    torch.testing.assert_close(pooled(tower, tokens), theirs.pooler_output)
    assert tokens.shape == (2, 5, 32)


@torch.no_grad()
def test_modulation_begins_as_nothing_and_then_follows_the_condition(clip: torch.nn.Module) -> None:
    plain, conditions = vision_tokens(clip.vision_model, pixels()), torch.randn(2, 6)
    assert torch.equal(vision_tokens(clip.vision_model, pixels(), conditions), plain)
    train_modulation(clip)
    assert torch.equal(vision_tokens(clip.vision_model, pixels()), plain)
    first = vision_tokens(clip.vision_model, pixels(), conditions)
    second = vision_tokens(clip.vision_model, pixels(), torch.stack([conditions[0], -conditions[1]]))
    assert torch.equal(first[0], second[0])
    assert not torch.allclose(first[1], second[1], atol=1e-3)


@torch.no_grad()
def test_modulation_scales_and_shifts_all_tokens_alike() -> None:
    modulation = Modulation(2, 1)
    modulation.mlp[1].bias.copy_(torch.tensor([10.0, 20.0, 1.0, -1.0]))  # shift, then scale
    x = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    assert modulation(x, torch.zeros(1, 1)).tolist() == [[[12.0, 20.0], [16.0, 20.0]]]


def test_checkpointing_changes_no_gradient(clip: torch.nn.Module) -> None:
    train_modulation(clip)
    weight, conditions = clip.vision_model.encoder.layers[0].mod_norm1.mlp[1].weight, torch.randn(2, 6)
    gradients = []
    for checkpointing in (False, True):
        weight.grad = None
        vision_tokens(clip.vision_model, pixels(), conditions, checkpointing).square().mean().backward()
        gradients.append(weight.grad.clone())
    torch.testing.assert_close(*gradients)
    assert gradients[0].abs().max() > 0


def test_without_text_the_names_stay(clip: torch.nn.Module) -> None:
    whole = {name: value for name, value in clip.state_dict().items() if name.startswith("vision_model.")}
    alone = build_clip(VISION, None, modulation_channels=6)
    assert alone.state_dict().keys() == whole.keys() < clip.state_dict().keys()
    alone.load_state_dict(whole)
    drop_text(clip)
    drop_text(clip)  # twice does no harm
    assert clip.state_dict().keys() == whole.keys()
    assert torch.equal(vision_tokens(alone.vision_model, pixels()), vision_tokens(clip.vision_model, pixels()))


def test_the_official_size_has_the_official_number_of_weights() -> None:
    with torch.device("meta"):
        clip = build_clip(ClipVisionConfig(), ClipTextConfig(), modulation_channels=32)
    modulation = 2 * 24 * (32 + 1) * 2 * 1024
    assert sum(value.numel() for value in clip.parameters()) == 427_616_513 + modulation  # ViT-L/14 as published


def test_sizes_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigError, match="heads: is 3, which does not divide width 32"):
        ClipVisionConfig(width=32, heads=3)
    with pytest.raises(ConfigError, match="patch_size: is 7, which does not divide image_size 16"):
        ClipVisionConfig(image_size=16, patch_size=7)


def test_it_is_built_and_run_without_network_and_torchvision() -> None:
    code = (
        "import sys, socket\n"
        "sys.modules['torchvision'] = None\n"
        "def refuse(*arguments): raise OSError('no network in this test')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "import torch\n"
        "from tests.nets.test_clip import TEXT, VISION, pixels\n"
        "from framework.nets.clip import build_clip, vision_tokens\n"
        "print(tuple(vision_tokens(build_clip(VISION, TEXT).vision_model, pixels()).shape))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True)
    assert done.stdout.strip() == "(2, 5, 32)", done.stderr
    assert not done.stderr.strip()
