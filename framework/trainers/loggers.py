"""Where metrics go: one CSV file per run, and tensorboard or wandb if asked for."""

import csv
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from framework import optional
from framework.artifacts.atomic import atomic_file
from framework.artifacts.reading import checked_size
from framework.trainers.config import LoggerConfig
from framework.weights.runs import OUTPUTS

METRICS_FILE = "metrics.csv"
LONGEST_LINE = 2**17


class MetricsError(ValueError):
    """A `metrics.csv` is there, but it is none."""


class CsvMetrics(Logger):
    """`metrics.csv`: a header, then one row per logged step. The column `step` counts finished optimiser steps.

    Training and validation metrics of a step share a row. New columns rewrite the file; a continued run drops the rows
    behind its checkpoint and goes on in the same file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._columns: list[str] = []
        self._row: dict[str, Any] = {}
        self._place: int | None = None  # where the latest row begins in the file

    @property
    def name(self) -> str:
        """Kind of this logger."""
        return "csv"

    @property
    def version(self) -> str:
        """There is one file per run."""
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the options are in `config.yaml` beside the metrics."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add values to the row of this step and write it: a process that is killed leaves all that it logged."""
        # Lightning counts from the step before the one that was just finished.
        count = (step or 0) + 1
        if self._row.get("step") != count:
            self._row, self._place = {}, None
        self._row |= {"step": count} | {key: value for key, value in metrics.items() if key != "epoch"}
        self._write_row()

    @rank_zero_only
    def rewind(self, step: int) -> None:
        """Drop the rows after `step`: the run continues from a checkpoint made there."""
        if self.path.is_file():
            self._columns, rows = read_metrics(self.path)
            self._rewrite(row for row in rows if _step(self.path, row) <= step)

    def _write_row(self) -> None:
        """Write the row behind the others, or in place of what was known of its step."""
        new = sorted(key for key in self._row if key not in self._columns)
        if new or not self.path.is_file():
            rows = read_metrics(self.path)[1] if self.path.is_file() else iter(())
            self._columns = ["step", *sorted({*self._columns, *new} - {"step"})]
            known = list(rows)
            self._rewrite(known if self._place is None else known[:-1])
            self._place = None
        with self.path.open("r+", newline="", encoding="utf-8") as file:
            self._place = file.seek(0, os.SEEK_END) if self._place is None else file.seek(self._place)
            file.truncate()
            csv.DictWriter(file, self._columns, restval="").writerow(self._row)

    def _rewrite(self, rows: Iterable[dict[str, str]]) -> None:
        with atomic_file(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns, restval="")
            writer.writeheader()
            writer.writerows(rows)


class RewindMetrics(pl.Callback):
    """Drops the metrics after the checkpoint that a training continues from."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The step is known only after the checkpoint was read."""
        for logger in trainer.loggers:
            if isinstance(logger, CsvMetrics):
                logger.rewind(trainer.global_step)


def read_metrics(path: Path) -> tuple[list[str], Iterator[dict[str, str]]]:
    """Return columns and, one by one, rows of a `metrics.csv`; cells of metrics that a step did not log are empty.

    Raises MetricsError for a file that is none, also while rows are read.
    """
    lists = _lists(path)
    columns = next(lists, ["step"])
    if "step" not in columns:
        raise _damaged(path, "it has no column 'step'")
    # A process that was killed can leave a last row without all of its cells.
    return columns, (dict(zip(columns, row, strict=True)) for row in lists if len(row) == len(columns))


def _lists(path: Path) -> Iterator[list[str]]:
    """The rows of a CSV file as they stand there."""
    try:
        checked_size(path)
        with path.open(newline="", encoding="utf-8") as file:
            yield from csv.reader(_lines(file))
    except (OSError, ValueError, csv.Error) as error:
        raise _damaged(path, str(error)) from error


def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise ValueError(f"a line has more than {LONGEST_LINE} characters")
        yield line


def _step(path: Path, row: Mapping[str, str]) -> float:
    try:
        return float(row["step"])
    except ValueError as error:
        raise _damaged(path, f"a step is '{row['step'][:40]}'") from error


def _damaged(path: Path, reason: str) -> MetricsError:
    return MetricsError(f"{path} is damaged ({reason}). Move it away: the run goes on in a new one")


def latest_metrics(path: Path) -> dict[str, float]:
    """Return the last value of each metric of a `metrics.csv`; nothing when there is none."""
    rows = read_metrics(path)[1] if path.is_file() else iter(())
    try:
        return {name: float(value) for row in rows for name, value in row.items() if name != "step" and value}
    except MetricsError:
        raise
    except ValueError as error:
        raise _damaged(path, str(error)) from error


def build_loggers(config: LoggerConfig, folder: Path, step: int = 0) -> list[Logger]:
    """Return the loggers of a run that write into `folder`; MissingExtra when a package is not installed.

    `step`: where the run goes on, so that tensorboard forgets what a killed process logged after it.
    """
    makers = {"csv": _csv, "tensorboard": _tensorboard, "wandb": _wandb}
    return [makers[kind](config, folder, step) for kind in dict.fromkeys(config.kinds)]


def _csv(config: LoggerConfig, folder: Path, step: int) -> Logger:
    return CsvMetrics(folder / METRICS_FILE)


def _tensorboard(config: LoggerConfig, folder: Path, step: int) -> Logger:
    optional.require("tensorboard", "log")
    return TensorBoardLogger(save_dir=folder, name="tensorboard", version="", purge_step=step)


def _wandb(config: LoggerConfig, folder: Path, step: int) -> Logger:
    """The run keeps its id, so that a continued training goes on in the same curves."""
    optional.require("wandb", "log", "init")
    return WandbLogger(
        project=config.project,
        name=folder.name,
        id=curve_id(folder),
        save_dir=folder,
        offline=config.offline,
        resume="allow",
    )


def curve_id(folder: Path) -> str:
    """Return the id of a run's curves. Folders chosen by the user may have equal names, as jobs of two sweeps do."""
    if folder.parent.parent == OUTPUTS:
        return folder.name
    return f"{folder.name}-{hashlib.blake2b(str(folder.resolve()).encode(), digest_size=4).hexdigest()}"
