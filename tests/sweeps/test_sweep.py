"""Real sweeps with real trainings at tiny size: what is left behind, killed and continued, alone and distributed."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from framework.cli import main
from framework.sweeps.job_folder import JobFolder
from framework.trainers.run_folder import RUN_ID_VARIABLE

REPOSITORY = Path(__file__).parents[2]
DATA = "train=4 val=2 test=1 samples=200 render_size=16 processes=0 batch_size=2 surface_points=64"
DATA += " supervision_points=32 validation_points=32"
MODEL = "num_latents=8 embed_dim=4 width=32 heads=2 encoder_layers=1 decoder_layers=1"
WORDS = [
    *("train", "-m", "system=craftsman/autoencoder", "data=procedural", "device=cpu", "output=sweep"),
    *(f"data.{word}" for word in DATA.split()),
    *(f"system.shape_model.{word}" for word in MODEL.split()),
]


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and an id that no job may take for its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv(RUN_ID_VARIABLE, "of-the-sweep")
    return tmp_path


def steps(count: int, *words: str) -> list[str]:
    return [f"trainer.max_steps={count}", f"trainer.val_interval={count}", "trainer.val_batches=1", *words]


Launch = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Start the program in a process of its own; none outlives its test."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(REPOSITORY / "launch.py"), *words]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], Any], seconds: float = 500) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def jobs() -> list[JobFolder]:
    """The folders of the jobs in the order of their numbers."""
    return [JobFolder(path) for path in sorted(Path("sweep").iterdir()) if path.is_dir()]


def manifest(job: JobFolder) -> dict[str, Any]:
    path = job.path / "manifest.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def rows() -> list[dict[str, str]]:
    with Path("sweep/results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def is_left_alone(job: JobFolder) -> bool:
    """Whether no process writes into the folder any more."""
    with job.log.open("ab") as log:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_a_failing_job_does_not_stop_the_others(capfd: pytest.CaptureFixture[str]) -> None:
    """`16-mixed` needs a GPU."""
    assert main([*WORDS, *steps(2), "trainer.precision=16-mixed,32", "sweep.parallel=2"]) == 1
    failed, finished = jobs()
    assert [row["status"] for row in rows()] == ["failed", "finished"]
    assert rows()[0]["reason"].startswith("trainer.precision: 16-mixed needs a GPU.")
    assert "error: trainer.precision: 16-mixed needs a GPU." in failed.log.read_text()
    assert rows()[1]["monitor"] == "val/iou"
    assert float(rows()[1]["val/iou"]) >= 0
    page = Path("sweep/report.html").read_text()
    assert "16-mixed needs a GPU" in page
    assert "data:image/png;base64," in page
    printed = capfd.readouterr().out
    assert "1/2 001_precision=16-mixed: failed after" in printed
    assert "best: 002_precision=32, val/iou" in printed
    assert "continue: python launch.py train -m" in printed
    assert manifest(finished)["run"] == "002_precision=32"
    assert manifest(finished)["status"] == "finished"
    assert not Path("outputs").exists()


@pytest.mark.slow
def test_the_second_time_only_what_failed_runs_again(capfd: pytest.CaptureFixture[str]) -> None:
    words = [*WORDS, *steps(2), "trainer.precision=16-mixed,32"]
    assert main(words) == 1
    failed, finished = jobs()
    before = manifest(finished)
    assert main(words) == 1
    assert manifest(finished) == before
    assert failed.log.read_text().count("error: ") == 2
    assert "1 of them finished before" in capfd.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twelve_jobs_killed_once_and_continued(launch: Launch) -> None:
    count = 250
    words = [*WORDS, *steps(count, "trainer.checkpoint_interval=5"), "seed=range(0,6)", "sweep.parallel=2"]
    words += ["system.shape_model.num_latents=4,8", "system.optimizer.learning_rate=5e-3"]
    sweep = launch(*words)
    wait_for(lambda: sum(manifest(job).get("status") == "finished" for job in jobs()) >= 3 if plan().is_file() else 0)
    wait_for(lambda: any(is_training(job, count // 2) for job in jobs()))
    sweep.kill()
    sweep.communicate()
    wait_for(lambda: all(is_left_alone(job) for job in jobs()))  # what it had started saves and stops by itself
    before = {job.path.name: manifest(job) for job in jobs()}
    finished = {name: facts for name, facts in before.items() if facts.get("status") == "finished"}
    cut = {name: facts for name, facts in before.items() if facts.get("status") == "interrupted"}
    assert 3 <= len(finished) < 12
    assert cut
    # Another job may not have come to its first step.
    assert any(facts["reason"] == "interrupted by SIGTERM" and facts["step"] for facts in cut.values())
    again = launch(*words)
    printed, _ = again.communicate()
    assert again.returncode == 0, printed
    assert f"{len(finished)} of them finished before" in printed
    after = {job.path.name: manifest(job) for job in jobs()}
    assert [facts["status"] for facts in after.values()] == ["finished"] * 12
    assert {name: after[name] for name in finished} == finished
    for name, facts in cut.items():
        assert [leg["to_step"] for leg in after[name]["legs"]] == [facts["step"], count]
    assert [(row["seed"], row["system.shape_model.num_latents"]) for row in rows()] == [
        (str(seed), latents) for seed in range(6) for latents in ("4", "8")
    ]
    assert {row["status"] for row in rows()} == {"finished"}
    assert len({row["val/iou"] for row in rows()}) > 1
    page = Path("sweep/report.html").read_text()
    assert page.count("<polyline") == 12
    assert page.count("<img") >= 12
    assert not list(Path("sweep").rglob(".part-*"))


def plan() -> Path:
    return Path("sweep/sweep.json")


def is_training(job: JobFolder, before: int) -> bool:
    """Whether it has written a checkpoint and a step before `before`, so that it can't be through in a moment."""
    metrics = job.path / "metrics.csv"
    if manifest(job).get("status") != "running" or not (job.path / "checkpoints" / "last.ckpt").is_file():
        return False
    last = metrics.read_text().splitlines()[-1].split(",")[0] if metrics.is_file() else ""
    return last.isdigit() and int(last) < before


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_jobs_save(number: signal.Signals, launch: Launch) -> None:
    words = [*WORDS, *steps(20_000, "trainer.checkpoint_interval=20000"), "seed=1,2"]
    sweep = launch(*words)
    wait_for(lambda: plan().is_file() and any((job.path / "metrics.csv").is_file() for job in jobs()))
    sweep.send_signal(number)
    printed, _ = sweep.communicate()
    assert sweep.returncode == 128 + number
    assert "continue: python launch.py train -m" in printed
    (job,) = jobs()
    assert manifest(job)["status"] == "interrupted"
    assert (job.path / "checkpoints" / "last.ckpt").is_file()
    assert [row["status"] for row in rows()] == ["interrupted", "waiting"]
    assert Path("sweep/report.html").is_file()


