"""`predict` with StyleSDF from the command to its files, and the same in Python."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import framework
from framework.artifacts.image import Image as Picture
from framework.cli import main
from framework.cli.arguments import parse
from framework.cli.options import build
from framework.export.mesh_files import load_mesh
from framework.optional import has
from framework.pipeline import presentation
from framework.pipeline.assembly import resolve_weights
from framework.renderers.turntable import preview
from framework.systems.system import System
from framework.testing.contract.prediction import check_prediction
from framework.weights.folder import WeightsError
from tests.methods.stylesdf.ball import SIDE, SIZE, save_ball

STAGES = (
    "{type:stylesdf/sample,fixed_camera_angles:true}",
    "{type:stylesdf/mesh,surface_resolution:16}",
    "{type:stylesdf/video,frames:2,N_samples:8,surface_resolution:12,surface_size:16}",
)
WORDS = ("predict", "method=stylesdf/small", f"method.stages=[{','.join(STAGES)}]", "device=cpu", "turntable=false")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_ball(tmp_path_factory.mktemp("weights") / "full"))


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Previews of a few pixels, and results below the test's own folder."""
    monkeypatch.setattr(presentation, "preview", functools.partial(preview, cell=48, supersample=1))
    monkeypatch.chdir(tmp_path)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_case_for_each_seed_with_all_files(weights: str, tmp_path: Path) -> None:
    words = (*WORDS, f"weights.full={weights}", "count=2", "seed=3", "output=out")
    assert main(words) == 0
    assert names(tmp_path / "out") == {"config.yaml", "manifest.json", "seed0003", "seed0004"}
    films = {f"{film}.{'mp4' if has('av', 'VideoFrame') else 'gif'}" for film in ("video", "surface_video")}
    latents = {"renderer_latents.safetensors", "decoder_latents.safetensors"}
    pictures = {"image.png", "thumbnail.png", "views", "thumbnails", "preview.png"}
    meshes = {"mesh.glb", "depth_meshes.layers.glb"}
    case = tmp_path / "out" / "seed0003"
    assert names(case) == {*films, *latents, *pictures, *meshes, "case.json"}
    with Image.open(case / "image.png") as image, Image.open(case / "thumbnail.png") as thumbnail:
        assert (image.size, thumbnail.size) == ((13 * SIZE, SIZE), (13 * SIDE, SIDE))
    assert main(["export", "run=out", "format=obj", "parts=true", "output=obj"]) == 0
    written = names(tmp_path / "obj")
    assert "seed0003_mesh.obj" in written and "seed0004_depth_mesh_view06_azim+25.8_elev+0.0.obj" in written
    assert len(written) == 2 * (1 + 13)
    assert load_mesh(tmp_path / "obj" / "seed0003_mesh.obj").vertex_colors is not None


def test_a_run_goes_on_from_the_mesh(weights: str, tmp_path: Path) -> None:
    words = (*WORDS, f"weights.full={weights}", "output=out")
    assert main((*words, "stages=..sample")) == 0
    before = (tmp_path / "out" / "seed0000" / "image.png").stat().st_mtime_ns
    assert main(["predict", "run=out", "stages=mesh..", "device=cpu"]) == 0
    case = tmp_path / "out" / "seed0000"
    assert (case / "mesh.glb").is_file() and (case / "image.png").stat().st_mtime_ns == before
    assert json.loads((case / "case.json").read_text())["status"] == "finished"


def test_pictures_come_even_where_there_is_no_surface(weights: str, tmp_path: Path) -> None:
    system = System.load(weights)
    system.generator_average.renderer.network.sigma_linear.bias.data += 1.0  # type: ignore[union-attr, operator]
    empty = system.save(tmp_path / "empty")
    assert main((*WORDS, f"weights.full={empty}", "output=out")) == 1
    case = tmp_path / "out" / "seed0000"
    failure = json.loads((case / "case.json").read_text())["failure"]
    assert failure["stage"] == "mesh" and "the surface is empty" in failure["reason"] and "seed" in failure["hint"]
    assert (case / "image.png").is_file() and not (case / "mesh.glb").exists()


def test_an_input_is_refused(weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Picture(np.zeros((8, 8, 3), np.float32)).save(tmp_path / "a.png")
    assert main((*WORDS, f"weights.full={weights}", "input=a.png", "output=out")) == 1
    assert "input: is given, but this method begins with random numbers" in capsys.readouterr().err


@pytest.mark.parametrize("preset", ["default", "afhq", "volume"])
def test_weights_that_are_not_here_are_explained(preset: str) -> None:
    method = build(parse(["predict", f"method=stylesdf/{preset}"])).method
    [(system, folder)] = method.weights.items()
    absent = replace(method, weights={system: f"absent/{folder}"})
    with pytest.raises(WeightsError, match=f"CC BY-NC-SA.*output={Path(folder).parent}"):
        resolve_weights(absent, {})


def test_in_python(weights: str) -> None:
    method = framework.load("stylesdf/small", device="cpu", weights={"full": weights})
    for planned in method.pipeline.stages:
        options = {"num_views_per_id": 1, "surface_resolution": 16, "frames": 2, "surface_size": 16, "N_samples": 8}
        for name in options.keys() & vars(planned.config).keys():
            setattr(planned.config, name, options[name])
    result, again = method(seed=3), method(seed=3)
    assert np.array_equal(result.artifacts["image"].pixels, again.artifacts["image"].pixels)
    assert result.artifacts["video"].suffix in (".mp4", ".gif") and result.mesh.is_watertight


def test_the_stages_keep_their_promises(weights: str) -> None:
    """The contract suite's checks of a pipeline: what is declared is written, and each stage repeats itself."""
    options = build(parse([*WORDS, f"weights.full={weights}"]))
    outcomes = check_prediction(options, "pipeline", "methods.stylesdf")
    assert len(outcomes) == 3 + len(STAGES)
    assert [outcome for outcome in outcomes if not outcome.passed] == []
