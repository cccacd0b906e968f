"""How a job stands, read from the files that it leaves."""

from pathlib import Path

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
