"""A system saved and loaded again, and the errors of weights that don't fit."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from framework import registry
from framework.systems.system import System
from framework.testing.tiny import NAME, TinyConfig, TinySystem, register_tiny
from framework.weights.folder import WeightsError, save_weights


class FrozenPartSystem(TinySystem):
    """Holds a part that has weights of its own."""

    frozen_parts = ("teacher",)

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        self.teacher = nn.Linear(2, 2).requires_grad_(False)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder with the weights of a tiny system."""
    torch.manual_seed(1)
    return TinySystem(TinyConfig(width=5)).save(tmp_path / "weights", facts={"run": "r1", "step": 7})


def test_round_trip_keeps_config_and_values(saved: Path) -> None:
    torch.manual_seed(1)
    original = TinySystem(TinyConfig(width=5))
    loaded = TinySystem.load(saved)
    assert loaded.config == original.config
    assert not loaded.training
    for name, value in original.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, rtol=0, atol=0)


def test_folder_has_json_safetensors_and_a_card(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    description = json.loads((saved / "config.json").read_text())
    assert (description["system"], description["config"]["width"]) == (NAME, 5)
    card = (saved / "README.md").read_text()
    assert "library_name: atelier3d" in card
    assert "- step: 7" in card


def test_load_on_the_base_class_finds_the_class_by_name(saved: Path) -> None:
    register_tiny()
    assert isinstance(System.load(saved), registry.load_class("system", NAME))


def test_half_precision_is_smaller_and_comes_back_as_float32(tmp_path: Path) -> None:
    system = TinySystem(TinyConfig(width=512))
    full, half = system.save(tmp_path / "full"), system.save(tmp_path / "half", half=True)
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (full, half)]
    assert sizes[1] < 0.6 * sizes[0]
    loaded = TinySystem.load(half)
    assert all(value.dtype == torch.float32 for value in loaded.state_dict().values())
    torch.testing.assert_close(loaded.layers[0].weight, system.layers[0].weight, rtol=1e-3, atol=1e-4)


def test_frozen_parts_are_not_saved(tmp_path: Path) -> None:
    folder = FrozenPartSystem(TinyConfig()).save(tmp_path / "weights")
    FrozenPartSystem.load(folder)
    TinySystem.load(folder)  # No key of the teacher is in there.


def test_weights_of_another_system_are_refused(tmp_path: Path, saved: Path) -> None:
    description = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(description | {"system": "other/thing"}))
    with pytest.raises(WeightsError, match="holds weights of 'other/thing', expected 'testing/tiny'"):
        TinySystem.load(saved)
    with pytest.raises(registry.RegistryError, match="other/thing"):
        System.load(saved)


def test_missing_unexpected_and_misshapen_keys_are_listed(tmp_path: Path) -> None:
    state = TinySystem(TinyConfig()).state_dict()
    state.pop("layers.0.bias")
    state["layers.9.weight"] = torch.zeros(2)
    state["layers.3.weight"] = torch.zeros(1, 3)
    folder = save_weights(tmp_path / "weights", NAME, {}, state)
    with pytest.raises(WeightsError) as error:
        TinySystem.load(folder)
    text = str(error.value)
    assert "1 missing (layers.0.bias)" in text
    assert "1 unexpected (layers.9.weight)" in text
    assert "layers.3.weight is (1, 3), expected (1, 8)" in text
    assert "export them again" in text


def test_an_unknown_option_in_saved_weights_is_named(saved: Path) -> None:
    description = json.loads((saved / "config.json").read_text())
    description["config"]["widht"] = 3
    (saved / "config.json").write_text(json.dumps(description))
    with pytest.raises(ValueError, match=r"config\.widht: unknown key"):
        TinySystem.load(saved)


def test_a_wrong_config_class_is_refused() -> None:
    with pytest.raises(TypeError, match="takes a TinyConfig, got dict"):
        TinySystem({"width": 3})  # type: ignore[arg-type]
