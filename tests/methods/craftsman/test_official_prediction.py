"""Official weights at toy size make meshes, without a network: imported, or as they were published."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

import framework
from framework.cli import main
from framework.export.mesh_files import load_mesh
from framework.geometry.mesh import Mesh
from tests.methods.craftsman.official_files import tiny_state, write_folder

PICTURES = Path(__file__).parents[3] / "docs" / "pictures"
SMALL = ["method.stages.shape.steps=2", "method.stages.shape.extraction.depth=4", "turntable=false", "device=cpu"]
VIEWS = [
    f"input.front={PICTURES / 'inputs' / 'armchair.png'}",
    f"input.left={PICTURES / 'views' / 'armchair_left.png'}",
]


def refuse(*arguments: Any) -> NoReturn:
    raise OSError("no network in this test")


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with the folder `official`, and no network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    write_folder(Path("official"), tiny_state())
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


def predicted(output: str, *words: str) -> Mesh:
    assert main(["predict", "method=craftsman", *VIEWS, *SMALL, f"output={output}", *words]) == 0
    return load_mesh(next(Path(output).glob("*/mesh.glb")))


def test_import_then_predict() -> None:
    assert main(["export", "weights=official", "output=ckpts/craftsman"]) == 0
    mesh = predicted("imported")
    assert len(mesh.faces) > 100
    assert np.abs(mesh.vertices).max() <= 1.1 + 1e-6
    # Wherever weights are wanted, the official files do as well.
    direct = predicted("direct", "weights.autoencoder=official", "weights.diffusion=official/model.ckpt")
    assert np.array_equal(direct.vertices, mesh.vertices)
    assert np.array_equal(direct.faces, mesh.faces)
    other = predicted("fewer", "method.stages.shape.latents=31")
    assert not np.array_equal(other.vertices, mesh.vertices)


def test_from_python() -> None:
    method = framework.load("craftsman", weights={"autoencoder": "official", "diffusion": "official"}, device="cpu")
    for stage in method.pipeline.stages:
        if stage.name == "shape":
            stage.config.steps, stage.config.extraction.depth = 1, 3
    assert len(method(PICTURES / "inputs" / "armchair.png").mesh.vertices) > 0


def test_without_weights_it_is_said_how_to_get_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "method=craftsman", *VIEWS, *SMALL]) != 0
    said = " ".join(capsys.readouterr().err.split())
    assert "the weights of method 'craftsman' are not here (ckpts/craftsman/autoencoder)" in said
    assert "python launch.py export weights=<their folder> output=ckpts/craftsman" in said
    assert not Path("outputs").exists()


def test_weights_given_in_place_of_the_method_s_own_fail_with_their_own_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ["weights.autoencoder=official", "weights.diffusion=nothing"]
    assert main(["predict", "method=craftsman", *VIEWS, *SMALL, *given]) != 0
    assert "weights 'nothing': no such folder" in capsys.readouterr().err


def test_broken_numbers_are_found_before_anything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    state = tiny_state()
    state["denoiser_model.ln_post.weight"][0] = float("inf")
    write_folder(Path("official"), state)
    given = ["weights.autoencoder=official", "weights.diffusion=official"]
    assert main(["predict", "method=craftsman", *VIEWS, *SMALL, *given]) != 0
    assert "denoiser.ln_post.weight hold values that are not finite" in capsys.readouterr().err
    assert not Path("outputs").exists()
