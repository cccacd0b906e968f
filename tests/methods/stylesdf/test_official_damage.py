"""Official files of StyleSDF through the command line: whole ones there and back, wrong ones refused with a reason."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from framework.cli import main
from framework.weights.folder import WeightsError
from framework.weights.opening import open_weights
from methods.stylesdf.config import GeneratorConfig, RendererConfig
from methods.stylesdf.official.files import PUBLISHED
from methods.stylesdf.official.reading import FULL, VOLUME
from tests.methods.stylesdf.official_files import tiny_content

Content = dict[str, dict[str, Tensor]]
FILE = Path("models.pt")


class Payload:
    """What a pickle with code in it looks like."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch owned",)


@pytest.fixture(scope="module")
def full() -> Content:
    """A tiny file of the second stage."""
    return tiny_content("full")


@pytest.fixture(scope="module")
def volume() -> Content:
    """A tiny file of the first stage."""
    return tiny_content("volume")


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)


def export(*words: str) -> int:
    return main(["export", *words])


def same(left: Content, right: Content) -> bool:
    return list(left) == list(right) and all(
        left[part].keys() == right[part].keys()
        and all(
            value.dtype == right[part][key].dtype and torch.equal(value, right[part][key])
            for key, value in left[part].items()
        )
        for part in left
    )


