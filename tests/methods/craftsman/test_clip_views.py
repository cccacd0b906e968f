"""The published image condition at toy size: what it looks at, what stands for no picture, and what trains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import CLIPModel

from framework.nets.clip import build_clip
from framework.nets.config import ClipTextConfig, ClipVisionConfig
from framework.renderers.views import canonical_cameras
from framework.weights.folder import WeightsError
from methods.craftsman.config import ClipViewsConfig
from methods.craftsman.nets.clip_views import ClipViews
from tests.methods.craftsman import tiny

TOKENS = 5  # of a picture of 16 pixels in patches of 8
TEXT = ClipTextConfig(
    vocabulary=20, positions=8, width=16, mlp_width=32, layers=1, heads=2, begin_token=18, end_token=19, projection=12
)


def encoder(trained: bool = True, **changes: Any) -> ClipViews:
    torch.manual_seed(0)
    made = ClipViews(tiny.clip_config(**changes)).eval()
    if trained:
        train_modulation(made)
    return made


@torch.no_grad()
def train_modulation(encoder: ClipViews) -> None:
    for name, value in encoder.named_parameters():
        if ".mod_norm" in name:
            value.normal_(std=0.3)


def views(count: int = 2, size: int = 16) -> torch.Tensor:
    return torch.rand(count, 4, 4, size, size, generator=torch.Generator().manual_seed(1))


def cameras(count: int = 2) -> torch.Tensor:
    return canonical_cameras().world_from_camera.expand(count, 4, 4, 4)


@torch.no_grad()
def test_tokens_stand_in_view_order_and_views_do_not_see_each_other() -> None:
    made, pictures, poses = encoder(), views(), cameras()
    tokens = made(pictures, poses)
    assert tokens.shape == (2, 4 * TOKENS, made.width)
    order = [2, 0, 3, 1]
    moved = made(pictures[:, order], poses[:, order])
    torch.testing.assert_close(moved.unflatten(1, (4, -1)), tokens.unflatten(1, (4, -1))[:, order])
    torch.testing.assert_close(made(pictures[:, :1], poses[:, :1]), tokens[:, :TOKENS])


@torch.no_grad()
def test_the_camera_tells_equal_pictures_apart() -> None:
    same = views()[:, :1].expand(-1, 4, -1, -1, -1)
    blind, told = encoder(camera_modulation=False, trained=False), encoder()
    first, *others = told(same, cameras()).unflatten(1, (4, -1)).unbind(1)
    assert all(not torch.allclose(first, other, atol=1e-3) for other in others)
    first, *others = blind(same, cameras()).unflatten(1, (4, -1)).unbind(1)
    assert all(torch.equal(first, other) for other in others)


@torch.no_grad()
def test_transparent_views_are_seen_over_white() -> None:
    made, pictures = encoder(), views(size=20)
    pictures[:, :, 3] = (pictures[:, :, 3] > 0.5).float()
    hidden = pictures.clone()
    hidden[:, :, :3] *= pictures[:, :, 3:]  # another colour behind what is transparent
    solid = torch.ones_like(pictures)
    solid[:, :, :3] = pictures[:, :, :3] * pictures[:, :, 3:] + (1 - pictures[:, :, 3:])
    tokens = made(pictures, cameras())
    torch.testing.assert_close(made(hidden, cameras()), tokens)
    torch.testing.assert_close(made(solid, cameras()), tokens)


@torch.no_grad()
def test_nothing_given_is_changed() -> None:
    made, pictures, poses = encoder(), views(size=20), cameras().clone()
    before = pictures.clone(), poses.clone()
    made(pictures, poses)
    assert torch.equal(pictures, before[0])
    assert torch.equal(poses, before[1])


@torch.no_grad()
def test_no_picture_is_a_black_one_without_modulation() -> None:
    trained, fresh = encoder(), encoder(trained=False)
    tokens = trained(views(), cameras())
    empty = trained.unconditional(tokens)
    black = torch.zeros(2, 4, 4, 16, 16)
    black[:, :, 3] = 1.0
    torch.testing.assert_close(empty, fresh(black, cameras()))
    assert not torch.allclose(empty, trained(black, cameras()), atol=1e-3)
    assert torch.equal(trained.unconditional(tokens[:1, : 2 * TOKENS]), empty[:1, : 2 * TOKENS])
    zeros = encoder(unconditional="zeros").unconditional(tokens)
    assert zeros.shape == tokens.shape
    assert not zeros.any()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"modulation"}),
        ({"freeze_modulation": True}, set()),
        ({"freeze": False}, {"modulation", "tower"}),
        ({"freeze": False, "freeze_modulation": True}, {"tower"}),
    ],
)
def test_what_trains(changes: dict[str, Any], expected: set[str]) -> None:
    """The original's flag left half of the modulation trainable; text tower and final norm never are."""
    made = encoder(text=TEXT, **changes)
    trains = {name: value.requires_grad for name, value in made.model.named_parameters()}
    modulation = {name for name in trains if ".mod_norm" in name}
    unused = {name for name in trains if not name.startswith("vision_model.") or ".post_layernorm." in name}
    assert len(modulation) == 2 * 2 * 2
    for part, names in (("modulation", modulation), ("tower", trains.keys() - modulation - unused), ("", unused)):
        assert {trains[name] for name in names} == {part in expected}


