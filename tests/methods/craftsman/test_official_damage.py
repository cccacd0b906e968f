"""Official files that are wrong: each is refused with its reason, and nothing is written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from framework.cli import main
from framework.weights.folder import WeightsError
from framework.weights.opening import open_weights
from methods.craftsman.official.reading import AUTOENCODER, DIFFUSION
from tests.methods.craftsman.official_files import TINY_CONFIG, tiny_state, write_folder

State = dict[str, Tensor]


class Payload:
    """What a pickle with code in it looks like."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch owned",)


@pytest.fixture(scope="module")
def state() -> State:
    """The tiny checkpoint."""
    return tiny_state()


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The import of the folder `official` fails with `message`, and leaves nothing behind."""
    before = sorted(Path().rglob("*"))
    assert main(["export", "weights=official", "output=ours"]) != 0
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") < 8  # a message, no traceback
    assert sorted(Path().rglob("*")) == before


def renamed(state: State) -> State:
    state["shape_model.decoder.ln_last.weight"] = state.pop("shape_model.decoder.ln_post.weight")
    return state


def changed(key: str, value: Callable[[Tensor], Tensor | None]) -> Callable[[State], State]:
    def change(state: State) -> State:
        new = value(state[key]) if key in state else value(torch.zeros(()))
        return {name: old for name, old in state.items() if name != key} | ({key: new} if new is not None else {})

    return change


def poisoned(value: Tensor) -> Tensor:
    value = value.clone()
    value.view(-1)[3] = float("nan")
    return value


TOWER = "condition.model.vision_model."


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (renamed, "missing: shape_model.decoder.ln_post.weight (the file has shape_model.decoder.ln_last.weight)"),
        (changed("shape_model.projecton", lambda _: torch.zeros(64, 64)), "1 keys unknown: shape_model.projecton"),
        (changed("denoiser_model.input_proj.bias", lambda _: None), "missing: denoiser_model.input_proj.bias"),
        (changed("denoiser_model.input_proj.weight", lambda _: None), "the key input_proj.weight is missing"),
        (changed("denoiser_model.backbone.decoder.1.2.bias", lambda x: x[:9]), "is (9,), expected (64,)"),
        (
            changed("shape_model.pre_kl.weight", lambda x: x.T),
            "shape_model.pre_kl.weight is (64, 32), expected (32, 64)",
        ),
        (changed(f"{TOWER}pre_layrnorm.bias", lambda _: None), f"missing: {TOWER}pre_layrnorm.bias"),
        (changed(f"{TOWER}embeddings.patch_embedding.weight", lambda x: x[0]), "patch_embedding.weight is missing or"),
        (changed("condition.cameras", lambda _: None), "missing: condition.cameras"),
        (changed("condition.cameras", lambda x: x.flip(0)), "not the poses of front, right, back and left"),
        (changed("optimizer.lr", lambda x: x), "1 keys belong to no part of it: optimizer.lr"),
        (changed("denoiser_model.output_proj.bias", poisoned), "output_proj.bias hold values that are not finite"),
        (changed(f"{TOWER}post_layernorm.weight", lambda x: x / 0), "are not finite"),
        (changed("denoiser_model.x_embed.weight", lambda _: torch.zeros(64, 16)), "of the second generation"),
    ],
)
def test_wrong_tensors(
    change: Callable[[State], State], message: str, state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(Path("official"), change(dict(state)))
    refused(message, capsys)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("simple-denoiser", "simple-denoizer", "denoiser_model_type is 'simple-denoizer', which is not known"),
        ("simple-denoiser", "pixart-denoiser", "It is of the second generation"),
        ("type: clip-embedder", "type: os.system", "condition_model_type is 'os.system', which is not known"),
        ("shape-diffusion-system", "text-system", "Known: shape-autoencoder-system, shape-diffusion-system"),
        ("michelangelo-auto", "michelangelo-aligned-auto", "its key shape_model.projection is missing"),
        ("heads: 4", "heads: 7", "heads is 7, but the weights are 64 wide"),
        ("heads: 4", "heads: many", "heads is 'many', expected int"),
        ("n_ctx: ${system.shape_model.num_latents}", "n_ctx: ${shape_model.num_latents}", "leads nowhere"),
        ("use_ln_post: true", "embed_type: siren", "embed_type is 'siren', expected fourier or identity"),
        ("normalize_embeds: false", "normalize_embeds: maybe", "normalize_embeds is 'maybe', expected bool"),
        ("clip_sample: false\n    set_alpha", "clip_sample: true\n    set_alpha", "clip_sample is True; only False"),
        ("    steps_offset: 1", "    steps_offset: one", "steps_offset: expected"),
        ("    beta_end: 0.012", "    beta_end: [1]", "beta_end: expected number"),
        ("beta_schedule: scaled_linear\n    variance", "beta_schedule: linear\n    variance", "must be the same"),
        ("z_scale_factor: 1.0", "z_scale_factor: 0", "z_scale_factor is 0, expected a positive number"),
        ("system:\n", "system: []\nothers:\n", "has no section `system`"),
        ("seed: 0", "seed: !!python/object/apply:os.system ['touch owned']", "config.yaml can't be read"),
        ("seed: 0", "seed: &a [*a]", "aliases"),
        ("seed: 0", "seed: {", "config.yaml can't be read"),
    ],
)
def test_wrong_configs(old: str, new: str, message: str, state: State, capsys: pytest.CaptureFixture[str]) -> None:
    assert old in TINY_CONFIG
    write_folder(Path("official"), state, TINY_CONFIG.replace(old, new))
    refused(message, capsys)


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, "it is cut off or damaged"),
        (lambda path: path.write_bytes(b""), "is no PyTorch checkpoint"),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
        (lambda path: torch.save({"state_dict": {}}, path), "expected tensors only"),
        (lambda path: torch.save({"model": {"a": torch.ones(1)}}, path), "has model among its keys"),
        (lambda path: torch.save([1], path), "holds a list"),
        (lambda path: torch.save({"a.weight": torch.ones(1)}, path), "is no published checkpoint of craftsman"),
    ],
)
def test_damaged_files(
    damage: Callable[[Path], object], message: str, state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(write_folder(Path("official"), state) / "model.ckpt")
    refused(message, capsys)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_is_not_executed(zipped: bool, state: State, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(Path("official"), state)
    content = {"state_dict": state, "callbacks": Payload()}
    torch.save(content, folder / "model.ckpt", _use_new_zipfile_serialization=zipped)
    refused("system). Such a file can run code, so it is not read", capsys)
    assert not Path("owned").exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"vision_config": 3}', '{"vision_config": {"num_attention_heads": 7}}'])
def test_wrong_sizes_of_clip(text: str, state: State) -> None:
    folder = write_folder(Path("official"), state)
    (folder / "clip_config.json").write_text(text)
    with pytest.raises(WeightsError, match=r"clip_config\.json"):
        open_weights(folder, DIFFUSION)
    assert open_weights(folder, AUTOENCODER).name == AUTOENCODER  # it needs none of that


def test_other_content_of_the_output_is_not_lost(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(Path("official"), state)
    Path("ours/autoencoder").mkdir(parents=True)
    Path("ours/autoencoder/thesis.tex").write_text("years of work")
    refused("holds other files (thesis.tex)", capsys)
    Path("ours/diary.txt").write_text("more of it")
    refused("holds other files (diary.txt)", capsys)
