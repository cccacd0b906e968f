"""One stretch of a training: fit it, write down how it ended, and say so."""

import re
import sys
import time
from datetime import datetime
from pathlib import Path
from signal import SIGINT
from typing import Any

import pytorch_lightning as pl
from rich.console import Console

from framework import registry
from framework.systems.system import System
from framework.tasks.config import TrainOptions
from framework.trainers.checkpoint_content import ANOTHER, CheckpointError
from framework.trainers.divergence import TrainingDiverged
from framework.trainers.loggers import METRICS_FILE, latest_metrics
from framework.trainers.manifest import (
    describe_device,
    describe_run,
    end_leg,
    read_manifest,
    timestamp,
    update_manifest,
)
from framework.trainers.progress import duration
from framework.trainers.results import training_results
from framework.trainers.run_folder import RunFolder
from framework.trainers.run_weights import save_run_weights
from framework.trainers.stopping import ProcessLost, StopOnSignal, TrainingInterrupted, end_together
from framework.weights.opening import fingerprint
from framework.weights.resolve import resolve

LOST = re.compile(r"Connection (closed|reset) by peer|Broken pipe")
"""What torch says when another process is gone, whatever it did at that moment."""


class _Begun(pl.Callback):
    """Notes that everything was read from a checkpoint, and that steps or validations begin."""

    def __init__(self) -> None:
        self.begun = False

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.begun = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.begun = True


