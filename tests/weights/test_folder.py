"""Weights folders: whole or not at all, and readable errors for damaged ones."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from framework.weights.folder import (
    WeightsError,
    check_tensors,
    load_weights,
    save_weights,
)
from framework.weights.opening import fingerprint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A weights folder with two tensors."""
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(3)}
    return save_weights(tmp_path / "weights", "method/system", {"size": 2}, tensors, facts={"iou": 0.5})


def test_round_trip(folder: Path) -> None:
    saved = load_weights(folder)
    assert (saved.name, saved.config, saved.facts) == ("method/system", {"size": 2}, {"iou": 0.5})
    assert saved.tensors["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert saved.tensors["count"].dtype == torch.int64


def test_tensors_that_share_memory_can_be_saved(tmp_path: Path) -> None:
    base = torch.arange(6.0)
    save_weights(tmp_path / "w", "m/s", {}, {"x": base, "y": base[:2], "z": base.reshape(2, 3).T})
    assert load_weights(tmp_path / "w").tensors["z"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_hash_is_that_of_the_tensor_file(folder: Path) -> None:
    assert fingerprint(folder) == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_saving_again_replaces_the_weights(folder: Path) -> None:
    save_weights(folder, "method/system", {"size": 3}, {"a": torch.zeros(1)})
    assert load_weights(folder).config == {"size": 3}
    assert list(folder.parent.iterdir()) == [folder]


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(WeightsError, match=r"thesis\.tex.*new or empty folder"):
        save_weights(tmp_path, "m/s", {}, {"a": torch.zeros(1)})
    assert (tmp_path / "thesis.tex").is_file()


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match="is a file"):
        save_weights(tmp_path / "file", "m/s", {}, {})


def test_a_failed_save_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        save_weights(tmp_path / "weights", "m/s", {"path": object()}, {"a": torch.zeros(1)})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "model.safetensors").unlink(), "has no model.safetensors"),
        (lambda f: (f / "model.safetensors").write_bytes(b"nonsense"), "can't be read"),
        (lambda f: (f / "config.json").unlink(), "has no config.json"),
        (lambda f: (f / "config.json").write_text("{"), "no valid JSON"),
        (lambda f: (f / "config.json").write_text("[]"), "lacks schema"),
        (lambda f: (f / "config.json").write_text(json.dumps({"schema": 99, "system": "", "config": {}})), "schema 99"),
    ],
)
def test_damage_is_named(folder: Path, damage, message: str) -> None:  # type: ignore[no-untyped-def]
    damage(folder)
    with pytest.raises(WeightsError, match=message):
        load_weights(folder)


def test_long_lists_of_keys_are_cut() -> None:
    expected = {f"layer{i}": (1,) for i in range(9)}
    with pytest.raises(WeightsError, match=r"9 missing \(layer0, layer1, layer2, layer3 and 5 more\)"):
        check_tensors(expected, {}, "here")
