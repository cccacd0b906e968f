"""The folder of a job, which is the run's folder too, and what its files tell. Imports no torch.

job.json       verb and options of the job's latest process
job.log        what its processes said; locked as long as one of them runs
ended.json     how the latest process ended, if not well
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from framework.sweeps.job_facts import (
    Best,
    CaseFacts,
    Ended,
    Given,
    JobFileError,
    Leg,
    Manifest,
    known,
    last_step,
    read_facts,
    tail,
)

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
        """Read how the job stands, from its files alone; where one of them is damaged it counts as failed."""
        try:
            return self._result()
        except JobFileError as error:
            return Result(status="failed", reason=str(error))

    def _result(self) -> Result:
        manifest, legs = self._manifest()
        best = read_facts(Best, self.path / "checkpoints" / "best.json")
        status, reason = self._status(manifest)
        return Result(
            status=status,
            reason=reason,
            seconds=sum(leg.seconds for leg in legs),
            progress=self._progress(manifest),
            metric=best.metric,
            highest=best.mode == "max",
            best=best.value,
            metrics=manifest.metrics,
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
        legs = self._manifest()[1]
        cases = legs[-1].cases if legs else {}
        return ", ".join(f"{count} {status}" for status, count in sorted(cases.items()))

    def last_line(self) -> str:
        """Return the last line of the log that says something."""
        lines = tail(self.log).decode(errors="replace").splitlines() if self.log.is_file() else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _manifest(self) -> tuple[Manifest, list[Leg]]:
        """The run's manifest and its legs."""
        path = self.path / "manifest.json"
        manifest = read_facts(Manifest, path)
        return manifest, [known(Leg, leg, path) for leg in manifest.legs]

    def _status(self, manifest: Manifest) -> tuple[str, str]:
        if manifest.status == "finished":
            return "finished", ""
        ended = read_facts(Ended, self.ended)
        if ended.status:
            return ended.status, ended.reason
        if manifest.status:  # a time limit, or it was killed together with the sweep
            return "interrupted", manifest.reason or ""
        return "waiting", ""

    def _progress(self, manifest: Manifest) -> str:
        if (self.path / "checkpoints").is_dir():
            step = max(last_step(self.path / "metrics.csv"), manifest.step)
            trainer = read_facts(Given, self.job).options.get("trainer")
            total = trainer.get("max_steps") if isinstance(trainer, Mapping) else None
            return f"{step}/{total}" if isinstance(total, int) else str(step)
        cases = Counter(read_facts(CaseFacts, path).status for path in self.path.glob("*/case.json"))
        return f"{cases['finished']} of {cases.total()} cases" if cases else ""
