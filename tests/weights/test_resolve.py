"""What may be given for weights, and what is said when it leads nowhere."""

from pathlib import Path

import pytest
import torch

from framework import registry
from framework.registry import MethodSpec, PluginWarning, Registry
from framework.weights.folder import WeightsError, save_weights
from framework.weights.opening import official_formats
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


def test_weights_inside_another_package_are_found_by_its_name(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = workplace / "site"
    save_weights(site / "sixth_method" / "weights" / "net", "sixth/net", {}, {"a": torch.zeros(1)})
    save_weights(site / "stranger" / "weights", "stranger/net", {}, {"a": torch.zeros(1)})
    (site / "sixth_method" / "files").mkdir()
    info = site / "sixth-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sixth\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[atelier3d.configs]\nsixth = sixth_method.files\n")
    monkeypatch.syspath_prepend(site)
    assert resolve("sixth_method/weights/net") == site / "sixth_method" / "weights" / "net"
    with pytest.raises(WeightsError):  # packages that bring no method are none of ours
        resolve("stranger/weights")


def test_a_broken_adapter_leaves_those_of_other_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    specs = {
        "bad": MethodSpec(name="bad", summary="", official="no_such_package:OFFICIAL"),
        "good": MethodSpec(name="good", summary="", official="collections:Counter"),
    }
    table = Registry({name: (lambda name=name: specs[name]) for name in specs})  # type: ignore[misc]
    monkeypatch.setattr(registry, "default_registry", lambda: table)
    with pytest.warns(PluginWarning, match="official checkpoints of method 'bad' are off: .*no_such_package"):
        assert list(official_formats()) == ["good"]
