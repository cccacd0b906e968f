"""How a job stands, read from the files that it leaves."""

from pathlib import Path
from typing import Any

import pytest

from framework.artifacts.atomic import write_json
from framework.sweeps.job_folder import JobFolder, Result
from framework.trainers.manifest import end_leg, update_manifest
from tests.sweeps.finished import finish, log_steps, sweep_of


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    return JobFolder(tmp_path / "001_seed=1")


def test_nothing_yet(folder: JobFolder) -> None:
    assert folder.result() == Result()
    assert folder.pictures() == {}
    assert folder.last_line() == ""
    assert not folder.is_run


def test_a_finished_training(tmp_path: Path) -> None:
    done = finish(sweep_of(tmp_path, [{"seed": "1"}, {"seed": "2"}]), 1, 0.25, mode="max")
    result = done.result()
    assert (result.status, result.reason, result.seconds, result.progress) == ("finished", "", 61.0, "10/10")
    assert (result.metric, result.highest, result.best) == ("val/loss", True, 0.25)
    assert result.metrics == {"val/loss": 1.25, "train/loss": 2.0}
    assert {name: path.name for name, path in done.pictures().items()} == {
        "shape & colour": "step_000010_shape & colour.png"
    }
    assert done.is_run


def test_a_running_training_shows_its_last_logged_step(folder: JobFolder) -> None:
    (folder.path / "checkpoints").mkdir(parents=True)
    write_json(folder.job, {"verb": "train", "options": {"trainer": {"max_steps": 900}}})
    assert folder.result().progress == "0/900"
    log_steps(folder, 700)  # more than what is read of the file's end
    assert folder.result().progress == "700/900"
    with (folder.path / "metrics.csv").open("a") as file:
        file.write("701")  # a row that is being written
    assert folder.result().progress == "700/900"


def test_killed_with_the_sweep(folder: JobFolder) -> None:
    update_manifest(folder.path / "manifest.json", status="running")
    assert folder.result().status == "interrupted"


def test_a_time_limit(folder: JobFolder) -> None:
    end_leg(folder.path / "manifest.json", "interrupted", {"seconds": 1.0}, "time limit")
    assert (folder.result().status, folder.result().reason) == ("interrupted", "time limit")


def test_what_its_process_said_of_its_end(folder: JobFolder) -> None:
    update_manifest(folder.path / "manifest.json", status="running")
    write_json(folder.ended, {"status": "failed", "reason": "no such set"})
    assert (folder.result().status, folder.result().reason) == ("failed", "no such set")
    update_manifest(folder.path / "manifest.json", status="finished")
    assert folder.result().status == "finished"


def test_a_prediction(folder: JobFolder) -> None:
    for name, status in (("mug", "finished"), ("chair", "failed")):
        write_json(folder.path / name / "case.json", {"status": status})
    (folder.path / "mug" / "preview.png").write_bytes(b"")
    leg = {"seconds": 3.0, "cases": {"finished": 1, "failed": 1}}
    end_leg(folder.path / "manifest.json", "failed", leg)
    assert folder.result().progress == "1 of 2 cases"
    assert folder.why_failed() == "1 failed, 1 finished"
    assert folder.pictures() == {"mug": folder.path / "mug" / "preview.png"}


def test_the_last_line_of_a_log(folder: JobFolder) -> None:
    folder.path.mkdir()
    folder.log.write_bytes(b"first\n  last \xff\n\n  \n")
    assert folder.last_line() == "last �"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("manifest.json", [1]),
        ("manifest.json", {"status": ["finished"]}),
        ("manifest.json", {"status": "finished", "legs": [7]}),
        ("manifest.json", {"status": "finished", "legs": [{"seconds": "long"}]}),
        ("manifest.json", {"status": "finished", "legs": [{"seconds": 1e300}]}),
        ("manifest.json", {"status": "finished", "legs": [{"seconds": float("nan")}]}),
        ("manifest.json", {"status": "finished", "metrics": {"val/loss": "<b>"}}),
        ("checkpoints/best.json", {"metric": "val/loss", "value": "<b>"}),
        ("mug/case.json", {"status": {}}),
    ],
)
def test_a_damaged_file_makes_the_job_failed(folder: JobFolder, file: str, content: Any) -> None:
    update_manifest(folder.path / "manifest.json", status="finished")
    write_json(folder.path / file, content)
    result = folder.result()
    assert result.status == "failed"
    assert result.reason.startswith(f"{folder.path / file} is damaged (")
    assert result.reason.endswith("Remove it, or the job's folder, and start again")


@pytest.mark.parametrize("content", ["step,loss\nfew,1\n", "time\n1\n", "step,loss\n\0,1\n"])
def test_damaged_metrics_are_told(folder: JobFolder, content: str) -> None:
    (folder.path / "checkpoints").mkdir(parents=True)
    (folder.path / "metrics.csv").write_text(content)
    assert folder.result().reason.startswith(f"{folder.path / 'metrics.csv'} is damaged (")


def test_of_a_long_log_only_the_end_is_read(folder: JobFolder) -> None:
    folder.path.mkdir()
    with folder.log.open("wb") as file:
        file.seek(2**33)  # 8 GiB, of which nothing is on the disk
        file.write(b"\nlast\n")
    assert folder.last_line() == "last"