class Leg:
    """One stretch of a training, between its start or continuation and the next end.

    `changed`: the options that differ from those of the stretch before, in words.
    """

    def __init__(
        self, options: TrainOptions, folder: RunFolder, console: Console, trainer: pl.Trainer, changed: list[str]
    ) -> None:
        self.changed = changed
        self.options = options
        self.folder = folder
        self.console = console
        self.trainer = trainer
        self.started = timestamp()
        self.clock = time.monotonic()
        self.weights: Path | None = None

    def announce(self, system: System) -> None:
        """Start the manifest, and say what is trained and where."""
        device = self.trainer.strategy.root_device.type
        facts = describe_run(self.folder.run_id, "train", self.options.seed, device)
        if self.options.start_weights and not self.folder.last_checkpoint.is_file():
            facts["start_weights"] = fingerprint(resolve(self.options.start_weights))
        update_manifest(self.folder.manifest, **facts, **self._killed_leg())
        size = sum(parameter.numel() for parameter in system.parameters() if parameter.requires_grad)
        text = f"run {self.folder.run_id} in {self.folder.path}\n{system.registry_name}: {size:,} weights on {device}"
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _killed_leg(self) -> dict[str, Any]:
        """The list of legs with the one before this, if it was killed: nobody wrote down how long it had trained."""
        before = read_manifest(self.folder.manifest)
        signs = [path for path in (self.folder.metrics, self.folder.last_checkpoint) if path.is_file()]
        if before.get("status") != "running" or not signs:
            return {}
        seconds = max(path.stat().st_mtime for path in signs) - datetime.fromisoformat(before["started"]).timestamp()
        leg = {"started": before["started"], "seconds": round(max(seconds, 0.0), 1), "status": "killed"}
        return {"legs": [*before.get("legs", []), leg]}

    def fit(self, system: System, data: pl.LightningDataModule, checkpoint: Path | None) -> int:
        """Fit, and write down how it ended whatever happens; returns the exit code."""
        stop = next(item for item in self.trainer.callbacks if isinstance(item, StopOnSignal))  # type: ignore[attr-defined]
        with end_together(first=self.trainer.local_rank == 0), stop.listening():
            try:
                code = self._fit(system, data, checkpoint, stop)
            except TrainingDiverged:
                if self.trainer.is_global_zero:
                    raise
                code = 1
            except RuntimeError as error:
                if self.trainer.world_size == 1 or not LOST.search(str(error)):
                    raise
                raise ProcessLost(
                    f"another process of this training ended, so this one can't go on after step "
                    f"{self.trainer.global_step}. Continue from the last checkpoint: "
                    f"python launch.py train run={self.folder.reference}"
                ) from error
        # The first process says how it ended, and would be killed by its launcher for an exit code of another.
        return code if self.trainer.is_global_zero else 0

    def _fit(self, system: System, data: pl.LightningDataModule, checkpoint: Path | None, stop: StopOnSignal) -> int:
        status, reason, code = "failed", None, 1
        try:
            self._steps(system, data, checkpoint)
            if self.trainer.is_global_zero:
                self.weights = self._save_weights()
            finished = self.trainer.global_step >= self.options.trainer.max_steps
            status, reason, code = ("finished", None, 0) if finished else ("interrupted", "time limit", 0)
        except TrainingInterrupted as signal:
            status, reason, code = "interrupted", str(signal), 128 + signal.signal_number
        # Lightning turns Ctrl-C into SystemExit where there is no step to wait for, as while data are made.
        except (SystemExit, KeyboardInterrupt):
            status, reason, code = "interrupted", "interrupted", 128 + (stop.received or SIGINT)
        finally:
            error = sys.exception()
            if self.trainer.is_global_zero:
                self._write_down(status, f"{type(error).__name__}: {error}" if error else reason)
        if self.trainer.is_global_zero:
            self._report(status, reason)
        return code

    def _steps(self, system: System, data: pl.LightningDataModule, checkpoint: Path | None) -> None:
        """Fit; CheckpointError where Lightning stumbles over what stands in the checkpoint."""
        watch = _Begun()
        self.trainer.callbacks.append(watch)  # type: ignore[attr-defined]
        try:
            if checkpoint:  # said beforehand, so that the system knows in its `setup` that weights will come
                self.trainer.ckpt_path = checkpoint
            self.trainer.fit(system, datamodule=data, weights_only=True)
        except (TypeError, AttributeError, LookupError, RuntimeError) as error:
            if checkpoint is None or watch.begun:
                raise
            text = f"the training can't go on from {checkpoint} ({type(error).__name__}: {error}). {ANOTHER}"
            raise CheckpointError(text) from error

    def _save_weights(self) -> Path:
        """From the checkpoint, through a system of its own: that which was trained may be in shards."""
        chosen = self.options.system
        system: System = registry.load_class("system", chosen.type)(chosen.config)
        return save_run_weights(system, self.folder, self.options.trainer.weights, self.folder.weights)

    def _write_down(self, status: str, reason: str | None) -> None:
        step = self.trainer.global_step
        seconds = round(time.monotonic() - self.clock, 1)
        leg: dict[str, Any] = {"started": self.started, "seconds": seconds, "to_step": step, "status": status}
        # Threads are known only now: what starts several processes divides the cores among them.
        device = describe_device(self.trainer.strategy.root_device.type)
        facts: dict[str, Any] = {"step": step, "device": device, "processes": self.trainer.world_size}
        if self.changed:
            leg["changed"] = self.changed
        # There are none when a training was killed after its last step: then they are in the file.
        metrics = _metrics(self.trainer) or latest_metrics(self.folder.path / METRICS_FILE)
        facts |= {"metrics": metrics} if metrics else {}
        if self.weights:
            facts["weights"] = {str(self.weights): fingerprint(self.weights)}
        if status == "finished":
            facts["results"] = training_results(self.folder)
            facts["data"] = _data_fingerprint(self.trainer)
        end_leg(self.folder.manifest, status, leg, reason, **facts)

    def _report(self, status: str, reason: str | None) -> None:
        step, total = self.trainer.global_step, self.options.trainer.max_steps
        spent = duration(time.monotonic() - self.clock)
        lines = [f"{status} at step {step} of {total} after {spent}{f' ({reason})' if reason else ''}"]
        lines += ["  ".join(f"{name} {value:.4g}" for name, value in _metrics(self.trainer).items())]
        lines += [f"weights: {self.weights}"] if self.weights else []
        more = "" if status != "finished" else " trainer.max_steps=<more>"
        lines += [f"continue: python launch.py train run={self.folder.reference}{more}"]
        self.console.print("\n".join(filter(None, lines)), highlight=False, soft_wrap=True)


def _data_fingerprint(trainer: pl.Trainer) -> str | None:
    """A hash of the data, from a data module that can tell: it has a method `fingerprint`."""
    make = getattr(trainer.datamodule, "fingerprint", None)  # type: ignore[attr-defined]
    return make() if make else None


def _metrics(trainer: pl.Trainer) -> dict[str, Any]:
    """The latest logged values, as plain numbers."""
    return {name: float(value) for name, value in trainer.callback_metrics.items()}
