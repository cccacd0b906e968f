"""The verb `prepare`: exit codes, what is printed, errors that name the cure."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from framework.cli import main
from framework.config.choice import Choice
from framework.data.config import PrepareShapesConfig, ShapesConfig
from framework.data.shape_files import read_split
from framework.export.mesh_files import save_mesh
from framework.geometry.mesh import Mesh
from framework.tasks.config import PrepareOptions
from framework.tasks.prepare import run

CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float64)
TETRAHEDRON = Mesh(CORNERS, np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]))
SMALL = ["surface_samples=300", "volume_samples=300", "near_samples=100", "view_size=16", "workers=1"]


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    save_mesh(TETRAHEDRON, tmp_path / "meshes" / "good.ply")
    (tmp_path / "meshes" / "bad.obj").write_text("v 0 0 0\n")
    return tmp_path / "meshes"


def options(source: Path, output: Path) -> PrepareOptions:
    small = PrepareShapesConfig(surface_samples=300, volume_samples=300, near_samples=100, view_size=16, workers=1)
    return PrepareOptions(
        data=Choice("shapes", ShapesConfig(prepare=small)), source=str(source), output=str(output), device="cpu"
    )


def test_some_good_meshes_are_a_success(meshes: Path, tmp_path: Path) -> None:
    text = io.StringIO()
    code = run(options(meshes, tmp_path / "set"), Console(file=text, width=200))
    printed = text.getvalue()
    assert code == 0 and len(read_split(tmp_path / "set", "train")) == 1
    assert f"skipped {meshes / 'bad.obj'}: no triangles" in printed
    assert f"train with: data=shapes data.root={tmp_path / 'set'}" in printed
    assert (tmp_path / "set" / "report.json").is_file()


def test_only_bad_meshes_are_a_failure(meshes: Path, tmp_path: Path) -> None:
    (meshes / "good.ply").unlink()
    text = io.StringIO()
    assert run(options(meshes, tmp_path / "set"), Console(file=text)) == 1
    assert "nothing in this set can be used" in text.getvalue()
    assert not (tmp_path / "set" / "train.json").exists()


def test_the_command_as_it_is_typed(meshes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["prepare", "data=shapes", f"source={meshes}", f"output={tmp_path / 'set'}"]
    assert main([*words, *(f"data.prepare.{word}" for word in SMALL)]) == 0
    assert "train with:" in capsys.readouterr().out
    assert main([*words, *(f"data.prepare.{word}" for word in SMALL), "data.prepare.view_size=32"]) == 1
    assert "other options (view_size 16 -> 32)" in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["source={meshes}"], 2, "output is missing"),
        (["output={set}"], 1, "source is missing. Give it: source="),
        (["source=/nowhere", "output={set}"], 1, "source=/nowhere does not exist"),
        (["source={meshes}", "output={meshes}/good.ply/set"], 1, "can't be made: Not a directory"),
        (["source={meshes}", "output={set}", "data.prepare.view_sise=3"], 2, "Nearest: view_size"),
        (["source={meshes}", "output={set}", "data.prepare.val_fraction=1"], 2, "data.prepare: val_fraction"),
    ],
)
def test_wrong_commands_say_what_to_give(
    meshes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    filled = [word.format(meshes=meshes, set=tmp_path / "set") for word in words]
    assert main(["prepare", "data=shapes", *filled]) == code
    assert message in "".join(capsys.readouterr())
    assert not (tmp_path / "set").exists()


def test_the_procedural_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = ["data.train=1", "data.val=1", "data.test=0", "data.samples=300", "data.surface_points=100"]
    sizes = ["data.supervision_points=100", "data.validation_points=100", "data.render_size=16", "data.processes=0"]
    words = ["prepare", "data=procedural", f"output={tmp_path / 'set'}", *counts, *sizes]
    assert main(words) == 0
    assert "train with: data=procedural data.root=" in capsys.readouterr().out
    assert main([*words, "source=meshes"]) == 1
    assert "source is not used" in "".join(capsys.readouterr())
