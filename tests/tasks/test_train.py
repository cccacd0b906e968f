"""Trainings from the command line: what they leave behind, how they are continued, how they end."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from framework.cli import main
from framework.testing.tiny import TinyData, register_tiny
from framework.trainers.loggers import read_metrics
from framework.trainers.run_folder import RUN_ID_VARIABLE
from framework.weights.opening import fingerprint

REPOSITORY = Path(__file__).parents[2]
TINY = ["system.type=testing/tiny", "data.type=testing/tiny", "device=cpu", "trainer.checkpoint_interval=5"]
LAUNCHER = """
import sys
from framework.cli import main
from framework.testing.tiny import register_tiny

register_tiny()
if __name__ == "__main__":
    sys.exit(main())
"""


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no run id left over from another run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(RUN_ID_VARIABLE, raising=False)
    register_tiny()
    return tmp_path


def train(run_id: str, *words: str) -> int:
    os.environ[RUN_ID_VARIABLE] = run_id
    return main(["train", *TINY, *words])


def in_a_process(*words: str) -> "subprocess.CompletedProcess[str]":
    """Train in a process of its own, which may start others."""
    Path("tiny_launch.py").write_text(LAUNCHER)
    return subprocess.run(
        [sys.executable, "tiny_launch.py", "train", *TINY, *words],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )


def manifest(run: Path) -> dict:  # type: ignore[type-arg]
    return json.loads((run / "manifest.json").read_text())


def test_a_finished_run_holds_everything(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("r1", "trainer.max_steps=6", "trainer.val_interval=3", "trainer.ema_decay=0.9") == 0
    run = workplace / "outputs" / "testing" / "r1"
    found = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert found >= {
        "config.yaml",
        "manifest.json",
        "metrics.csv",
        "checkpoints/last.ckpt",
        "checkpoints/best.ckpt",
        "weights/config.json",
        "weights/model.safetensors",
        "weights/README.md",
        "images/step_000003_prediction.png",
    }
    facts = manifest(run)
    assert (facts["status"], facts["step"], facts["seed"], facts["device"]["kind"]) == ("finished", 6, 0, "cpu")
    assert facts["versions"]["torch"] == torch.__version__
    assert facts["metrics"]["val/loss"] > 0
    assert facts["peak_memory"]["process_mib"] > 0
    printed = capsys.readouterr().out
    assert "finished at step 6 of 6" in printed
    assert "train run=r1 trainer.max_steps=<more>" in printed
    assert facts["weights"]["outputs/testing/r1/weights"] == fingerprint(run / "weights")
    assert main(["train", "run=r1"]) == 0
    assert "is finished" in capsys.readouterr().out
    assert manifest(run) == facts


def test_continued_equals_uninterrupted(workplace: Path) -> None:
    options = ["trainer.val_interval=4", "trainer.ema_decay=0.9", "system.optimizer.schedule.total_steps=10"]
    assert train("whole", *options, "trainer.max_steps=10") == 0
    assert train("parts", *options, "trainer.max_steps=5") == 0
    assert main(["train", "run=parts", "trainer.max_steps=10"]) == 0
    folders = [workplace / "outputs" / "testing" / name for name in ("whole", "parts")]
    whole, parts = (load_file(folder / "weights" / "model.safetensors") for folder in folders)
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=0, atol=0)
    assert [leg["to_step"] for leg in manifest(folders[1])["legs"]] == [5, 10]


def test_a_leg_that_was_killed_counts(workplace: Path) -> None:
    assert train("killed", "trainer.max_steps=4", "output=run") == 0
    before = manifest(workplace / "run")
    started = datetime.fromtimestamp((workplace / "run" / "metrics.csv").stat().st_mtime - 100).astimezone()
    left = before | {"status": "running", "started": started.isoformat(timespec="seconds"), "legs": []}
    (workplace / "run" / "manifest.json").write_text(json.dumps(left))  # all that a killed process leaves
    assert main(["train", "run=run", "trainer.max_steps=6"]) == 0
    killed, last = manifest(workplace / "run")["legs"]
    assert (killed["status"], killed["started"]) == ("killed", left["started"])
    assert 99 <= killed["seconds"] <= 102
    assert (last["status"], last["to_step"]) == ("finished", 6)


def test_another_seed_gives_other_weights(workplace: Path) -> None:
    files = []
    for seed in (0, 1):
        assert train(f"seed{seed}", f"seed={seed}", "trainer.max_steps=2") == 0
        files.append(load_file(workplace / "outputs" / "testing" / f"seed{seed}" / "weights" / "model.safetensors"))
    assert not torch.equal(files[0]["layers.0.weight"], files[1]["layers.0.weight"])


def test_a_time_limit_ends_the_leg_and_the_run_can_go_on(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("leg", "trainer.max_steps=4", "trainer.max_time='00:00:00'") == 0
    facts = manifest(workplace / "outputs" / "testing" / "leg")
    assert (facts["status"], facts["reason"], facts["step"]) == ("interrupted", "time limit", 1)
    assert "continue: python launch.py train run=leg\n" in capsys.readouterr().out
    assert main(["train", "run=leg", "trainer.max_time=null"]) == 0
    assert manifest(workplace / "outputs" / "testing" / "leg")["status"] == "finished"


def test_start_weights_and_their_errors(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("first", "trainer.max_steps=3") == 0
    assert train("second", "trainer.max_steps=1", "start_weights=first", "system.optimizer.learning_rate=0") == 0
    runs = workplace / "outputs" / "testing"
    first, second = (load_file(runs / name / "weights" / "model.safetensors") for name in ("first", "second"))
    torch.testing.assert_close(first, second)
    shutil.rmtree(runs / "second" / "checkpoints")  # as if it had been killed before its first checkpoint
    assert main(["train", "run=second"]) == 0
    torch.testing.assert_close(load_file(runs / "second" / "weights" / "model.safetensors"), first)
    assert train("third", "start_weights=first", "system.width=9") == 1
    assert "of the wrong shape" in capsys.readouterr().err
    assert not (runs / "third").exists()


def test_output_replaces_the_usual_folder_and_is_not_overwritten(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("x", "output=mine", "trainer.max_steps=1") == 0
    assert (workplace / "mine" / "weights" / "config.json").is_file()
    assert "train run=mine" in capsys.readouterr().out
    assert train("x", "output=mine", "trainer.max_steps=1") == 1
    assert "holds a run already. Continue it with run=mine" in capsys.readouterr().err
    assert main(["train", "run=mine", "trainer.max_steps=2"]) == 0


def test_an_output_below_a_file_is_refused_before_training(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workplace / "file").write_text("")
    assert train("x", "output=file/run", "trainer.max_steps=1") == 1
    assert "output: the run folder file/run can't be made" in capsys.readouterr().err


def test_a_failed_run_says_why(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("nan", "data.nan_at=1", "data.items=8", "trainer.log_interval=1") == 1
    facts = manifest(workplace / "outputs" / "testing" / "nan")
    assert facts["status"] == "failed"
    assert "TrainingDiverged: the training diverged after step 0: the loss is nan" in facts["reason"]
    assert "learning_rate" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_the_last_checkpoint(
    workplace: Path, capsys: pytest.CaptureFixture[str], number: signal.Signals, code: int
) -> None:
    run = workplace / "run"
    sender = threading.Thread(target=lambda: appears(run / "metrics.csv") and os.kill(os.getpid(), number))
    sender.start()
    assert train("x", "output=run", "trainer.max_steps=20000", "trainer.checkpoint_interval=20000") == code
    sender.join()
    printed = capsys.readouterr().out
    assert f"interrupted by {number.name}" in printed
    assert "continue: python launch.py train run=run" in printed
    step = manifest(run)["step"]
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == step > 0
    assert main(["train", "run=run", f"trainer.max_steps={step + 2}"]) == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_while_data_are_made_is_no_failure(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(TinyData, "prepare_data", lambda self: signal.raise_signal(number))
        assert train("x", "output=run", "trainer.max_steps=1") == code
    assert manifest(workplace / "run")["status"] == "interrupted"
    assert main(["train", "run=run"]) == 0


def test_a_training_killed_after_its_last_step_keeps_its_metrics(workplace: Path) -> None:
    """Then there is no step left to measure anything in: the last values come from the file."""
    assert train("x", "output=run", "trainer.max_steps=4", "trainer.val_interval=2", "trainer.log_interval=1") == 0
    before = manifest(workplace / "run")
    shutil.rmtree(workplace / "run" / "weights")
    left = {key: value for key, value in before.items() if key not in ("metrics", "results", "weights", "step")}
    (workplace / "run" / "manifest.json").write_text(json.dumps(left | {"status": "running"}))
    (workplace / "run" / "checkpoints" / ".part-0123-last.ckpt").write_text("half")
    assert main(["train", "run=run"]) == 0
    after = manifest(workplace / "run")
    assert after["status"] == "finished"
    assert after["metrics"] == pytest.approx(before["metrics"])
    assert after["results"] == before["results"]
    assert not list((workplace / "run").rglob(".part-*"))


def test_a_run_goes_on_with_the_options_it_is_given(workplace: Path) -> None:
    """Also with another learning rate, which is what helps after a training diverged; and they are noted."""
    constant = "system.optimizer.schedule.kind=constant"
    assert train("x", "output=run", "trainer.max_steps=2", constant, "trainer.log_interval=1") == 0
    more = ["trainer.max_steps=4", "system.optimizer.learning_rate=0.5", "system.optimizer.weight_decay=0.25"]
    assert main(["train", "run=run", *more]) == 0
    changed = manifest(workplace / "run")["legs"][1]["changed"]
    assert changed[:2] == ["system.optimizer.learning_rate 0.0001 -> 0.5", "system.optimizer.weight_decay 0.01 -> 0.25"]
    rates = [float(row["train/learning_rate"]) for row in read_metrics(workplace / "run" / "metrics.csv")[1]]
    assert rates == pytest.approx([0.0001, 0.0001, 0.5, 0.5])
    stored = torch.load(workplace / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    group = stored["optimizer_states"][0]["param_groups"][0]
    assert (group["lr"], group["weight_decay"]) == (0.5, 0.25)


def appears(path: Path, seconds: float = 30) -> bool:
    """Wait for a file; whether it came in time."""
    end = time.monotonic() + seconds
    while not path.is_file() and time.monotonic() < end:
        time.sleep(0.01)
    return path.is_file()


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes inside the block, as if the disk were full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_leaves_no_half_file(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with largest_file(40_000):
        assert train("x", "output=run", "trainer.max_steps=10", "system.width=2000") == 1
    assert "last.ckpt can't be written: is the disk full?" in capsys.readouterr().err
    assert list((workplace / "run" / "checkpoints").iterdir()) == []
    facts = manifest(workplace / "run")
    assert facts["status"] == "failed"
    assert "disk full" in facts["reason"]


def test_a_full_disk_keeps_older_weights(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("x", "output=run", "trainer.max_steps=1", "system.width=2000") == 0
    assert main(["export", "run=run", "output=weights"]) == 0
    before = Path("weights/model.safetensors").read_bytes()
    with largest_file(40_000):
        assert main(["export", "run=run", "output=weights"]) == 1
    assert "weights can't be written" in capsys.readouterr().err
    assert Path("weights/model.safetensors").read_bytes() == before
    assert not list(workplace.rglob(".part-*"))


@pytest.mark.slow
def test_two_processes_share_one_run_folder(workplace: Path) -> None:
    options = ["trainer.strategy=ddp", "trainer.devices=2", "trainer.max_steps=6", "trainer.val_interval=3"]
    process = in_a_process(*options, "trainer.ema_decay=0.9")
    assert process.returncode == 0, process.stderr
    runs = list((workplace / "outputs" / "testing").iterdir())
    assert len(runs) == 1
    assert manifest(runs[0])["status"] == "finished"
    assert process.stdout.count("finished at step 6") == 1
    assert len((runs[0] / "metrics.csv").read_text().splitlines()) >= 3


@pytest.mark.slow
def test_a_loss_that_is_no_number_ends_all_processes(workplace: Path) -> None:
    """Item 1 is in the batch of one of them only."""
    options = ["trainer.strategy=ddp", "trainer.devices=2", "data.nan_at=1", "data.items=8", "data.batch_size=4"]
    process = in_a_process(*options, "trainer.log_interval=1", "output=run")
    assert process.returncode == 1
    assert "error: the training diverged after step 0" in process.stderr
    assert "TrainingDiverged" in manifest(workplace / "run")["reason"]