@pytest.mark.slow
def test_ctrl_c_after_a_signal_ends_at_once_and_one_sweep_works_in_a_folder(
    launch: Launch, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [*WORDS, *steps(20_000, "trainer.checkpoint_interval=20000"), "seed=1,2"]
    sweep = launch(*words)
    wait_for(lambda: plan().is_file() and any(job.log.is_file() for job in jobs()))
    assert main(words) == 1
    assert "another process runs the sweep in sweep" in capfd.readouterr().err
    (child,) = Path(f"/proc/{sweep.pid}/task/{sweep.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGSTOP)  # it hears of nothing any more
    sweep.send_signal(signal.SIGTERM)
    assert sweep.stdout is not None
    while "interrupted" not in sweep.stdout.readline():
        assert sweep.poll() is None
    sweep.send_signal(signal.SIGINT)
    printed, _ = sweep.communicate()
    assert sweep.returncode == 128 + signal.SIGTERM
    assert "interrupted after 0:00:00, ended by SIGKILL" in printed
    assert all(is_left_alone(job) for job in jobs())


@pytest.mark.slow
def test_the_processes_of_a_distributed_job_share_its_folder(launch: Launch) -> None:
    words = [*WORDS, *steps(4), "trainer.devices=2", "trainer.strategy=ddp,fsdp"]
    sweep = launch(*words)
    printed, _ = sweep.communicate()
    assert sweep.returncode == 0, printed
    assert [job.path.name for job in jobs()] == ["001_strategy=ddp", "002_strategy=fsdp"]
    for job in jobs():
        assert manifest(job)["status"] == "finished"
        assert job.log.read_text().count("finished at step 4 of 4") == 1
        assert "sweep of" not in job.log.read_text()
        assert not job.ended.exists()
    assert printed.count("started") == 2
    assert [(row["job"], row["status"], row["progress"]) for row in rows()] == [
        ("1", "finished", "4/4"),
        ("2", "finished", "4/4"),
    ]
    assert float(rows()[0]["val/loss_logits"]) == pytest.approx(float(rows()[1]["val/loss_logits"]), rel=1e-5)
    assert not Path("outputs").exists()


@pytest.mark.slow
def test_predictions_show_their_previews() -> None:
    stages = "method.stages.shape.extraction.depth=4"
    picture = REPOSITORY / "docs" / "pictures" / "inputs" / "mug.png"
    words = ["predict", "-m", "method=craftsman/small", f"input={picture}", stages, "device=cpu", "turntable=false"]
    words += ["method.stages.shape.steps=2,3", "output=sweep"]
    assert main(words) == 0
    assert [(row["status"], row["progress"]) for row in rows()] == [("finished", "1 of 1 cases")] * 2
    assert Path("sweep/report.html").read_text().count("<img") == 2


def test_jobs_get_no_id_of_the_sweep_and_share_cores_and_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    from framework.sweeps.config import SweepOptions
    from framework.sweeps.process import cores, environment

    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, GPU-7")
    alone = environment(SweepOptions(), 0)
    assert RUN_ID_VARIABLE not in alone
    assert "OMP_NUM_THREADS" not in alone
    assert alone["CUDA_VISIBLE_DEVICES"] == "4, GPU-7"
    options = SweepOptions(devices=[0, 1, "2,3"])
    shared = [environment(options, slot) for slot in range(options.slots)]
    assert [variables["CUDA_VISIBLE_DEVICES"] for variables in shared] == ["4", "GPU-7", "2,3"]
    assert shared[0]["OMP_NUM_THREADS"] == str(max(1, cores() // 3))
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert environment(SweepOptions(devices=[2, 5]), 1)["CUDA_VISIBLE_DEVICES"] == "5"
    assert environment(SweepOptions(parallel=2), 1)["OMP_NUM_THREADS"] == "5"
