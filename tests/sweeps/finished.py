"""Sweeps of which some jobs are through, with the files that a training writes, made without training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from framework.artifacts.atomic import write_json, write_text
from framework.export.images import save_png
from framework.sweeps.config import SweepOptions
from framework.sweeps.job_folder import JobFolder
from framework.sweeps.plan import Job, Plan, Sweep, job_name
from framework.trainers.loggers import CsvMetrics
from framework.trainers.manifest import end_leg, update_manifest


def sweep_of(folder: Path, values: list[dict[str, str]], system: str = "method/system", **options: Any) -> Sweep:
    """A sweep of trainings of 10 steps, one for each dictionary of values."""
    given: dict[str, Any] = {"system": {"type": system}, "trainer": {"max_steps": 10}}
    jobs = [Job(number, job_name(number, row), row, given) for number, row in enumerate(values, 1)]
    return Sweep(Plan("train", {}, jobs), folder, SweepOptions(**options), "python launch.py train -m")


def finish(sweep: Sweep, number: int, value: float, mode: str = "min", status: str = "finished") -> JobFolder:
    """Leave behind what a training that ended with this value of `val/loss` leaves."""
    folder = JobFolder(sweep.output / sweep.plan.jobs[number - 1].name)
    write_json(folder.job, {"verb": "train", "options": sweep.plan.jobs[number - 1].options})
    write_text(folder.path / "config.yaml", "seed: 0\n")
    record = {"step": 8, "metric": "val/loss", "mode": mode, "value": value}
    write_json(folder.path / "checkpoints" / "best.json", record)
    update_manifest(folder.path / "manifest.json", status="running")
    metrics = {"val/loss": value + 1, "train/loss": 2.0}
    end_leg(folder.path / "manifest.json", status, {"seconds": 61.0}, step=10, metrics=metrics)
    for step in (5, 10):
        pixels = np.full((8, 8, 3), step * 20, dtype=np.uint8)
        save_png(pixels, folder.path / "images" / f"step_{step:06d}_shape & colour.png")
    return folder


def log_steps(folder: JobFolder, steps: int) -> None:
    """Write the metrics of a training that runs."""
    logger = CsvMetrics(folder.path / "metrics.csv")
    for step in range(steps):
        logger.log_metrics({"train/loss": 1.0 / (step + 1)}, step=step)
    logger.finalize("success")
