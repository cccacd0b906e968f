"""The folder of a job, which is the run's folder too, and what its files tell. Imports no torch.

job.json       verb and options of the job's latest process
job.log        what its processes said; locked as long as one of them runs
ended.json     how the latest process ended, if not well
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PICTURE = re.compile(r"step_(\d+)_(.+)\.png")


@dataclass(frozen=True)
class Result:
    """What is known of a job."""

    status: str = "waiting"
    """waiting, running, finished, interrupted or failed."""

    reason: str = ""
    """Why it failed or was interrupted."""

    seconds: float = 0.0
    """Time that its runs took."""

    progress: str = ""
    """Steps of a training, finished cases of a prediction."""

    metric: str = ""
    """The metric that decides what is best; empty where nothing was measured."""

    highest: bool = False
    """Whether a higher value of it is better."""

    best: float | None = None
    """Its best value so far."""

    metrics: dict[str, float] = field(default_factory=dict)
    """All metrics at the end."""


@dataclass(frozen=True)
class JobFolder:
    """Paths of a job, and how it stands."""

    path: Path
    """The folder."""

    @property
    def job(self) -> Path:
        """Verb and options for the process."""
        return self.path / "job.json"

    @property
    def log(self) -> Path:
        """What the processes said."""
        return self.path / "job.log"

    @property
    def ended(self) -> Path:
        """How the latest process ended, if not well."""
        return self.path / "ended.json"

    @property
    def is_run(self) -> bool:
        """Whether a run was started here: its options are written first."""
        return (self.path / "config.yaml").is_file()

    def result(self) -> Result:
        """Read how the job stands, from its files alone."""
        manifest, best = _read(self.path / "manifest.json"), _read(self.path / "checkpoints" / "best.json")
        status, reason = self._status(manifest)
        return Result(
            status=status,
            reason=reason,
            seconds=sum(leg["seconds"] for leg in manifest.get("legs", [])),
            progress=self._progress(manifest),
            metric=best.get("metric", ""),
            highest=best.get("mode") == "max",
            best=best.get("value"),
            metrics=manifest.get("metrics", {}),
        )

    def pictures(self) -> dict[str, Path]:
        """Return name -> file: a training's last validation pictures, or the preview of each predicted case."""
        found = {path.parent.name: path for path in sorted(self.path.glob("*/preview.png"))}
        steps: dict[str, int] = {}
        for path in (self.path / "images").glob("step_*.png"):
            match = PICTURE.fullmatch(path.name)
            if match and int(match[1]) >= steps.get(match[2], -1):
                steps[match[2]] = int(match[1])
                found[match[2]] = path
        return dict(sorted(found.items()))

    def why_failed(self) -> str:
        """Return what a run that ended without an error says of its failure."""
        legs = _read(self.path / "manifest.json").get("legs", [])
        cases = legs[-1].get("cases", {}) if legs else {}
        return ", ".join(f"{count} {status}" for status, count in sorted(cases.items()))

    def last_line(self) -> str:
        """Return the last line of the log that says something."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.is_file() else ""
        return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")

    def _status(self, manifest: dict[str, Any]) -> tuple[str, str]:
        if manifest.get("status") == "finished":
            return "finished", ""
        ended = _read(self.ended)
        if ended:
            return ended["status"], ended["reason"]
        if manifest:  # a time limit, or it was killed together with the sweep
            return "interrupted", manifest.get("reason") or ""
        return "waiting", ""

    def _progress(self, manifest: dict[str, Any]) -> str:
        if (self.path / "checkpoints").is_dir():
            logged = _last_row(self.path / "metrics.csv").get("step") or 0
            step = max(int(logged), manifest.get("step", 0))
            total = _read(self.job).get("options", {}).get("trainer", {}).get("max_steps")
            return f"{step}/{total}" if total else str(step)
        cases = Counter(_read(path).get("status") for path in self.path.glob("*/case.json"))
        return f"{cases['finished']} of {cases.total()} cases" if cases else ""


def _read(path: Path) -> dict[str, Any]:
    """A JSON file, which appears whole or not at all; empty while it is not there."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _last_row(path: Path) -> dict[str, str]:
    """The last row of a CSV file that is whole; only its end is read."""
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        columns = next(csv.reader([file.readline().decode()]))
        file.seek(max(file.tell(), path.stat().st_size - 8192))
        rows = list(csv.reader(file.read().decode(errors="replace").splitlines()))
    whole = [row for row in rows if len(row) == len(columns)]
    return dict(zip(columns, whole[-1], strict=True)) if whole else {}
