"""The verb `predict`, end to end with a method of two small stages: results, restarts, and all that goes wrong."""

import functools
import io
import json
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PilImage
from PIL import ImageDraw
from rich.console import Console

from framework import registry
from framework.artifacts.image import Image
from framework.config.choice import Choice
from framework.config.errors import ConfigError
from framework.export.mesh_files import load_mesh
from framework.geometry.mesh import Mesh
from framework.pipeline import presentation
from framework.pipeline.case import Case
from framework.pipeline.plan import PipelineError
from framework.renderers.turntable import preview
from framework.tasks.config import InputOptions, PredictOptions
from framework.tasks.predict import run
from framework.testing import tiny_pipeline
from framework.testing.tiny_pipeline import register_tiny_stages, tiny_method
from framework.trainers.run_folder import RunFolder, RunFolderError
from framework.weights.folder import WeightsError, save_weights
from framework.weights.runs import RunNotFound


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No time spent on previews, and results below the test's own folder."""
    register_tiny_stages()
    monkeypatch.setattr(presentation, "preview", lambda mesh, rasterizer: np.zeros((4, 4, 3), np.uint8))
    monkeypatch.chdir(tmp_path)


def draw(path: Path, colour: tuple[int, int, int] = (200, 40, 30), box: tuple[int, ...] = (10, 10, 40, 50)) -> str:
    picture = PilImage.new("RGB", (60, 60), (255, 255, 255))
    ImageDraw.Draw(picture).rectangle(box, fill=colour)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return str(path)


def predict(path: str | None = None, method: Any = None, **options: Any) -> tuple[int, str]:
    """Run the verb and return its exit code and what it printed."""
    text = io.StringIO()
    options.setdefault("input", InputOptions(path=path))
    options.setdefault("turntable", False)
    chosen = PredictOptions(method=method or tiny_method(), device="cpu", **options)
    return run(chosen, Console(file=text, width=300)), text.getvalue()


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "case.json").read_text())


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def colour_of(mesh: Path) -> np.ndarray:
    return load_mesh(mesh).vertex_colors[:, :3].mean(axis=0)


def test_one_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presentation, "preview", functools.partial(preview, cell=48, supersample=1))
    monkeypatch.setattr(presentation, "FRAMES", 2)
    monkeypatch.setattr(presentation, "FRAME_SIZE", 32)
    code, text = predict(draw(tmp_path / "chair.png"), turntable=True)
    assert code == 0
    [folder] = (tmp_path / "outputs" / "testing").iterdir()
    case = folder / "chair"
    videos = {"turntable.mp4", "turntable.gif"}
    assert files(folder) == {"config.yaml", "manifest.json", "chair"}
    assert files(case) - videos == {
        "input.png",
        "foreground.png",
        "slab.glb",
        "mesh.glb",
        "preview.png",
        "case.json",
    }
    assert len(files(case) & videos) == 1
    for name in ("mesh.glb", "preview.png", "turntable."):
        assert str(Path("outputs/testing") / folder.name / "chair" / name) in text
    assert record(case)["status"] == "finished"
    assert record(case)["source"].endswith("chair.png")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["verb"] == "predict"
    assert manifest["status"] == "finished"
    assert manifest["renderer"] == "torch"
    assert manifest["legs"][0]["cases"] == {"finished": 1}


def test_the_result_depends_on_the_seed_alone(tmp_path: Path) -> None:
    picture = draw(tmp_path / "a.png")
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        assert predict(picture, output=name, seed=seed)[0] == 0
    meshes = [(tmp_path / name / "a" / "mesh.glb").read_bytes() for name in ("one", "two", "other")]
    assert meshes[0] == meshes[1] != meshes[2]


def test_several_results_per_picture(tmp_path: Path) -> None:
    assert predict(draw(tmp_path / "a.png"), output="out", count=2, seed=5)[0] == 0
    cases = [tmp_path / "out" / f"a__seed{seed}" for seed in (5, 6)]
    assert [record(case)["seed"] for case in cases] == [5, 6]
    assert not np.allclose(*(colour_of(case / "mesh.glb") for case in cases))


