"""Official files through a made-up method's adapter: told by their keys, imported whole or not at all, written back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from framework.weights import exchange, opening
from framework.weights.exchange import export_official, import_official
from framework.weights.folder import SavedWeights, WeightsError, load_weights, save_weights
from framework.weights.official import OfficialFiles, OfficialFormat, check_official_keys
from framework.weights.opening import check_weights, fingerprint, open_weights
from framework.weights.resolve import resolve

PARTS = {"one": "m/first", "two": "m/second"}


def systems(keys: Collection[str]) -> tuple[str, ...]:
    return tuple(name for part, name in PARTS.items() if f"{part}.w" in keys)


def read(files: OfficialFiles, system: str) -> SavedWeights:
    part = next(part for part, name in PARTS.items() if name == system)
    tensors = {key.partition(".")[2]: value for key, value in files.tensors.items() if key.startswith(part)}
    check_official_keys({"w": (2,)}, tensors, files.where)
    config = {"text": files.texts.get("notes.txt", ""), "first": files.place_of("m/first")}
    return SavedWeights(system, config, tensors, {"notes": ["mind the gap"]})


def write(saved: Mapping[str, SavedWeights]) -> OfficialFiles:
    tensors = {f"{part}.w": saved[name].tensors["w"] for part, name in PARTS.items() if name in saved}
    return OfficialFiles(tensors, {"notes.txt": next(iter(saved.values())).config["text"]}, facts={"epoch": 1})


@pytest.fixture(autouse=True)
def formats(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The made-up method is the only one that has official files."""
    known = {"m": OfficialFormat(systems, read, write, companions=("notes.txt",))}
    monkeypatch.setattr(opening, "official_formats", lambda: known)
    monkeypatch.setattr(exchange, "official_formats", lambda: known)
    monkeypatch.chdir(tmp_path)


STATE = {"one.w": torch.tensor([1.0, 2.0]), "two.w": torch.tensor([3.0, 4.0]).half()}


def official(state: Mapping[str, Tensor] = STATE) -> Path:
    folder = Path("official")
    folder.mkdir(exist_ok=True)
    torch.save({"state_dict": dict(state), "epoch": 4}, folder / "model.ckpt")
    (folder / "notes.txt").write_text("hello")
    return folder


def test_import_writes_a_folder_per_system() -> None:
    folders, notes = import_official(official(), Path("ours"))
    assert folders == [Path("ours/first"), Path("ours/second")]
    assert notes == ["mind the gap"]
    second = load_weights(Path("ours/second"), stored_types=True)
    assert (second.name, second.config) == ("m/second", {"text": "hello", "first": "ours/first"})
    assert second.tensors["w"].dtype == torch.float16
    assert second.facts["official"] == {"source": "official", "sha256": fingerprint(Path("official")), "epoch": 4}
    import_official(official(), Path("ours"), half=True)  # once more, in place of the first
    assert load_weights(Path("ours/first"), stored_types=True).tensors["w"].dtype == torch.float16


def test_back_again_with_the_same_types() -> None:
    import_official(official(), Path("ours"))
    assert export_official(Path("ours"), Path("back")) == [Path("back/model.ckpt"), Path("back/notes.txt")]
    content = torch.load("back/model.ckpt", weights_only=True)
    assert content["epoch"] == 1
    assert {key: (value.dtype, value.tolist()) for key, value in content["state_dict"].items()} == {
        key: (value.dtype, value.tolist()) for key, value in STATE.items()
    }
    assert Path("back/notes.txt").read_text() == "hello"


def test_official_files_are_opened_in_place() -> None:
    folder = official()
    assert open_weights(folder, "m/first").tensors["w"].tolist() == [1, 2]
    assert open_weights(folder, "m/first").config["first"] == "official"
    check_weights(resolve("official/model.ckpt"), "m/second")
    with pytest.raises(WeightsError, match=r"holds m/first and m/second: import it.*export weights=official output="):
        open_weights(folder)
    with pytest.raises(WeightsError, match="holds m/first and m/second, expected 'm/third'"):
        check_weights(folder, "m/third")
    only = official({"one.w": STATE["one.w"]})
    assert open_weights(only).name == "m/first"


def test_safetensors_and_the_only_file_of_a_folder() -> None:
    Path("folder").mkdir()
    safetensors.torch.save_file({"one.w": STATE["one.w"]}, "folder/anything.safetensors")
    assert open_weights(resolve("folder")).tensors["w"].tolist() == [1, 2]
    Path("folder/anything.safetensors").write_bytes(b"\x10")
    with pytest.raises(WeightsError, match=r"anything\.safetensors can't be read"):
        open_weights(resolve("folder"))


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"one.w": STATE["one.w"], "two.w": torch.tensor([float("nan"), 0])}, "official: w hold values that are not"),
        ({"one.w": STATE["one.w"], "two.w": torch.ones(3)}, r"1 keys of another shape: w is \(3,\), expected \(2,\)"),
        ({"one.w": STATE["one.w"], "one.v": torch.ones(3)}, r"1 keys unknown: v\. Expected the 1 keys"),
        ({"three.w": torch.ones(2)}, r"no published checkpoint of m: its 1 keys \(three\.w, \.\.\.\)"),
    ],
)
def test_what_does_not_fit_leaves_nothing(state: dict[str, Tensor], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        import_official(official(state), Path("ours"))
    assert sorted(path.name for path in Path().iterdir()) == ["official"]


def test_missing_keys_come_with_their_nearest_names() -> None:
    given = {"block.0.weigth": torch.ones(1), "zzz": torch.ones(1)}
    with pytest.raises(WeightsError) as error:
        check_official_keys({"block.0.weight": (1,), **{f"other{i}": (1,) for i in range(9)}}, given, "file")
    said = str(error.value)
    assert "10 keys missing: block.0.weight (the file has block.0.weigth), other0" in said
    assert "and 6 more" in said
    assert "2 keys unknown: block.0.weigth (nearest block.0.weight), zzz." in said


def test_weights_without_an_official_format() -> None:
    save_weights(Path("w"), "stranger/net", {}, {"a": torch.zeros(1)})
    with pytest.raises(WeightsError, match="no official format for stranger/net: methods that have one are m"):
        export_official(Path("w"), Path("out"))
    save_weights(Path("two/a"), "m/first", {}, {"w": torch.zeros(1)})
    save_weights(Path("two/b"), "m/first", {}, {"w": torch.zeros(1)})
    with pytest.raises(WeightsError, match="several folders with weights of 'm/first'"):
        export_official(Path("two"), Path("out"))
    Path("empty").mkdir()
    with pytest.raises(WeightsError, match="holds no weights folder"):
        export_official(Path("empty"), Path("out"))
    assert not Path("out").exists()