@pytest.mark.parametrize("stage", ["volume", "full"])
def test_there_and_back(stage: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> None:
    content: Content = request.getfixturevalue(stage)
    torch.save(content, FILE)
    assert export("weights=models.pt", "output=ours") == 0
    said = capsys.readouterr().out
    keys = sum(len(part) for part in content.values())
    assert f"note: stylesdf/{stage}: {keys} keys, 0 missing, 0 unexpected" in said
    assert "note: models.pt is none of the published files" in said
    assert f"ours/{stage}" in said
    origin = json.loads(Path("ours", stage, "config.json").read_text())["facts"]["official"]
    assert (origin["source"], "published" in origin) == ("models.pt", False)
    assert export("weights=ours", "format=official", "output=back") == 0
    assert same(torch.load("back/model.pt", weights_only=True), content)
    assert export("weights=back", "output=again") == 0  # what we write is what we read
    assert export(f"weights=again/{stage}", "format=official", "output=back") == 0
    assert same(torch.load("back/model.pt", weights_only=True), content)


def test_half_the_size_and_back(full: Content) -> None:
    torch.save(full, FILE)
    assert export("weights=models.pt", "output=ours", "half=true") == 0
    assert export("weights=ours", "format=official", "output=back") == 0
    back = torch.load("back/model.pt", weights_only=True)
    assert same(back, {part: {key: value.half() for key, value in state.items()} for part, state in full.items()})


def test_both_stages_are_files_of_their_own(full: Content, volume: Content, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(full, "full.pt")
    torch.save(volume, "volume.pt")
    assert export("weights=full.pt", "output=ours/a") == export("weights=volume.pt", "output=ours/b") == 0
    for name in ("a/full", "b/volume"):
        Path("ours", name).rename(Path("ours", name.partition("/")[2]))
        Path("ours", name.partition("/")[0]).rmdir()
    assert export("weights=ours", "format=official", "output=back") != 0
    assert "published in files of their own" in capsys.readouterr().err
    assert export("weights=ours/full", "format=official", "output=back") == 0
    with pytest.raises(WeightsError, match=r"full\.pt holds stylesdf/full, expected 'stylesdf/volume'"):
        open_weights(Path("full.pt"), VOLUME)
    with pytest.raises(WeightsError, match=r"volume\.pt holds stylesdf/volume, expected 'stylesdf/full'"):
        open_weights(Path("volume.pt"), FULL)


def refused(message: str, capsys: pytest.CaptureFixture[str], file: Path = FILE) -> None:
    """The import fails with `message`, and leaves nothing behind."""
    before = sorted(Path().rglob("*"))
    assert export(f"weights={file}", "output=ours") != 0
    said = capsys.readouterr().err
    assert message in said
    assert str(file) in said
    assert said.count("\n") < 8  # a message, no traceback
    assert sorted(Path().rglob("*")) == before


def changed(part: str, key: str, value: Callable[[Tensor], Tensor | None]) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        new = value(content[part].pop(key, torch.zeros(())))
        content[part] |= {key: new} if new is not None else {}

    return change


def poisoned(value: Tensor) -> Tensor:
    value = value.clone()
    value.view(-1)[1] = float("nan")
    return value


def renamed(content: Content) -> None:
    state = content["g"]
    state["decoder.conv1.conv.wieght"] = state.pop("decoder.conv1.conv.weight")


NETWORK = "renderer.network."


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (renamed, "missing: g.decoder.conv1.conv.weight (the file has g.decoder.conv1.conv.wieght)"),
        (changed("g", "style.3.weight", lambda _: torch.zeros(32, 32)), "1 keys unknown: g.style.3.weight"),
        (changed("g_ema", f"{NETWORK}rgb_linear.bias", lambda _: None), f"missing: g_ema.{NETWORK}rgb_linear.bias"),
        (changed("d", "final_linear.1.bias", lambda _: None), "missing: d.final_linear.1.bias"),
        (changed("d", "final_linear.1.bias", lambda x: x.expand(3).clone()), "d.final_linear.1.bias is (3,)"),
        (changed("g", "decoder.noises.noise_1", lambda x: x[..., 1:]), "g.decoder.noises.noise_1 is (1, 1, 32, 31)"),
        (changed("g_ema", "decoder.noises.noise_0", lambda _: None), "the key decoder.noises.noise_0 is missing"),
        (changed("g_ema", "style.0.weight", lambda x: x[0]), "the key style.0.weight has the shape (32,)"),
        (changed("g_ema", "decoder.noises.noise_2", lambda x: x[:, :, :0].contiguous()), "has the shape (1, 1, 0, 32)"),
        (changed("g_ema", "decoder.to_rgb1.bias", poisoned), "to_rgb1.bias hold values that are not finite"),
        (changed("d", "convs.1.skip.0.kernel", lambda x: x * 4), "d.convs.1.skip.0.kernel is not the kernel of"),
        (changed("g", "decoder.convs.0.conv.blur.kernel", lambda x: x / 4), "is not the kernel of [1, 3, 3, 1]"),
        (lambda content: content.pop("d"), "lacks d: a published checkpoint holds g, d, g_ema"),
        (lambda content: content.pop("g_ema"), "lacks g_ema"),
        (lambda content: content.update(more={"a": torch.ones(1)}), "more among its keys"),
        (lambda content: content["d"].update(deep={"a": torch.ones(1)}), "d.deep among its keys"),
    ],
)
def test_wrong_tensors(
    change: Callable[[Content], None], message: str, full: Content, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {part: dict(state) for part, state in full.items()}
    change(content)
    torch.save(content, FILE)
    refused(message, capsys)


def test_parts_of_different_stages(full: Content, volume: Content, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(full | {"d": volume["d"]}, FILE)
    refused("its generator is of the second stage (it has a decoder), its discriminator of the first", capsys)
    torch.save(volume | {"d": full["d"]}, FILE)
    refused("its generator is of the first stage (it has no decoder), its discriminator of the second", capsys)
    torch.save(full | {"g": volume["g"]}, FILE)
    refused("keys missing: g.decoder.", capsys)
    torch.save(full["g_ema"], FILE)
    refused("lacks g, d, g_ema", capsys)


def test_latents_of_another_width(capsys: pytest.CaptureFixture[str]) -> None:
    content = tiny_content("volume")
    for part in ("g", "g_ema"):
        state = content[part]
        content[part] = {
            key: value[:, :24].contiguous() if key.endswith(("gamma.weight", "beta.weight")) else value
            for key, value in state.items()
        } | {f"style.{index}.weight": state[f"style.{index}.weight"][:24, :24].contiguous() for index in range(3)}
    torch.save(content, FILE)
    refused("is 24, but renderer.width is 32: they must be equal", capsys)


def test_sizes_that_no_option_gives(capsys: pytest.CaptureFixture[str]) -> None:
    content = tiny_content("full")
    content["g_ema"]["decoder.convs.0.conv.weight"] = torch.zeros(1, 17, 16, 3, 3)
    torch.save(content, FILE)
    refused("no channel_multiplier and channel_max give these channels", capsys)
    content = tiny_content("volume", GeneratorConfig(style_dim=32, renderer_resolution=16, channel_max=16))
    content["d"]["convs.1.conv2.conv.conv.weight"] = torch.zeros(11, 18, 3, 3)
    torch.save(content, FILE)
    refused("no channel_max gives these channels by resolution of thumbnails", capsys)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), "it is cut off or damaged"),
        (lambda path: path.write_bytes(b""), "is no PyTorch checkpoint"),
        (lambda path: path.write_text("<!doctype html><title>Google Drive - Quota exceeded"), "an error page"),
        (lambda path: torch.save({"g": {}, "d": {}, "g_ema": {}}, path), "expected tensors only"),
        (lambda path: torch.save({"g": torch.ones(1), "d": {}, "g_ema": {}}, path), "is no published checkpoint"),
        (lambda path: torch.save({"g": Payload()}, path), "Such a file can run code, so it is not read"),
    ],
)
def test_damaged_files(
    damage: Callable[[Path], object], message: str, volume: Content, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(volume, FILE)
    damage(FILE)
    refused(message, capsys)
    assert not Path("owned").exists()


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda file: file.name)
def test_a_published_name_is_checked(published, volume: Content, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    file = Path(published.path)
    file.parent.mkdir()
    assert export(f"weights={file}", "output=ours") != 0  # the way to it, when it is not here
    said = " ".join(capsys.readouterr().err.split())
    assert published.url in said.replace(" ", "")
    assert f"({published.size:,} bytes, MD5 {published.md5}). Licence: CC BY-NC-SA 4.0" in said
    torch.save(volume, file)
    assert export(f"weights={file}", "output=ours") == 0  # another one of this name: used, and said so
    said = capsys.readouterr().out
    assert f"note: {file} has {file.stat().st_size:,} bytes, but the published file of this name has" in said
    config = json.loads(Path("ours/volume/config.json").read_text())["config"]
    assert config["camera"]["azim"] == (0.15 if "afhq" in file.name else 0.3)
    file.write_bytes(file.read_bytes()[:-900])
    assert export(f"weights={file}", "output=other") != 0
    said = " ".join(capsys.readouterr().err.split())
    assert f"the published file of this name has {published.size:,} bytes and MD5 {published.md5}" in said
    assert not Path("other").exists()


def test_renderers_of_densities(capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(tiny_content("volume", renderer=RendererConfig(width=32, depth=2, sdf=False), poses=False), FILE)
    assert export("weights=models.pt", "output=ours") == 0
    config = json.loads(Path("ours/volume/config.json").read_text())["config"]
    assert (config["renderer"]["sdf"], config["loss"]["view_lambda"]) == (False, 0.0)