def test_further_views(tmp_path: Path) -> None:
    front, left = draw(tmp_path / "front.png"), draw(tmp_path / "side.png")
    assert predict(input=InputOptions(front=front, left=left), output="out")[0] == 0
    assert {"input.png", "input_left.png", "foreground_left.png"} <= files(tmp_path / "out" / "front")


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder of two good pictures among bad ones."""
    folder = tmp_path / "photos"
    draw(folder / "good.png")
    draw(folder / "deep" / "good.png")
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("hello")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    PilImage.fromarray(noise).save(folder / "busy.png")
    PilImage.fromarray(noise).save(folder / "cut.png")
    content = (folder / "cut.png").read_bytes()
    (folder / "cut.png").write_bytes(content[: len(content) // 2])
    PilImage.new("1", (9000, 9000)).save(folder / "huge.png")
    return folder


def test_bad_pictures_are_named_and_the_others_run(tmp_path: Path, mixed: Path) -> None:
    code, text = predict(str(mixed), output="out")
    assert code == 1
    expected = {
        "empty": ("input", "0 bytes"),
        "text": ("input", "not a picture"),
        "cut": ("input", "damaged or cut off"),
        "huge": ("input", "9000 x 9000 pixels"),
        "busy": ("matting", "background can't be removed"),
    }
    for name, (stage, reason) in expected.items():
        failure = record(tmp_path / "out" / name)["failure"]
        assert failure["stage"] == stage
        assert reason in failure["reason"]
        assert failure["hint"]
        assert reason in text
        assert "mesh.glb" not in files(tmp_path / "out" / name)
    for name in ("good", "deep__good"):
        assert {"mesh.glb", "preview.png"} <= files(tmp_path / "out" / name)
    assert "5 failed, 2 finished" in text
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["status"] == "failed"
    assert manifest["legs"][0]["cases"] == {"finished": 2, "failed": 5}


def test_finished_cases_are_skipped_in_a_given_folder(tmp_path: Path, mixed: Path) -> None:
    predict(str(mixed), output="out")
    (mixed / "empty.png").unlink()
    draw(mixed / "empty.png")
    code, text = predict(str(mixed), output="out")
    assert code == 1
    assert "4 failed, 1 finished, 2 skipped" in text


def test_what_has_changed_runs_again(tmp_path: Path) -> None:
    picture = draw(tmp_path / "a.png")
    mesh = tmp_path / "out" / "a" / "mesh.glb"

    def status(**options: Any) -> str:
        code, text = predict(picture, output="out", **options)
        assert code == 0
        return "skipped" if "skipped" in text else "ran"

    assert [status(), status()] == ["ran", "skipped"]
    red = colour_of(mesh)
    draw(tmp_path / "a.png", (20, 40, 200))
    assert [status(), status()] == ["ran", "skipped"]
    assert colour_of(mesh)[2] > red[2] + 0.2
    assert [status(seed=1), status(seed=1)] == ["ran", "skipped"]
    method = tiny_method()
    method.stages[1].config.thickness = 0.5
    assert [status(method=method), status(method=method)] == ["ran", "skipped"]
    mesh.unlink()
    assert status(method=method) == "ran"


def only_run(tmp_path: Path) -> Path:
    [folder] = (tmp_path / "outputs" / "testing").iterdir()
    return folder


def test_restart_uses_an_edited_picture(tmp_path: Path) -> None:
    predict(draw(tmp_path / "a.png"), seed=2)
    folder = only_run(tmp_path)
    before = colour_of(folder / "a" / "mesh.glb")
    slab = (folder / "a" / "slab.glb").read_bytes()
    edited = Image.load(folder / "a" / "foreground.png").pixels.copy()
    edited[..., :3] = (0.1, 0.1, 0.9)
    Image(edited).save(folder / "a" / "foreground.png")
    (tmp_path / "a.png").unlink()  # a restart needs what is stored only
    code, _ = predict(str(tmp_path / "a.png"), run=folder.name, stages="paint..", seed=2)
    assert code == 0
    assert colour_of(folder / "a" / "mesh.glb")[2] > before[2] + 0.4
    assert (folder / "a" / "slab.glb").read_bytes() == slab
    assert [stage["name"] for stage in record(folder / "a")["stages"]] == ["matting", "extrude", "paint"]
    assert record(folder / "a")["status"] == "finished"
    assert record(folder / "a")["seed"] == 2
    predict(str(tmp_path / "a.png"), run=folder.name, stages="paint..", seed=9)
    assert record(folder / "a")["seed"] == 9


def test_a_run_can_go_on_where_it_stopped(tmp_path: Path, mixed: Path) -> None:
    predict(str(mixed))
    code, text = predict(str(mixed), run=only_run(tmp_path).name)
    assert code == 1
    assert "5 failed, 2 skipped" in text


def test_a_part_of_the_pipeline(tmp_path: Path) -> None:
    picture = draw(tmp_path / "a.png")
    assert predict(picture, output="out", stages="..extrude")[0] == 0
    case = tmp_path / "out" / "a"
    assert record(case)["status"] == "partial"
    assert not {"mesh.glb", "preview.png"} & files(case)
    assert predict(picture, output="out", stages="paint")[0] == 0
    assert record(case)["status"] == "finished"
    assert {"mesh.glb", "preview.png"} <= files(case)


def test_wrong_commands_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    picture = draw(tmp_path / "a.png")
    (tmp_path / "nothing").mkdir()
    wrong = [
        (ConfigError, "input.path: no picture in the folder", {"path": str(tmp_path / "nothing")}),
        (ConfigError, "input.path: .* does not exist", {"path": str(tmp_path / "none.png")}),
        (ConfigError, "input is missing. Give it", {"path": None}),
        (ConfigError, "stages: .* needs an earlier one", {"path": picture, "stages": "paint.."}),
        (PipelineError, "no stage 'pant'. Nearest: paint", {"path": picture, "stages": "pant"}),
        (ConfigError, "weights.tiny: .* uses no weights", {"path": picture, "weights": {"tiny": "x"}}),
        (WeightsError, "no such folder", {"path": picture, "method": tiny_method(tiny="ckpts/none")}),
        (RunNotFound, "no run 'xyz'", {"path": picture, "run": "xyz"}),
        (RunFolderError, "can't be written .*Give a writable place", {"path": picture, "output": picture + "/out"}),
        (RunFolderError, "can't be written", {"path": picture, "output": picture}),
    ]
    for kind, text, options in wrong:
        with pytest.raises(kind, match=text):
            predict(**options)  # type: ignore[arg-type]
    assert files(tmp_path) == {"a.png", "nothing"}


def test_a_stage_without_what_it_needs_is_refused(tmp_path: Path) -> None:
    method = tiny_method()
    del method.stages[1]
    with pytest.raises(PipelineError, match="stage 'paint' needs 'slab'; no earlier stage gives it"):
        predict(draw(tmp_path / "a.png"), method)


def test_a_missing_device_is_refused(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        return
    with pytest.raises(ConfigError, match="device: 'cuda' is not available here. Use device=auto"):
        run(PredictOptions(method=tiny_method(), input=InputOptions(path=draw(tmp_path / "a.png")), device="cuda"))


def test_weights_of_another_method_are_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "w", "other/shape", {}, {"a": torch.zeros(1)})
    with pytest.raises(WeightsError, match="weights.shape: w holds weights of 'other/shape', expected 'testing/shape'"):
        predict(draw(tmp_path / "a.png"), tiny_method(shape="w"))


def test_the_manifest_names_the_rasterizer_that_auto_chose(tmp_path: Path) -> None:
    renderer = Choice("auto", registry.config_class("renderer", "auto")())
    assert predict(draw(tmp_path / "chair.png"), renderer=renderer, output=str(tmp_path / "out"))[0] == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["renderer"] in ("torch", "warp")


def test_the_manifest_holds_the_hash_of_the_weights(tmp_path: Path) -> None:
    save_weights(tmp_path / "w", "testing/shape", {}, {"a": torch.zeros(1)})
    assert predict(draw(tmp_path / "a.png"), tiny_method(shape="none"), weights={"shape": "w"}, output="out")[0] == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert len(manifest["weights"]["shape"]) == 64


def test_the_folder_of_a_training_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "training")
    folder.make({"seed": 0})
    with pytest.raises(RunFolderError, match="is the folder of a training"):
        predict(draw(tmp_path / "a.png"), output=str(folder.path))


def test_a_run_without_cases_can_not_be_restarted(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "training")
    folder.make({"seed": 0})
    with pytest.raises(ConfigError, match="run: .* holds no case to restart"):
        predict(draw(tmp_path / "a.png"), run=str(folder.path), stages="paint..")


@pytest.fixture
def file_size_limit() -> Iterator[None]:
    """Files of this process may not grow beyond 16 kB, as on a disk that is full."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_000, old[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, old)


