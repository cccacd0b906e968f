"""Ending a training early without losing anything: a time limit, a signal, or a loss that is no number.

All of them decide between two optimiser steps and together on all processes.
"""

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch


class TrainingInterrupted(RuntimeError):
    """A signal ended the training after its last checkpoint was written."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number


class TrainingDiverged(ValueError):
    """The loss is infinite or not a number."""


class TimeLimit(pl.Callback):
    """Stops a training `seconds` after this object was made; a continued run gets the same time again."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.started = time.monotonic()
        self.reached = False
        self._last_step = -1

    @property
    def remaining(self) -> float:
        """Seconds left."""
        return self.seconds - (time.monotonic() - self.started)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ask the trainer to stop when the time is up on any process."""
        if trainer.global_step == self._last_step:
            return
        self._last_step = trainer.global_step
        if trainer.strategy.reduce_boolean_decision(self.remaining <= 0, all=False):
            self.reached = True
            trainer.should_stop = True


class StopOnSignal(pl.Callback):
    """Turns SIGINT and SIGTERM into one last checkpoint and `TrainingInterrupted`; a second Ctrl-C ends at once.

    More SIGTERM change nothing: a service manager and the program that it stops may both send one to each process.
    """

    def __init__(self, save: Callable[[pl.Trainer], None]) -> None:
        self._save = save
        self._received = 0
        self._previous: dict[int, Any] = {}
        self._last_step = -1

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals over; Lightning's own SIGTERM handler would end the run without a checkpoint."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._remember)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Between two optimiser steps: save and leave if any process was asked to."""
        if trainer.global_step == self._last_step:
            return
        self._last_step = trainer.global_step
        if trainer.strategy.reduce_boolean_decision(self._received != 0, all=False):
            self._save(trainer)
            raise TrainingInterrupted(self._received or signal.SIGTERM)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Give the signals back."""
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self._received and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = self._received or number


class StopOnDivergence(pl.Callback):
    """Raises TrainingDiverged when a loss is not finite, looked at every `interval` batches.

    With `patient` set it takes three such looks in a row: a loss scaler skips single steps on purpose.
    """

    def __init__(self, interval: int, patient: bool = False) -> None:
        self.interval = interval
        self._allowed = 2 if patient else 0
        self._in_a_row = 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the loss now and then: reading it makes a GPU wait."""
        if batch_idx % self.interval:
            return
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if not isinstance(loss, torch.Tensor) or bool(torch.isfinite(loss).all()):
            self._in_a_row = 0
            return
        self._in_a_row += 1
        if self._in_a_row > self._allowed:
            raise TrainingDiverged(
                f"the loss is {float(loss.detach().mean())} after step {trainer.global_step}. Lower "
                "system.optimizer.learning_rate, set trainer.gradient_clip=1, or use trainer.precision=32; "
                "checkpoints written before are intact"
            )
