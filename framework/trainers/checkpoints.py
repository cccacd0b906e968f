"""Checkpoints of a training: the last one, the best one, and how they are written and read.

`last.ckpt` is always written between two optimiser steps, when all that belongs to the first of them is done: its
metrics are in their file and its validation, if one was due, is over. So continuing from it repeats nothing and skips
nothing. Files hold tensors and plain data only and are read with `weights_only`.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins import CheckpointIO

from framework.artifacts.atomic import atomic_file, write_json
from framework.artifacts.reading import read_mapping
from framework.systems.optimizers import renew_options
from framework.systems.system import System
from framework.trainers.checkpoint_content import CheckpointError, check_training, read_checkpoint

LAST = "last.ckpt"
BEST = "best.ckpt"
BEST_RECORD = "best.json"


class AtomicCheckpointIO(CheckpointIO):
    """Writes checkpoints whole or not at all, and never unpickles code when it reads them.

    `shapes` are those of the network that goes on training: one made for another network is refused.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]] | None = None) -> None:
        self.shapes = shapes

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write `checkpoint` beside `path` and rename it; OSError when the disk refuses."""
        with atomic_file(Path(path)) as temporary:
            try:
                torch.save(checkpoint, temporary)
            except RuntimeError as error:  # torch hides the system's error behind its own.
                raise OSError(f"{path} can't be written: is the disk full? ({error})") from error

    def load_checkpoint(
        self, path: Any, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read what a training goes on from; CheckpointError when it is missing or damaged, WeightsError when it is of
        another network.
        """
        checkpoint = read_checkpoint(Path(path))
        check_training(checkpoint, self.shapes, Path(path))
        return checkpoint

    def remove_checkpoint(self, path: Any) -> None:
        """Delete the file if it is there."""
        Path(path).unlink(missing_ok=True)


class TakeNewOptions(pl.Callback):
    """Lets a continued training go on with the optimiser's options that it is given: a checkpoint holds older ones."""

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Change what was read; a system that makes its optimisers itself keeps those of the checkpoint."""
        if type(pl_module).configure_optimizers is System.configure_optimizers and isinstance(pl_module, System):
            renew_options(checkpoint, pl_module.config.optimizer)


class KeepCheckpoints(Checkpoint):
    """Writes `last.ckpt` every `interval` steps and at the end, and `best.ckpt` when the monitored metric improves.

    monitor: name of that metric, of which `mode` is better; `keep_interval` > 0 keeps `step_<n>.ckpt` files as well.
    """

    def __init__(
        self, folder: Path, interval: int, monitor: str, mode: Literal["min", "max"], keep_interval: int = 0
    ) -> None:
        self.folder = folder
        self.interval = interval
        self.keep_interval = keep_interval
        self.monitor = monitor
        self.mode = mode
        self._last_step = 0
        self._due: list[str] = []
        self._counters: dict[str, Any] | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count from the step that the training continues at."""
        self._last_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note what is due when an interval is full, or when no step follows this one.

        Lightning logs and validates after this, and continues only from counters as they stand now.
        """
        step, before = trainer.global_step, self._last_step
        if step == before:
            return
        if step >= trainer.max_steps > 0:
            trainer.should_stop = True  # Lightning validates after the last step only when it is told to stop.
        self._due = [f"step_{step:06d}.ckpt"] if _reached(step, before, self.keep_interval) else []
        if trainer.should_stop or _reached(step, before, self.interval):
            self._due.append(LAST)
        self._last_step = step
        self._counters = trainer.fit_loop.state_dict()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Save what was due after the step before."""
        self._save_due(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save after the last step."""
        self._save_due(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save when the validation was better than all before."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        value = self._score(trainer)
        record = read_best(self.folder) or {}
        sign = 1 if self.mode == "max" else -1
        first = record.get("metric") != self.monitor
        better = math.isfinite(value) and (first or sign * value > sign * record["value"])
        if trainer.strategy.broadcast(better):
            trainer.save_checkpoint(self.folder / BEST)
            if trainer.is_global_zero:
                record = {"step": trainer.global_step, "metric": self.monitor, "mode": self.mode, "value": value}
                write_json(self.folder / BEST_RECORD, record)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Store the counters of the last finished step, not those of a step or a validation that has begun since."""
        if self._counters is not None:
            checkpoint["loops"]["fit_loop"] = self._counters

    def save_last(self, trainer: pl.Trainer) -> None:
        """Write `last.ckpt` now, between two steps; not before the first one, since then there is nothing new."""
        if self._counters is not None:
            self._due = [*self._due, LAST] if LAST not in self._due else self._due
            self._save_due(trainer)

    def _save_due(self, trainer: pl.Trainer) -> None:
        if not self._due:
            return
        for logger in trainer.loggers:
            logger.save()
        for name in self._due:
            trainer.save_checkpoint(self.folder / name)
        self._due = []

    def _score(self, trainer: pl.Trainer) -> float:
        if self.monitor not in trainer.callback_metrics:
            logged = ", ".join(sorted(trainer.callback_metrics)) or "nothing"
            raise ValueError(f"the system's `monitor` is '{self.monitor}', but its validation logged: {logged}")
        return float(trainer.callback_metrics[self.monitor])


class CountBatches(pl.Callback):
    """Lets a training go on with another `trainer.accumulate`: Lightning counts batches, and steps by their number."""

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Note how many batches a step has taken."""
        checkpoint["accumulate"] = trainer.accumulate_grad_batches

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Count as many batches as the steps so far would have taken with the accumulation of now."""
        before, now = checkpoint.get("accumulate"), trainer.accumulate_grad_batches
        if not isinstance(before, int) or before < 1 or before == now:
            return
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        for counts in (progress["total"], progress["current"]):
            counts.update({name: count // before * now for name, count in counts.items()})


def read_best(folder: Path) -> dict[str, Any] | None:
    """Return step, metric, mode (min or max) and value of `best.ckpt` in a checkpoint folder, or None without one.

    CheckpointError when the record is damaged.
    """
    path = folder / BEST_RECORD
    if not path.is_file():
        return None
    try:
        record = read_mapping(path)
        texts = {name: str(record[name]) for name in ("metric", "mode")}
        return {"step": int(record["step"]), "value": float(record["value"])} | texts
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise CheckpointError(f"{path} is damaged ({error}). Remove it: the next validation writes it anew") from error


def _reached(step: int, before: int, interval: int) -> bool:
    """Whether a multiple of `interval` lies in (before, step]; a step may count several optimisers."""
    return interval > 0 and step // interval > before // interval