@pytest.mark.usefixtures("file_size_limit")
def test_a_full_disk_fails_the_case_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    code, text = predict(draw(tmp_path / "a.png"), output="out")
    assert code == 1
    assert "extrude: the file size limit (ulimit -f) is reached" in text
    assert "output=<folder>" in text
    assert files(tmp_path / "out" / "a") == {"input.png", "foreground.png", "case.json", "error.txt"}


def test_a_mesh_that_is_none_fails_the_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: tiny_pipeline.Extrude, case: Case) -> None:
        case.write("slab", Mesh(np.full((3, 3), np.nan), np.array([[0, 1, 2]])))

    monkeypatch.setattr(tiny_pipeline.Extrude, "run", broken)
    code, text = predict(draw(tmp_path / "a.png"), output="out")
    assert code == 1
    assert "extrude: vertices: 3 of 3 rows hold NaN" in text


def test_ctrl_c_keeps_finished_cases_and_the_next_call_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        draw(tmp_path / "photos" / f"{name}.png")
    extrude = tiny_pipeline.Extrude.run

    def interrupted(self: tiny_pipeline.Extrude, case: Case) -> None:
        if case.name == "b":
            raise KeyboardInterrupt
        extrude(self, case)

    with monkeypatch.context() as patch:
        patch.setattr(tiny_pipeline.Extrude, "run", interrupted)
        code, text = predict("photos", output="out")
    assert code == 130
    assert "interrupted" in text
    assert "1 finished, 2 not run" in text
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["status"] == "interrupted"
    code, text = predict("photos", output="out")
    assert code == 0
    assert "2 finished, 1 skipped" in text


def test_a_stage_that_can_not_be_built_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unbuildable(*_: object) -> None:
        raise WeightsError("2 missing (a, b)")

    for name in "abc":
        draw(tmp_path / "photos" / f"{name}.png")
    monkeypatch.setattr(tiny_pipeline.Extrude, "__init__", unbuildable)
    code, text = predict("photos", output="out")
    assert code == 1
    assert "stage 'extrude' can't be built, so no case can run: 2 missing (a, b)" in text
    assert "1 failed, 2 not run" in text


def test_markup_in_names_is_text(tmp_path: Path) -> None:
    (tmp_path / "[red]a.png").touch()
    code, text = predict(str(tmp_path / "[red]a.png"), output="out")
    assert code == 1
    assert "[red]a: failed" in text
