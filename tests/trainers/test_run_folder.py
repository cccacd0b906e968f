"""Where runs lie, and that all processes of one agree on it."""

import re
from pathlib import Path
from typing import Any

import pytest

from framework.trainers.run_folder import RUN_ID_VARIABLE, RunFolder, RunFolderError, run_id
from framework.weights.runs import RunNotFound


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory outside of any launcher."""
    monkeypatch.chdir(tmp_path)
    for variable in ("TORCHELASTIC_RUN_ID", "SLURM_PROCID", "GROUP_WORLD_SIZE"):
        monkeypatch.delenv(variable, raising=False)
    # Set first, so that monkeypatch takes back whatever `run_id` sets.
    monkeypatch.setenv(RUN_ID_VARIABLE, "")
    monkeypatch.delenv(RUN_ID_VARIABLE)
    return tmp_path


def test_an_id_is_a_time_and_random_and_stays_for_started_processes() -> None:
    first = run_id()
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{4}", first)
    assert run_id() == first


def test_torchrun_processes_get_the_same_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    first = run_id()
    monkeypatch.delenv(RUN_ID_VARIABLE)
    assert run_id() == first


def test_torchrun_on_several_machines_asks_for_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("GROUP_WORLD_SIZE", "2")
    with pytest.raises(RunFolderError, match=f"{RUN_ID_VARIABLE}=<any new name>"):
        run_id()


def test_slurm_tasks_get_the_same_id(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PROCID": "3", "NTASKS": "8", "JOB_ID": "77", "STEP_ID": "1"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert run_id() == "slurm-77-1"


def create(system: str, options: dict[str, Any], output: str | None = None) -> RunFolder:
    folder = RunFolder.place(system, output)
    folder.make(options)
    return folder


def test_create_open_and_read(workplace: Path) -> None:
    folder = create("method/system", {"seed": 3, "system": {"type": "method/system"}})
    assert folder.path == Path("outputs/method") / folder.run_id
    for run in (folder.run_id, str(folder.path), str(workplace / folder.path)):
        assert RunFolder.open(run).read_config() == {"seed": 3, "system": {"type": "method/system"}}
    assert folder.reference == folder.run_id


def test_only_the_first_process_writes(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framework.trainers.run_folder.is_first_process", lambda: False)
    create("method/system", {})
    assert list(workplace.iterdir()) == []


def test_a_second_run_in_the_same_folder_is_refused(workplace: Path) -> None:
    folder = create("m/s", {}, output="here")
    assert folder.reference == "here"
    with pytest.raises(RunFolderError, match="Continue it with run=here"):
        create("m/s", {}, output="here")


def test_unknown_runs_offer_the_nearest(workplace: Path) -> None:
    with pytest.raises(RunNotFound, match="There are no runs yet"):
        RunFolder.open("abc")
    folder = create("m/s", {})
    with pytest.raises(RunNotFound, match=f"Nearest: {folder.run_id}"):
        RunFolder.open(folder.run_id[:-1])
