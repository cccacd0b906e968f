"""What the files of a job say, as far as a sweep wants to know. Any of them may be damaged. Imports no torch."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

from framework.artifacts.reading import read_mapping
from framework.config.build import from_dict

LONGEST_RUN = 1e9
"""Seconds beyond which a time is a mistake."""
LONGEST_LINE = 2**16
TAIL = 8192
"""Bytes at the end of a log or of metrics that are read."""

Facts = TypeVar("Facts")


class JobFileError(ValueError):
    """A file of a job is damaged; the text says which."""


@dataclass(frozen=True)
class Manifest:
    """What counts here of a run's manifest."""

    status: str = ""
    reason: str | None = None
    step: int = 0
    legs: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Leg:
    """One of its legs."""

    seconds: float = 0.0
    cases: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.seconds < LONGEST_RUN:
            raise ValueError(f"{self.seconds} seconds, expected 0 to {LONGEST_RUN:.0e}")


@dataclass(frozen=True)
class Best:
    """The record of the best checkpoint."""

    metric: str = ""
    mode: str = ""
    value: float | None = None


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    status: Literal["", "failed", "interrupted"] = ""
    reason: str = ""


@dataclass(frozen=True)
class CaseFacts:
    """The record of a case."""

    status: str = ""


@dataclass(frozen=True)
class Given:
    """What the job's latest process was given."""

    options: dict[str, Any] = field(default_factory=dict)


def read_facts(facts: type[Facts], path: Path) -> Facts:
    """Return what a JSON file says of the fields of `facts`, their defaults while it is not there: it appears whole.

    JobFileError when it is damaged.
    """
    try:
        content = read_mapping(path) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    return known(facts, content, path)


def known(facts: type[Facts], content: Mapping[str, Any], path: Path) -> Facts:
    """Return the fields of `facts` among the content of the file `path`, which may hold more; JobFileError else."""
    try:
        wanted = {item.name: content[item.name] for item in fields(facts) if item.name in content}  # type: ignore[arg-type]
        return from_dict(facts, wanted)
    except ValueError as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> JobFileError:
    return JobFileError(
        f"{path} is damaged ({str(error).rstrip('.')}). Remove it, or the job's folder, and start again"
    )


def last_step(path: Path) -> int:
    """Return the step in the last row of a CSV file that is whole, 0 without one; JobFileError when it is no number.

    Only the end of the file is read.
    """
    if not path.is_file():
        return 0
    try:
        with path.open("rb") as file:
            columns = next(csv.reader([file.readline(LONGEST_LINE).decode()]))
            start = file.tell()
        rows = csv.reader(tail(path, start).decode(errors="replace").splitlines())
        whole = [row for row in rows if len(row) == len(columns)]
        return int(whole[-1][columns.index("step")] or 0) if whole else 0
    except (OSError, ValueError, csv.Error) as error:
        raise _damaged(path, error) from error


def tail(path: Path, start: int = 0) -> bytes:
    """Return the last bytes of a file, at most `TAIL`, none before `start`."""
    with path.open("rb") as file:
        file.seek(max(start, path.stat().st_size - TAIL))
        return file.read()
