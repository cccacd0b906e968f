"""Trainings in two processes: what happens to one of them is known to both, and said once."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from framework.trainers.checkpoint_content import read_checkpoint
from framework.trainers.checkpoints import LAST
from tests.resume.processes import Running

TRAIN = ["train", "system.type=testing/tiny", "data.type=testing/tiny", "device=cpu", "output=run"]
TOY = "train=4 val=2 test=1 samples=200 render_size=32 processes=0 batch_size=2 surface_points=64 "
TOY += "supervision_points=32 validation_points=32"
DDP = ["trainer.devices=2", "trainer.strategy=ddp"]
TRAIN += [*DDP, "trainer.checkpoint_interval=1", "trainer.log_interval=1"]


@pytest.mark.slow
def test_a_loss_that_is_no_number_on_one_of_them_ends_both(tmp_path: Path) -> None:
    """Item 3 is in one half of the batch only; the gradient is the mean over both."""
    running = Running([*TRAIN, "data.items=16", "data.nan_at=3", "trainer.max_steps=9"], tmp_path, ranks=2)
    assert running.wait() == [1, 0]  # a launcher would kill the first one if the second ended with an error
    text = running.text()
    assert text.count("error: the training diverged after step 0: ") == 1
    assert "on process 0 the loss is nan" in text or "on process 1 the loss is nan" in text
    assert "item-3" in text
    assert "No checkpoint was written before" in text
    assert "Traceback" not in text
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["status"] == "failed" and "item-3" in manifest["reason"]


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, 1])
def test_when_one_is_killed_the_other_ends_and_says_how_to_go_on(tmp_path: Path, lost: int) -> None:
    running = Running([*TRAIN, "trainer.max_steps=100000"], tmp_path, ranks=2)
    last = tmp_path / "run" / "checkpoints" / LAST
    while running.alive() and not last.is_file():
        time.sleep(0.01)
    running.signal(signal.SIGKILL, lost)
    codes = running.wait(60)
    assert codes[lost] == -signal.SIGKILL and codes[1 - lost] == 1
    text = running.text()
    assert "another process of this training ended, so this one can't go on after step " in text
    assert "python launch.py train run=run" in text
    assert "Traceback" not in text
    step = read_checkpoint(last)["global_step"]
    more = Running(["train", "run=run", f"trainer.max_steps={step + 3}"], tmp_path, ranks=2)
    assert more.wait() == [0, 0], more.text()


@pytest.mark.slow
def test_a_repetition_in_two_processes_comes_out_the_same(tmp_path: Path) -> None:
    running = Running([*TRAIN, "trainer.max_steps=6", "trainer.val_interval=2"], tmp_path, ranks=2)
    assert running.wait() == [0, 0], running.text()
    again = Running(["rerun", "run=run", "output=again"], tmp_path, ranks=2)
    assert again.wait() == [0, 0], again.text()
    assert again.text().count("again is equal to run") == 1
    manifests = [json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("run", "again")]
    assert manifests[0]["results"] == manifests[1]["results"]
    assert manifests[0]["processes"] == 2


@pytest.mark.slow
def test_a_process_that_was_started_does_not_outlive_the_first(tmp_path: Path) -> None:
    """Killed while the other one is still starting, when there is no connection yet that could break."""
    sizes = [f"data.{option}" for option in TOY.split()]
    words = ["train", "experiment=craftsman/small-autoencoder", "output=run", "device=cpu", *sizes, *DDP]
    running = Running(words, tmp_path, cold=True)
    while running.alive() and not (tmp_path / "run" / "manifest.json").is_file():
        time.sleep(0.01)
    time.sleep(1)
    running.signal(signal.SIGKILL, 0)
    end = time.monotonic() + 90
    while running.left_over() and time.monotonic() < end:
        time.sleep(0.1)
    assert not running.left_over(), running.text()
