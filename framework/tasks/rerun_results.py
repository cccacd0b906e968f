"""What two runs came to, compared: the first difference of each of their results, in words."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from framework.artifacts.digest import digest
from framework.pipeline.case import CaseRecord, StageRecord, read_record
from framework.trainers.loggers import METRICS_FILE, read_metrics
from framework.trainers.manifest import read_manifest
from framework.trainers.results import training_results
from framework.trainers.run_folder import RunFolder


@dataclass(frozen=True)
class Difference:
    """One result of two runs."""

    what: str
    """Which result."""

    text: str
    """What is different; empty when nothing is."""


def compare_trainings(before: RunFolder, again: RunFolder) -> list[Difference]:
    """Return data, metrics, last checkpoint and weights of two finished trainings, each with its first difference.

    The data are left out where their module can't tell.
    """
    then, now = (read_manifest(folder.manifest) for folder in (before, again))
    # What was written down counts, not what lies there: files may have been changed since.
    results_then = then.get("results") or training_results(before)
    found = [Difference("data", _unequal(then.get("data"), now["data"]))] if now["data"] else []
    for name, hash_now in now["results"].items():
        text = _unequal(results_then.get(name), hash_now)
        if text and name == METRICS_FILE:
            text = _metrics(before.path / name, again.path / name, results_then.get(name)) or text
        found.append(Difference(name, text))
    return found


def compare_predictions(before: RunFolder, again: RunFolder) -> list[Difference]:
    """Return the cases of two predictions, each with its first difference."""
    records = [_cases(folder.path) for folder in (before, again)]
    names = sorted(records[0].keys() | records[1].keys())
    return [
        Difference(f"case {name}", _case(before.path / name, records[0].get(name), records[1].get(name)))
        for name in names
    ]


def _unequal(then: str | None, now: str | None) -> str:
    if then == now:
        return ""
    return "different" if then and now else f"the {'run' if now else 'repetition'} has none"


def _metrics(then: Path, now: Path, recorded: str | None) -> str:
    """The first cell that differs; empty when the older file can't tell because it is not the run's any more."""
    if not then.is_file() or (recorded and digest(then) != recorded):
        return "different (the run's own file is gone or was changed since, so not where)"
    (columns_then, rows_then), (columns_now, rows_now) = read_metrics(then), read_metrics(now)
    nothing: dict[str, str] = {}
    for old, new in zip_longest(rows_then, rows_now, fillvalue=nothing):
        for column in [*columns_then, *columns_now]:
            if old.get(column, "") != new.get(column, ""):
                step = old.get("step") or new.get("step")
                cells = (cell.get(column) or "nothing" for cell in (old, new))
                return f"different from step {step} on: {column} was {next(cells)}, is {next(cells)}"
    return ""


def _cases(folder: Path) -> dict[str, CaseRecord]:
    found = {path.name: read_record(path) for path in folder.iterdir() if path.is_dir()}
    return {name: record for name, record in found.items() if record is not None}


def _case(folder: Path, then: CaseRecord | None, now: CaseRecord | None) -> str:
    if then is None or now is None:
        return f"the {'run' if then is None else 'repetition'} has no such case"
    if then.status != now.status:
        return f"was {then.status}, is {now.status}"
    text = next(_artifacts(folder, then, now), "")
    cause = " (its options, weights, seed or pictures are not the same)" if then.signature != now.signature else ""
    return text + cause if text else ""


def _artifacts(folder: Path, then: CaseRecord, now: CaseRecord) -> Iterator[str]:
    """Yield what is different of the stages' artifacts; `folder` is the case of the older run."""
    old, new = _written(then.stages), _written(now.stages)
    for name in sorted(old.keys() | new.keys()):
        hash_then, hash_now = (_hash(folder, stages.get(name), name) for stages in (old, new))
        if hash_then != hash_now:
            yield f"artifact '{name}' of stage {(old.get(name) or new[name]).name} is different"


def _hash(folder: Path, stage: StageRecord | None, name: str) -> str | None:
    """Hash of an artifact as it was written; runs of older versions did not note it, so there the file counts."""
    if stage is None:
        return None
    path = folder / stage.writes[name]
    return stage.digests.get(name) or (digest(path) if path.exists() else None)


def _written(stages: list[StageRecord]) -> dict[str, StageRecord]:
    return {name: stage for stage in stages for name in stage.writes}
