"""The numbers of a sweep: which job is the best, and `results.csv`."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framework.artifacts.atomic import atomic_file
from framework.sweeps.job_folder import Result
from framework.sweeps.plan import Job, Plan, Sweep

RESULTS_FILE = "results.csv"


def groups(plan: Plan, results: Mapping[int, Result]) -> dict[str, list[Job]]:
    """Return title -> the jobs whose monitored metrics can be compared: of one system and one metric."""
    found: dict[str, list[Job]] = {}
    for job in plan.jobs:
        result = results[job.number]
        if result.best is not None:
            found.setdefault(f"{kind_of(job)}: {result.metric}", []).append(job)
    return found


def best_jobs(plan: Plan, results: Mapping[int, Result]) -> list[Job]:
    """Return the best job of each group."""
    return [ranked(jobs, results)[0] for jobs in groups(plan, results).values()]


def ranked(jobs: list[Job], results: Mapping[int, Result]) -> list[Job]:
    """Return the jobs of a group from the best to the worst; of equal ones the first comes first."""

    def badness(job: Job) -> float:
        result = results[job.number]
        return (-1 if result.highest else 1) * float(result.best or 0)

    return sorted(jobs, key=badness)


def kind_of(job: Job) -> str:
    """Return what the job trains or runs, as its options name it."""
    parts = [(job.options.get("system"), "type"), (job.options.get("method"), "name")]
    return next((str(part[key]) for part, key in parts if isinstance(part, Mapping) and part.get(key)), "")


def varied_keys(plan: Plan) -> list[str]:
    """Return the keys that differ between jobs."""
    return list(plan.jobs[0].values)


def metric_names(results: Mapping[int, Result]) -> list[str]:
    """Return the names of all metrics that any job has."""
    return sorted({name for result in results.values() for name in result.metrics})


def shown_value(value: float | None) -> str:
    """Return a metric in four digits; empty for none."""
    return "" if value is None else f"{value:.4g}"


def write_results(sweep: Sweep, results: Mapping[int, Result]) -> Path:
    """Write `results.csv`, a row per job, whole or not at all, and return its path."""
    path = sweep.output / RESULTS_FILE
    keys, metrics = varied_keys(sweep.plan), metric_names(results)
    own = ["status", "reason", "seconds", "progress", "monitor", "best"]
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["job", "folder", *keys, *own, *metrics])
        for job in sweep.plan.jobs:
            result = results[job.number]
            cells: list[Any] = [job.number, job.name, *job.values.values()]
            cells += [result.status, result.reason, round(result.seconds, 1), result.progress, result.metric]
            cells += ["" if result.best is None else result.best]
            writer.writerow([*cells, *(result.metrics.get(name, "") for name in metrics)])
    return path
