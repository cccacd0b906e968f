"""What may be given for weights, and what is said when it leads nowhere."""

from pathlib import Path

import pytest
import torch

from framework.weights.folder import WeightsError, save_weights
from framework.weights.resolve import resolve


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_run(folder: Path, weights: bool = True) -> Path:
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_text("seed: 0\n")
    if weights:
        save_weights(folder / "weights", "m/s", {}, {"a": torch.zeros(1)})
    return folder


def test_a_weights_folder_is_itself(workplace: Path) -> None:
    folder = save_weights(workplace / "mine", "m/s", {}, {"a": torch.zeros(1)})
    assert resolve("mine") == Path("mine")
    assert resolve(folder) == folder


def test_the_tensor_file_of_a_weights_folder_stands_for_the_folder(workplace: Path) -> None:
    folder = save_weights(workplace / "mine", "m/s", {}, {"a": torch.zeros(1)})
    assert resolve("mine/model.safetensors").samefile(folder)


def test_official_files_are_left_to_their_adapter(workplace: Path) -> None:
    (workplace / "official").mkdir()
    (workplace / "official" / "model.ckpt").write_text("")
    assert resolve("official") == Path("official")
    assert resolve("official/model.ckpt") == Path("official/model.ckpt")


def test_a_run_is_found_by_id_and_by_path(workplace: Path) -> None:
    run = make_run(workplace / "outputs" / "m" / "20250101-ab")
    assert resolve("20250101-ab").samefile(run / "weights")
    assert resolve(run) == run / "weights"


def test_a_run_without_weights_names_the_command(workplace: Path) -> None:
    make_run(workplace / "outputs" / "m" / "run1", weights=False)
    with pytest.raises(WeightsError, match="export run=run1 format=weights"):
        resolve("run1")


def test_the_nearest_run_is_offered(workplace: Path) -> None:
    make_run(workplace / "outputs" / "m" / "20250101-abcd")
    with pytest.raises(WeightsError, match="Nearest: 20250101-abcd"):
        resolve("20250101-abce")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "no weights are given"),
        ("ckpts/none", "no such folder"),
        ("/nowhere/at/all", "no such folder"),
        ("file.txt", "is a file"),
        ("two", r"a\.ckpt, b\.safetensors: give one"),
        ("run/checkpoints/last.ckpt", "checkpoint of a run. Give the run: run"),
        ("empty", "has no config.json"),
    ],
)
def test_what_leads_nowhere(workplace: Path, source: str, message: str) -> None:
    (workplace / "file.txt").write_text("")
    for folder in ("empty", "two"):
        (workplace / folder).mkdir()
    for name in ("a.ckpt", "b.safetensors"):
        (workplace / "two" / name).write_text("")
    (make_run(workplace / "run", weights=False) / "checkpoints" / "last.ckpt").write_text("")
    with pytest.raises(WeightsError, match=message):
        resolve(source)


def test_offline_hub_ids_fail_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match="could not be fetched from the hub.*Offline"):
        resolve("nobody/nothing@main")
