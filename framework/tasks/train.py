"""The verb `train`: fit a system, from the start or from a run's last checkpoint."""

import sys
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from rich.console import Console

from framework import registry
from framework.config.build import to_dict
from framework.systems.system import System
from framework.tasks.config import TrainOptions
from framework.trainers.manifest import describe_run, end_leg, timestamp, update_manifest
from framework.trainers.progress import duration
from framework.trainers.run_folder import RunFolder
from framework.trainers.run_weights import save_run_weights
from framework.trainers.stopping import TrainingInterrupted
from framework.trainers.trainer import build_trainer
from framework.weights.folder import load_weights
from framework.weights.resolve import resolve


def run(options: TrainOptions, console: Console | None = None) -> int:
    """Train as `options` say; exit code 0, also when a time limit ended this leg, or 128 + the signal's number."""
    console = console or Console()
    folder = open_run(options)
    pl.seed_everything(options.seed, verbose=False)
    system: System = registry.load_class("system", options.system.type)(options.system.config)
    if options.start_weights and not options.run:
        system.load_own_state(load_weights(resolve(options.start_weights)).tensors, where=options.start_weights)
    data: pl.LightningDataModule = registry.load_class("data", options.data.type)(options.data.config)
    trainer = build_trainer(
        options.trainer,
        options.logger,
        folder,
        options.seed,
        system=system,
        device=options.device,
        console=console,
    )
    if trainer.is_global_zero:
        device = trainer.strategy.root_device.type
        update_manifest(folder.manifest, **describe_run(folder.run_id, "train", options.seed, device))
        console.print(f"run {folder.run_id} in {folder.path}", highlight=False, soft_wrap=True)
    checkpoint = folder.last_checkpoint if options.run and folder.last_checkpoint.is_file() else None
    return _Leg(options, folder, console, trainer).fit(system, data, checkpoint)


def open_run(options: TrainOptions) -> RunFolder:
    """Return the folder of the run that `options.run` names, or of a new one, with the options written into it."""
    # Where a run lies is no part of what it is: other verbs start from these options too.
    saved = to_dict(options) | {"run": None, "output": None}
    if not options.run:
        return RunFolder.create(options.system.type, saved, options.output)
    folder = RunFolder.open(options.run)
    folder.write_config(saved)
    return folder


class _Leg:
    """One stretch of a training, between its start or continuation and the next end."""

    def __init__(self, options: TrainOptions, folder: RunFolder, console: Console, trainer: pl.Trainer) -> None:
        self.options = options
        self.folder = folder
        self.console = console
        self.trainer = trainer
        self.started = timestamp()
        self.clock = time.monotonic()
        self.weights: Path | None = None

    def fit(self, system: System, data: pl.LightningDataModule, checkpoint: Path | None) -> int:
        """Fit, and write down how it ended whatever happens."""
        status, reason, code = "failed", None, 1
        try:
            self.trainer.fit(system, datamodule=data, ckpt_path=checkpoint, weights_only=True)
            if self.trainer.is_global_zero:
                self.weights = save_run_weights(system, self.folder, self.options.trainer.weights, self.folder.weights)
            finished = self.trainer.global_step >= self.options.trainer.max_steps
            status, reason, code = ("finished", None, 0) if finished else ("interrupted", "time limit", 0)
        except TrainingInterrupted as signal:
            status, reason, code = "interrupted", str(signal), 128 + signal.signal_number
        finally:
            error = sys.exception()
            if self.trainer.is_global_zero:
                self._write_down(status, f"{type(error).__name__}: {error}" if error else reason)
        if self.trainer.is_global_zero:
            self._report(status, reason)
        return code

    def _write_down(self, status: str, reason: str | None) -> None:
        step = self.trainer.global_step
        seconds = round(time.monotonic() - self.clock, 1)
        leg = {"started": self.started, "seconds": seconds, "to_step": step, "status": status}
        end_leg(self.folder.manifest, status, leg, reason, step=step, metrics=_metrics(self.trainer))

    def _report(self, status: str, reason: str | None) -> None:
        step, total = self.trainer.global_step, self.options.trainer.max_steps
        spent = duration(time.monotonic() - self.clock)
        lines = [f"{status} at step {step} of {total} after {spent}{f' ({reason})' if reason else ''}"]
        lines += ["  ".join(f"{name} {value:.4g}" for name, value in _metrics(self.trainer).items())]
        lines += [f"weights: {self.weights}"] if self.weights else []
        more = "" if status != "finished" else " trainer.max_steps=<more>"
        lines += [f"continue: python launch.py train run={self.folder.reference}{more}"]
        self.console.print("\n".join(filter(None, lines)), highlight=False, soft_wrap=True)


def _metrics(trainer: pl.Trainer) -> dict[str, Any]:
    """The latest logged values, as plain numbers."""
    return {name: float(value) for name, value in trainer.callback_metrics.items()}
