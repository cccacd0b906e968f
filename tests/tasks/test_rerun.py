"""Runs repeated from their manifests: equal bit by bit on the CPU, and what is said when they can't be."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PilImage
from PIL import ImageDraw

from framework.cli import main
from framework.pipeline import presentation
from framework.tasks.config import InputOptions, PredictOptions
from framework.tasks.predict import run as predict
from framework.testing.tiny import register_tiny
from framework.testing.tiny_pipeline import register_tiny_stages, tiny_method
from framework.trainers.run_folder import RUN_ID_VARIABLE

TRAIN = ["system.type=testing/tiny", "data.type=testing/tiny", "device=cpu", "trainer.max_steps=6"]
TRAIN += ["trainer.val_interval=2", "trainer.log_interval=1", "trainer.ema_decay=0.9"]


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory; the number of threads is put back, which a repetition sets."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    threads = torch.get_num_threads()
    monkeypatch.setattr(presentation, "preview", lambda mesh, rasterizer: np.zeros((4, 4, 3), np.uint8))
    register_tiny()
    register_tiny_stages()
    yield tmp_path  # type: ignore[misc]
    torch.set_num_threads(threads)


def command(*words: str) -> int:
    """Run a command as a process of its own would: with a run id of its own."""
    os.environ.pop(RUN_ID_VARIABLE, None)
    return main(list(words))


def train(output: str, *words: str) -> Path:
    assert command("train", *TRAIN, f"output={output}", *words) == 0
    return Path(output)


def draw(path: Path, colour: tuple[int, int, int] = (200, 40, 30)) -> str:
    picture = PilImage.new("RGB", (60, 60), (255, 255, 255))
    ImageDraw.Draw(picture).rectangle((10, 10, 40, 50), fill=colour)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return str(path)


def predicted(output: str, pictures: str = "pictures", **options: Any) -> Path:
    given: dict[str, Any] = {"input": InputOptions(path=pictures), "turntable": False, "device": "cpu", "seed": 3}
    predict(PredictOptions(method=tiny_method(), output=output, **(given | options)))
    return Path(output)


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


def change_manifest(folder: Path, **entries: Any) -> None:
    (folder / "manifest.json").write_text(json.dumps(manifest(folder) | entries))


def test_a_training_comes_out_the_same(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = train("run")
    assert command("rerun", "run=run", "output=again") == 0
    printed = capsys.readouterr().out
    assert "note:" not in printed.replace("note: files had been changed after the commit", "")
    for name in ("metrics.csv", "last checkpoint", "weights"):
        assert f"{name}: equal\n" in printed
    assert "again is equal to run" in printed
    assert (run / "metrics.csv").read_bytes() == Path("again/metrics.csv").read_bytes()
    files = [folder / "weights" / "model.safetensors" for folder in (run, Path("again"))]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_without_output_it_gets_an_id_of_its_own(workplace: Path) -> None:
    os.environ[RUN_ID_VARIABLE] = "first"
    assert main(["train", *TRAIN]) == 0
    assert command("rerun", "run=first") == 0
    assert len(list((workplace / "outputs" / "testing").iterdir())) == 2


def test_a_continued_training_is_repeated_in_one_go(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schedule = "system.optimizer.schedule.total_steps=6"
    train("run", "trainer.max_steps=4", schedule)
    assert command("train", "run=run", "trainer.max_steps=6") == 0
    assert command("rerun", "run=run", "output=again") == 0
    assert "went on from step 4 with other options" in capsys.readouterr().out


@pytest.mark.parametrize("options", [["seed=1"], ["data.items=40"]])
def test_another_result_is_named(workplace: Path, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The run says that it was made with these options, and was not."""
    run = train("run")
    other = train("other", *options)
    (other / "config.yaml").write_bytes((run / "config.yaml").read_bytes())
    assert command("rerun", "run=other", "output=again") == 1
    printed = capsys.readouterr().out
    assert "metrics.csv: different from step 1 on: train/loss was " in printed
    assert "weights: different" in printed
    assert "again is different from other" in printed
    assert ("data: different" in printed) == (options != ["seed=1"])


def test_metrics_that_were_edited_are_told_from_others(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = train("run")
    (run / "metrics.csv").write_text("step,train/loss\n1,0\n")
    assert command("rerun", "run=run", "output=again") == 0
    change_manifest(run, results=manifest(run)["results"] | {"metrics.csv": "0"})
    assert command("rerun", "run=run", "output=again2") == 1
    assert "metrics.csv: different (the run's own file is gone or was changed since" in capsys.readouterr().out


def test_what_has_changed_since_is_said_first(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train("first", "seed=5")
    run = train("run", "start_weights=first")
    train("second", "seed=6")
    change_manifest(run, commit="abc", versions=manifest(run)["versions"] | {"torch": "1.0"})
    os.replace("first", "gone")
    os.replace("second", "first")
    capsys.readouterr()
    assert command("rerun", "run=run", "output=again") == 1
    printed = capsys.readouterr().out
    assert "note: version of torch was 1.0, is 2" in printed
    assert "note: commit was abc, is " in printed
    assert "note: weights 'start_weights' (SHA-256) was " in printed
    assert printed.index("note: version") < printed.index("training from step")


def test_a_prediction_comes_out_the_same(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where a case fails, and after somebody edited a file of the run."""
    draw(Path("pictures/a.png"))
    Path("pictures/b.png").write_bytes(b"no picture")
    run = predicted("run")
    draw(run / "a" / "foreground.png", (0, 0, 255))
    assert command("rerun", "run=run", "output=again") == 0
    printed = capsys.readouterr().out
    assert "case a: equal\ncase b: equal\nagain is equal to run" in printed
    assert (run / "a" / "mesh.glb").read_bytes() == Path("again/a/mesh.glb").read_bytes()


def test_another_picture_is_named(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw(Path("pictures/a.png"))
    predicted("run")
    draw(Path("pictures/a.png"), (10, 200, 30))
    draw(Path("pictures/new.png"))
    assert command("rerun", "run=run", "output=again") == 1
    printed = capsys.readouterr().out
    assert (
        "case a: artifact 'foreground' of stage matting is different (its options, weights, seed or pictures" in printed
    )
    assert "case new: the run has no such case" in printed


def test_what_can_not_be_repeated_says_why(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = train("run")
    draw(Path("pictures/a.png"))
    prediction = predicted("prediction")

    def refused(*words: str) -> str:
        assert command("rerun", *words) in (1, 2)
        return capsys.readouterr().err

    assert "run is missing. Give it: launch.py rerun run=" in refused()
    assert "no run 'rum'" in refused("run=rum")
    assert "output: prediction is not empty" in refused("run=run", "output=prediction")
    assert "'cuda' is not available here" in refused("run=run", "device=cuda") or torch.cuda.is_available()
    change_manifest(run, status="interrupted", step=4)
    assert "run is not finished (interrupted at step 4). End it first: python launch.py train run=run" in refused(
        "run=run"
    )
    change_manifest(run, status="failed", reason="TrainingDiverged: nan")
    assert "failed (TrainingDiverged: nan), so there are no numbers" in refused("run=run")
    change_manifest(prediction, status="running")
    assert "is not finished (running). End it first: python launch.py predict" in refused("run=prediction")
    change_manifest(prediction, status="finished")
    Path("pictures/a.png").unlink()
    assert "no picture in the folder" in refused("run=prediction")
    (run / "manifest.json").unlink()
    assert "has no manifest.json" in refused("run=run")
