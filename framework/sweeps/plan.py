"""What a sweep consists of. It is written once, before the first job starts, and never changed: `sweep.json`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework.artifacts.atomic import write_json
from framework.artifacts.reading import read_mapping
from framework.config.build import from_dict, to_dict
from framework.config.errors import ConfigError
from framework.sweeps.config import SweepOptions

PLAN_FILE = "sweep.json"
FOLDER = re.compile(r"\w[\w.+=-]{0,63}", re.ASCII)
"""Names of jobs: nothing in them leads out of the sweep's folder."""


@dataclass(frozen=True)
class Job:
    """One combination of values."""

    number: int
    """Counted from 1, in the order in which jobs start."""

    name: str
    """Name of its folder: the number and the values."""

    values: dict[str, str]
    """The varied keys, each with the text of this job's value."""

    options: dict[str, Any]
    """All options of its verb, resolved: what YAML files say later changes nothing."""


@dataclass(frozen=True)
class Plan:
    """What was asked for, and the jobs that it makes."""

    verb: str
    """What every job runs."""

    words: dict[str, str]
    """The command's options but for `output` and `sweep.*`: text as typed, by key."""

    jobs: list[Job]
    """All combinations."""

    def __post_init__(self) -> None:
        if not self.jobs or [job.number for job in self.jobs] != list(range(1, len(self.jobs) + 1)):
            raise ValueError("the jobs are not counted from 1")
        names = {job.name for job in self.jobs}
        if len(names) < len(self.jobs) or not all(FOLDER.fullmatch(name) for name in names):
            raise ValueError("the jobs' names can't be those of their folders")
        if any(job.values.keys() != self.jobs[0].values.keys() for job in self.jobs):
            raise ValueError("the jobs vary different keys")


@dataclass(frozen=True)
class Sweep:
    """A checked command with `-m`."""

    plan: Plan
    """What is run."""

    output: Path
    """Folder of the sweep, which has one folder per job in it."""

    options: SweepOptions
    """How jobs share the machine; another time they may share it otherwise."""

    command: str
    """The command that goes on with this sweep."""


def write_plan(plan: Plan, folder: Path) -> None:
    """Write `sweep.json`, whole or not at all; ConfigError when the folder can't be written."""
    try:
        write_json(folder / PLAN_FILE, to_dict(plan))
    except OSError as error:
        problem = f"the folder {folder} can't be written ({error.strerror}: {error.filename})."
        raise ConfigError("output", f"{problem} Give a writable place with output=<folder>.") from error


def read_plan(folder: Path) -> Plan | None:
    """Return the plan of the sweep in a folder, None when there is none; ConfigError when it can't be read."""
    path = folder / PLAN_FILE
    if not path.is_file():
        return None
    try:
        return from_dict(Plan, read_mapping(path))
    except (OSError, ValueError) as error:
        raise ConfigError("output", f"{path} can't be read ({error}). Give another folder.") from error


def job_name(number: int, values: Mapping[str, str]) -> str:
    """Return e.g. `003_seed=1_num_latents=8`: at most 64 characters that are safe in file names."""
    shown = zip(short_keys(values), values.values(), strict=True)
    return "_".join([f"{number:03d}", *(f"{_safe(key)}={_safe(value)}" for key, value in shown)])[:64].rstrip("-._=")


def _safe(text: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", text, flags=re.ASCII).strip("-.")[:24]


def short_keys(values: Mapping[str, str]) -> list[str]:
    """Return the last part of each dotted key, the whole key where two would be alike."""
    last = [key.rpartition(".")[2] for key in values]
    return [short if last.count(short) == 1 else key for short, key in zip(last, values, strict=True)]