def test_checkpoints_with_text_are_held_whole_and_can_be_slimmed() -> None:
    whole = encoder(text=TEXT)
    tokens = whole(views(), cameras())
    names = set(whole.state_dict())
    whole.drop_unused()
    assert names - set(whole.state_dict()) == {
        name
        for name in names
        if name.split(".")[1] in ("text_model", "text_projection", "visual_projection", "logit_scale")
    }
    assert torch.equal(whole(views(), cameras()), tokens)


def test_parameter_names_are_the_published_ones() -> None:
    path = Path(__file__).parents[2] / "parity" / "fixtures" / "craftsman" / "v1_clip_modln.official.json"
    listed = json.loads(path.read_text())["state"]
    with torch.device("meta"):
        state = ClipViews(ClipViewsConfig(text=ClipTextConfig())).state_dict()
    ours = {f"condition.{name}": list(value.shape) for name, value in state.items()}
    assert ours == {name: entry[0] for name, entry in listed.items() if name != "condition.cameras"}


@torch.no_grad()
def test_tokens_have_length_one_on_request() -> None:
    plain, scaled = encoder(), encoder(normalize=True)
    expected = plain(views(), cameras())
    expected = expected / expected.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(scaled(views(), cameras()), expected)
    nothing = scaled.unconditional(expected)
    torch.testing.assert_close(nothing.norm(dim=-1), torch.ones(nothing.shape[:2]))


@pytest.fixture
def saved_clip(tmp_path: Path) -> tuple[CLIPModel, Path]:
    torch.manual_seed(7)
    clip = build_clip(tiny.clip_config().vision, TEXT)
    clip.save_pretrained(tmp_path / "clip")
    return clip, tmp_path / "clip"


def test_a_new_training_begins_with_the_named_clip(saved_clip: tuple[CLIPModel, Path]) -> None:
    clip, folder = saved_clip
    made = encoder(trained=False, weights=str(folder))
    made.begin_training()
    tower = clip.vision_model.state_dict()
    state = made.model.vision_model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in tower.items())
    with torch.no_grad():
        made.model.vision_model.pre_layrnorm.weight.add_(1.0)
    train_modulation(made)
    made.begin_training()  # a continued training keeps what it has
    assert not torch.equal(made.model.vision_model.pre_layrnorm.weight, clip.vision_model.pre_layrnorm.weight)


def test_a_clip_that_does_not_fit_is_refused(saved_clip: tuple[CLIPModel, Path]) -> None:
    vision = ClipVisionConfig(image_size=16, patch_size=8, width=48, mlp_width=64, layers=2, heads=2)
    with pytest.raises(WeightsError, match="of the wrong shape"):
        ClipViews(ClipViewsConfig(vision=vision, weights=str(saved_clip[1]))).begin_training()


def test_a_frozen_tower_of_random_weights_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="stays random"):
        encoder(trained=False).begin_training()


def test_a_damaged_clip_is_named(saved_clip: tuple[CLIPModel, Path]) -> None:
    file = saved_clip[1] / "model.safetensors"
    whole = file.read_bytes()
    for content in (b"", whole[:-100], b"\xff" * 64):
        file.write_bytes(content)
        with pytest.raises(WeightsError, match=r"model\.safetensors"):
            encoder(trained=False, weights=str(saved_clip[1])).begin_training()
