"""The verb `predict` with a method that begins with random numbers: cases are seeds, and there is no input."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from rich.console import Console

import framework
from framework import registry
from framework.artifacts.latent_set import LatentSet
from framework.config.build import to_dict
from framework.config.choice import Choice
from framework.config.errors import ConfigError
from framework.geometry.icosphere import icosphere
from framework.geometry.mesh import Mesh
from framework.pipeline import loading, presentation
from framework.pipeline.assembly import plan_method
from framework.pipeline.case import Case
from framework.pipeline.config import MethodConfig
from framework.pipeline.stage import Stage
from framework.tasks.config import InputOptions, PredictOptions, RerunOptions
from framework.tasks.predict import run
from framework.tasks.rerun import run as rerun
from framework.testing.contract.prediction import check_prediction
from framework.testing.tiny_pipeline import register_tiny_stages, tiny_method


@dataclass(kw_only=True)
class NoOptions:
    """These stages have no options."""


class Draw(Stage):
    """Draws a radius."""

    Config: ClassVar[type] = NoOptions
    gives: ClassVar[Mapping[str, type]] = {"radius": LatentSet}

    def run(self, case: Case) -> None:
        """Write `radius`."""
        drawn = torch.rand(1, 1, generator=torch.Generator().manual_seed(case.seed))
        case.write("radius", LatentSet(0.5 + drawn.numpy()))


class Ball(Stage):
    """Makes a ball of the radius."""

    Config: ClassVar[type] = NoOptions
    needs: ClassVar[Mapping[str, type]] = {"radius": LatentSet}
    gives: ClassVar[Mapping[str, type]] = {"mesh": Mesh}

    def run(self, case: Case) -> None:
        """Write `mesh`."""
        vertices, faces = icosphere(1, float(case.read("radius").vectors[0, 0]))
        case.write("mesh", Mesh(vertices.numpy(), faces.numpy()))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    register_tiny_stages()
    for part in (Draw, Ball):
        name = f"testing/{part.__name__.lower()}"
        if name not in registry.names("stage"):
            entry = registry.Entry(f"{__name__}:{part.__name__}", f"{__name__}:NoOptions", from_seed=part is Draw)
            registry.register("stage", name, entry)
    monkeypatch.setattr(presentation, "preview", lambda mesh, rasterizer: np.zeros((4, 4, 3), np.uint8))
    monkeypatch.chdir(tmp_path)


def method() -> MethodConfig:
    return MethodConfig(name="testing", stages=[Choice(f"testing/{name}", NoOptions()) for name in ("draw", "ball")])


def predict(**options: Any) -> tuple[int, str]:
    text = io.StringIO()
    chosen = PredictOptions(method=options.pop("method", method()), device="cpu", turntable=False, **options)
    return run(chosen, Console(file=text, width=300)), text.getvalue()


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "case.json").read_text())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def test_a_case_for_each_seed(tmp_path: Path) -> None:
    assert predict(output="out", count=3, seed=8)[0] == 0
    assert names(tmp_path / "out") == ["seed0008", "seed0009", "seed0010"]
    records = [record(tmp_path / "out" / name) for name in names(tmp_path / "out")]
    assert [(item["seed"], item["source"], item["status"]) for item in records] == [
        (seed, "", "finished") for seed in (8, 9, 10)
    ]
    assert predict(output="one")[0] == 0
    assert names(tmp_path / "one") == ["seed0000"]
    meshes = [(tmp_path / "out" / name / "mesh.glb").read_bytes() for name in names(tmp_path / "out")]
    assert len(set(meshes)) == 3


def test_results_are_named(tmp_path: Path) -> None:
    _, text = predict(output="out")
    assert text.splitlines()[1:] == ["  out/seed0000/mesh.glb", "  out/seed0000/preview.png"]


def test_finished_cases_are_skipped(tmp_path: Path) -> None:
    predict(output="out", count=2)
    before = (tmp_path / "out" / "seed0000" / "case.json").stat().st_mtime_ns
    code, text = predict(output="out", count=3)
    assert code == 0 and "2 skipped" in text and "1 finished" in text
    assert (tmp_path / "out" / "seed0000" / "case.json").stat().st_mtime_ns == before
    assert names(tmp_path / "out") == ["seed0000", "seed0001", "seed0002"]


def test_a_run_from_a_stage_on(tmp_path: Path) -> None:
    predict(output="out", count=2, seed=4)
    LatentSet(np.full((1, 1), 3.0, np.float32)).save(tmp_path / "out" / "seed0005" / "radius.safetensors")
    assert predict(run="out", stages="ball..", count=2, seed=4)[0] == 0
    radii = [np.abs(_mesh(tmp_path / "out" / name).vertices).max() for name in ("seed0004", "seed0005")]
    assert radii[0] < 1.6 and radii[1] > 2.0
    assert predict(output="out", stages="ball", seed=5)[0] == 0
    assert record(tmp_path / "out" / "seed0005")["status"] == "finished"


def test_a_run_is_repeated(tmp_path: Path) -> None:
    predict(output="out", count=2, seed=6)
    assert rerun(RerunOptions(run="out", output="again"), Console(quiet=True)) == 0
    assert names(tmp_path / "again") == names(tmp_path / "out") == ["seed0006", "seed0007"]


def _mesh(case: Path) -> Mesh:
    return Case(case.name, case).read("mesh")


def test_pictures_are_refused_where_none_is_read_and_wanted_where_one_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"input: is given, but this method begins with random numbers"):
        predict(input=InputOptions(path="a.png"))
    with pytest.raises(ConfigError, match=r"input: is given"):
        predict(input=InputOptions(left="a.png"), stages="..draw")
    with pytest.raises(ConfigError, match=r"input is missing. Give it: launch.py predict"):
        predict(method=tiny_method())
    assert not list(tmp_path.iterdir())


def test_as_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "compose", lambda chosen: {"method": to_dict(method())})
    loaded = framework.load("testing", device="cpu")
    meshes = [loaded(seed=seed).mesh.vertices for seed in (3, 3, 4)]
    assert np.array_equal(meshes[0], meshes[1]) and not np.array_equal(meshes[0], meshes[2])
    with pytest.raises(ConfigError, match="reads no picture"):
        loaded(np.zeros((8, 8, 3), np.uint8))
    monkeypatch.setattr(loading, "compose", lambda chosen: {"method": to_dict(tiny_method())})
    with pytest.raises(ConfigError, match="input is missing"):
        framework.load("testing", device="cpu")()


def test_the_contract_suite_needs_no_picture(tmp_path: Path) -> None:
    chosen = PredictOptions(method=method())
    assert plan_method(method())
    outcomes = check_prediction(chosen, "pipeline", "tests")
    assert len(outcomes) == 5 and all(outcome.passed for outcome in outcomes), outcomes
