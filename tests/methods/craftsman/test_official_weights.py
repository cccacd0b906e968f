"""Published checkpoints: every key is accounted for, and nothing is lost on the way in and out again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from framework.cli import main
from framework.config.build import from_dict
from framework.weights.folder import WeightsError, load_weights
from framework.weights.official import OfficialFiles
from framework.weights.opening import open_weights
from methods.craftsman.config import AutoencoderConfig, DiffusionConfig
from methods.craftsman.official.config_text import autoencoder_text
from methods.craftsman.official.reading import AUTOENCODER, DIFFUSION, read, systems_in
from methods.craftsman.systems import AutoencoderSystem, DiffusionSystem
from methods.craftsman.weights import (
    autoencoder_from_official,
    denoiser_from_official,
    diffusion_from_official,
    official_from_autoencoder,
    official_from_diffusion,
)
from tests.methods.craftsman import tiny
from tests.methods.craftsman.official_files import TINY_CONFIG, filled, manifest, tiny_state, write_folder

SHAPES = {"shape_model.": "v1_vae_aligned.official", "": "v1_checkpoint.official"}


def meta_state(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Tensors without memory, but for the cameras, whose values are looked at."""
    cameras = {key: shape for key, shape in shapes.items() if key == "condition.cameras"}
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()} | filled(cameras)


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    """Whether both have the same keys with the same bits and types."""
    return left.keys() == right.keys() and all(
        left[key].dtype == right[key].dtype and torch.equal(left[key], right[key]) for key in left
    )


def aligned_manifest() -> dict[str, tuple[int, ...]]:
    """The second published file: the first one with the aligned autoencoder in it."""
    others = {key: shape for key, shape in manifest("v1_checkpoint.official").items() if key[:6] != "shape_"}
    return manifest("v1_vae_aligned.official") | others


@pytest.mark.parametrize(
    ("shapes", "latents"),
    [(manifest("v1_checkpoint.official"), 256), (aligned_manifest(), 257), (manifest("v1_pipeline"), 32)],
    ids=["plain", "aligned", "tiny"],
)
def test_a_whole_checkpoint_has_exactly_the_keys_of_our_systems(
    shapes: dict[str, tuple[int, ...]], latents: int
) -> None:
    files = OfficialFiles(meta_state(shapes))
    assert systems_in(shapes) == (AUTOENCODER, DIFFUSION)
    configs = [
        from_dict(kind, read(files, system).config)
        for kind, system in ((AutoencoderConfig, AUTOENCODER), (DiffusionConfig, DIFFUSION))
    ]
    with torch.device("meta"):
        ours = official_from_autoencoder(AutoencoderSystem(configs[0])) | official_from_diffusion(
            DiffusionSystem(configs[1])
        )
    assert {key: tuple(value.shape) for key, value in ours.items()} == shapes
    assert configs[1].denoiser.latents == latents


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("v1_vae_checkpoint", {"queries": "fps", "qkv_bias": True, "aligned_dim": 0, "num_latents": 256}),
        ("v1_vae_fps", {"queries": "fps", "qkv_bias": True, "num_freqs": 8, "point_feats": 3}),
        ("v1_vae_learned_query", {"queries": "learned", "qkv_bias": False, "num_latents": 256, "embed_dim": 64}),
        ("v1_vae_aligned", {"queries": "learned", "aligned_dim": 768, "num_latents": 256, "heads": 12}),
    ],
)
def test_the_variant_of_an_autoencoder_is_read_off_its_keys(name: str, expected: dict[str, object]) -> None:
    shapes = manifest(f"{name}.official")
    assert systems_in(shapes) == (AUTOENCODER,)
    config = from_dict(AutoencoderConfig, read(OfficialFiles(meta_state(shapes)), AUTOENCODER).config)
    assert {key: getattr(config.shape_model, key) for key in expected} == expected
    notes = read(OfficialFiles(meta_state(shapes)), AUTOENCODER).facts["notes"]
    assert any("number of latents" in note for note in notes) == (expected["queries"] == "fps")
    with torch.device("meta"):
        ours = official_from_autoencoder(AutoencoderSystem(config))
    assert {key: tuple(value.shape) for key, value in ours.items()} == shapes


