"""Metrics of a trained run, and its weights and meshes handed on."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from framework.artifacts.layered_mesh import LayeredMesh
from framework.cli import main
from framework.export.mesh_files import load_layers, load_mesh, save_layers, save_mesh
from framework.geometry.mesh import Mesh
from framework.systems.system import System
from framework.tasks.export import CASE_FILE, export_meshes
from framework.testing.tiny import register_tiny
from framework.trainers.run_folder import RUN_ID_VARIABLE


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished training named `r` in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(RUN_ID_VARIABLE, "r")
    register_tiny()
    words = ["system.type=testing/tiny", "data.type=testing/tiny", "device=cpu", "trainer.max_steps=4"]
    assert main(["train", *words, "trainer.val_interval=2", "trainer.ema_decay=0.9"]) == 0
    os.environ.pop(RUN_ID_VARIABLE, None)
    return tmp_path / "outputs" / "testing" / "r"


def metrics(path: Path) -> dict:  # type: ignore[type-arg]
    return json.loads(path.read_text())["metrics"]


def test_validate_repeats_the_best_validation_of_the_training(run: Path) -> None:
    assert main(["validate", "run=r"]) == 0
    best = json.loads((run / "checkpoints" / "best.json").read_text())["value"]
    assert metrics(run / "validate" / "metrics.json") == {"val/loss": pytest.approx(best, rel=1e-6)}


def test_saved_weights_test_like_their_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "run=r"]) == 0
    assert main(["export", "run=r", "output=handed_on"]) == 0
    assert main(["test", "weights=handed_on", "data.type=testing/tiny", "output=there"]) == 0
    assert metrics(Path("there/metrics.json")) == metrics(run / "test" / "metrics.json")
    assert list(metrics(Path("there/metrics.json"))) == ["test/loss"]


def test_export_in_half_precision(run: Path) -> None:
    assert main(["export", "run=r", "output=half", "half=true"]) == 0
    assert System.load("half").registry_name == "testing/tiny"
    card = Path("half/README.md").read_text()
    assert "- run: r" in card
    assert "- averaged: True" in card


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["export", "run=r", "format=glb"], "has no meshes"),
        (["export", "run=q"], "no run 'q'"),
        (["export", "run=r", "output=outputs/testing"], "holds other files"),
        (["export", "run=r", "format=official"], "no official format for testing/tiny"),
        (["export"], "run is missing"),
        (["export", "run=r", "weights=w", "output=o"], "run and weights are given both"),
        (["export", "weights=w"], "output is missing"),
        (["export", "weights=w", "output=o", "format=glb"], "format: glb is made from a prediction"),
        (["export", "run=r", "format=official", "half=true"], "half: is for format=weights"),
        (["export", "weights=outputs/testing/r/weights", "output=o"], "is a weights folder already"),
        (["validate", "data.type=testing/tiny"], "run is missing"),
        (["test", "weights=nothing", "data.type=testing/tiny"], "no such folder"),
    ],
)
def test_what_can_not_be_had(run: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert main(words) != 0
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["obj", "ply", "stl"])
def test_meshes_of_a_prediction_in_another_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    monkeypatch.chdir(tmp_path)
    mesh = Mesh(
        vertices=np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32),
        faces=np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
    )
    for case, names in {"chair": ["mesh"], "doll": ["body", "hair"]}.items():
        folder = tmp_path / "outputs" / "method" / "p" / case
        folder.mkdir(parents=True)
        (folder / "case.json").write_text("{}")
        for name in names:
            save_mesh(mesh, folder / f"{name}.glb")
    (tmp_path / "outputs" / "method" / "p" / "config.yaml").write_text("seed: 0\n")
    assert main(["export", "run=p", f"format={suffix}", "output=out"]) == 0
    assert sorted(path.stem for path in Path("out").iterdir()) == ["chair", "doll_body", "doll_hair"]
    assert load_mesh(Path(f"out/chair.{suffix}")).volume == pytest.approx(1 / 6, rel=1e-4)
    assert main(["export", "run=p"]) == 1  # It has no weights.


def test_layers_stay_parts_of_a_glb_and_are_merged_elsewhere(tmp_path: Path) -> None:
    case = tmp_path / "run" / "person"
    case.mkdir(parents=True)
    (case / CASE_FILE).write_text("{}")
    triangle = Mesh(np.eye(3), np.array([[0, 1, 2]]))
    save_layers(LayeredMesh({"hair": triangle, "body": triangle}), case / "result.layers.glb")
    (glb,) = export_meshes(tmp_path / "run", tmp_path / "out", "glb")
    assert glb.name == "person.glb"
    assert list(load_layers(glb).parts) == ["hair", "body"]
    (obj,) = export_meshes(tmp_path / "run", tmp_path / "out", "obj")
    assert len(load_mesh(obj).faces) == 2
    save_mesh(triangle, case / "coarse.glb")
    names = [path.name for path in export_meshes(tmp_path / "run", tmp_path / "out", "glb")]
    assert names == ["person_coarse.glb", "person_result.glb"]


def test_layers_as_a_file_for_each_part(tmp_path: Path) -> None:
    case = tmp_path / "run" / "anna"
    case.mkdir(parents=True)
    (case / CASE_FILE).write_text("{}")
    near, far = (Mesh(np.eye(3) + offset, np.array([[0, 1, 2]])) for offset in (0, 1))
    save_layers(LayeredMesh({"view_+0.5": near, "a/b": far}), case / "sheets.layers.glb")
    save_mesh(near, case / "mesh.glb")
    written = export_meshes(tmp_path / "run", tmp_path / "out", "obj", parts=True)
    assert sorted(path.name for path in written) == ["anna_a_b.obj", "anna_mesh.obj", "anna_view_+0.5.obj"]
    assert np.allclose(load_mesh(tmp_path / "out" / "anna_a_b.obj").bounds, far.bounds, atol=1e-5)


def test_a_mesh_turns_as_a_gif(tmp_path: Path) -> None:
    case = tmp_path / "run" / "chair-v1.5"
    case.mkdir(parents=True)
    (case / CASE_FILE).write_text("{}")
    save_mesh(Mesh(np.eye(3), np.array([[0, 1, 2]])), case / "mesh.glb")
    (film,) = export_meshes(tmp_path / "run", tmp_path / "out", "gif")
    assert film.name == "chair-v1.5.gif"
    with Image.open(film) as opened:
        assert (opened.format, opened.n_frames) == ("GIF", 48)