@pytest.mark.parametrize(
    "sizes", [{"embed_point_feats": True}, {"num_freqs": 0}, {"point_feats": 0}, {"include_pi": True}]
)
def test_embeddings_are_read_off_shapes_and_config(sizes: dict[str, Any]) -> None:
    config = tiny.autoencoder_config(**sizes)
    tensors = official_from_autoencoder(AutoencoderSystem(config))
    found = read(OfficialFiles(tensors, {"config.yaml": autoencoder_text(config)}), AUTOENCODER)
    assert from_dict(AutoencoderConfig, found.config).shape_model == config.shape_model
    assert found.facts["notes"] == []


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """The tiny checkpoint."""
    return tiny_state()


@pytest.mark.parametrize(
    ("name", "prefix"), [("v1_denoiser.official", "denoiser_model."), ("v1_clip_modln.official", "condition.")]
)
def test_the_lists_of_the_parts_agree_with_that_of_the_whole(name: str, prefix: str) -> None:
    whole = manifest("v1_checkpoint.official")
    assert manifest(name) == {key: shape for key, shape in whole.items() if key.startswith(prefix)}


def test_networks_take_and_give_back_published_states(state: dict[str, Tensor]) -> None:
    options = {"heads": 4}
    sections = {"shape_model": options, "denoiser_model": options}
    autoencoder = autoencoder_from_official(state, options)
    diffusion = diffusion_from_official(state, sections, {"vision_config": {"num_attention_heads": 2}})
    assert same({**official_from_autoencoder(autoencoder), **official_from_diffusion(diffusion)}, state)
    assert diffusion.config.view_encoder.config.vision.heads == 2
    bare = {key.removeprefix("denoiser_model."): value for key, value in state.items() if key.startswith("denoiser_")}
    assert same(dict(denoiser_from_official(bare, options).state_dict()), bare)


def export(*words: str) -> int:
    return main(["export", *words])


def stored(path: Path) -> dict[str, Tensor]:
    return torch.load(path / "model.ckpt", weights_only=True)["state_dict"]


def halved(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state with its denoiser in half precision: types differ inside one file."""
    return {key: value.half() if key.startswith("denoiser_") else value for key, value in state.items()}


def without_text(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if ".text_model." not in key}


@pytest.mark.parametrize("change", [dict, halved], ids=["float32", "mixed"])
def test_there_and_back_is_bit_equal(state: dict[str, Tensor], change, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    state = change(state)
    official = write_folder(tmp_path / "official", state)
    assert export(f"weights={official}", f"output={tmp_path / 'ours'}") == 0
    assert export(f"weights={tmp_path / 'ours'}", "format=official", f"output={tmp_path / 'back'}") == 0
    assert same(stored(tmp_path / "back"), state)
    # The diffusion alone knows where its autoencoder lies; and what came back can be imported again.
    assert export(f"weights={tmp_path / 'ours' / 'diffusion'}", "format=official", f"output={tmp_path / 'again'}") == 0
    assert same(stored(tmp_path / "again"), state)
    assert export(f"weights={tmp_path / 'again'}", f"output={tmp_path / 'third'}") == 0
    for system in ("autoencoder", "diffusion"):
        first, third = (load_weights(tmp_path / name / system, stored_types=True) for name in ("ours", "third"))
        assert same(first.tensors, third.tensors)
        assert first.config | {"autoencoder": ""} == third.config | {"autoencoder": ""}


def test_the_config_says_what_shapes_can_not(state: dict[str, Tensor], tmp_path: Path) -> None:
    text = TINY_CONFIG.replace("include_pi: false", "include_pi: true").replace("beta_end: 0.012", "beta_end: 2e-2")
    text = text.replace("skip_ln: true", "skip_ln: true\n    flip_sin_to_cos: true").replace(
        "width: 64", "width: 65", 1
    )
    text = text.replace("zero_uncond_embeds: false", "zero_uncond_embeds: true\n    normalise_embeds: false")
    official = write_folder(tmp_path / "official", state, text.replace("z_scale_factor: 1.0", "z_scale_factor: 2"))
    shape_model = from_dict(AutoencoderConfig, open_weights(official, AUTOENCODER).config).shape_model
    saved = open_weights(official, DIFFUSION)
    config = from_dict(DiffusionConfig, saved.config)
    assert (shape_model.heads, shape_model.include_pi, shape_model.width) == (4, True, 64)
    assert (config.denoiser.heads, config.denoiser.flip_sin_to_cos, config.schedule.beta_end) == (4, True, 0.02)
    clip = config.view_encoder.config
    assert (clip.vision.heads, clip.text.heads, clip.unconditional, config.latent_scale) == (4, 2, "zeros", 2.0)
    notes = [*open_weights(official, AUTOENCODER).facts["notes"], *saved.facts["notes"]]
    assert any("system.condition_model.normalise_embeds is not known" in note for note in notes)
    assert any("config.yaml says width 65, the weights have 64" in note for note in notes)
    assert not any("embeds_fusion_mode" in note for note in notes)


def test_what_carries_nothing_is_dropped(state: dict[str, Tensor], tmp_path: Path) -> None:
    extra = {
        "condition.model.vision_model.embeddings.position_ids": torch.arange(257)[None],
        "shape_model._dummy": torch.zeros(0),
        "shape_model.clip_model.logit_scale": torch.zeros(()),
    }
    write_folder(tmp_path / "official", state | extra)
    assert export(f"weights={tmp_path / 'official'}", f"output={tmp_path / 'ours'}") == 0
    assert export(f"weights={tmp_path / 'ours'}", "format=official", f"output={tmp_path / 'back'}") == 0
    assert same(stored(tmp_path / "back"), state)


def test_the_text_tower_may_be_missing(state: dict[str, Tensor], tmp_path: Path) -> None:
    official = write_folder(tmp_path / "official", without_text(state))
    saved = open_weights(official, DIFFUSION)
    assert saved.config["view_encoder"]["text"] is None
    assert not any("projection" in key or "logit_scale" in key for key in saved.tensors)
    system = DiffusionSystem(from_dict(DiffusionConfig, saved.config))
    system.load_own_state(saved.tensors, "here")


@pytest.mark.parametrize("form", ["nested", "bare", "no prefix", "safetensors"])
def test_an_autoencoder_comes_in_many_forms(state: dict[str, Tensor], tmp_path: Path, form: str) -> None:
    from safetensors.torch import save_file

    part = {key: value for key, value in state.items() if key.startswith("shape_model.")}
    naked = {key.removeprefix("shape_model."): value for key, value in part.items()}
    path = tmp_path / ("vae.safetensors" if form == "safetensors" else "vae.ckpt")
    content = {"nested": {"state_dict": part, "epoch": 1}, "bare": part, "no prefix": naked}
    if form == "safetensors":
        save_file(part, path)
    else:
        torch.save(content[form], path)
    system = AutoencoderSystem.load(path)
    assert same(official_from_autoencoder(system), part)
    assert AutoencoderSystem.load(path).config.shape_model.num_latents == 32


def test_what_the_import_tells(state: dict[str, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    official = write_folder(tmp_path / "official", state, config=None)
    assert export(f"weights={official}", f"output={tmp_path / 'ours'}", "half=true") == 0
    printed = capsys.readouterr().out
    assert printed.count("note: there is no config.yaml") == 1
    assert str(tmp_path / "ours" / "diffusion") in printed
    description = json.loads((tmp_path / "ours" / "diffusion" / "config.json").read_text())
    assert description["facts"]["official"] | {"sha256": ""} == {
        "source": "official", "sha256": "", "epoch": 3, "global_step": 7
    }  # fmt: skip
    assert description["config"]["autoencoder"] == str(tmp_path / "ours" / "autoencoder")
    assert load_weights(tmp_path / "ours" / "autoencoder", stored_types=True).tensors[
        "shape_model.post_kl.weight"
    ].dtype == torch.float16  # fmt: skip


def test_small_weights_can_not_be_published(tmp_path: Path) -> None:
    source = Path("ckpts/craftsman-small")
    with pytest.raises(WeightsError, match="the view encoder 'vit', latent positions.*, normalised latents"):
        from framework.weights.exchange import export_official

        export_official(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
