"""Ending a training early without losing anything: a time limit, or a signal.

Both decide between two optimiser steps and together on all processes.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytorch_lightning as pl

FIRST_PROCESS = "ATELIER_FIRST_PROCESS"
"""Environment variable by which the processes of a training know the one that started them."""


class TrainingInterrupted(RuntimeError):
    """A signal ended the training after its last checkpoint was written."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number


class ProcessLost(ConnectionError):
    """Another process of the same training is gone."""


@contextmanager
def end_together(first: bool) -> Iterator[None]:
    """Let the processes that a training starts meanwhile end when the `first` one of their machine does.

    Else they would wait half an hour for it to come back. An outside launcher looks after its processes itself.
    """
    if first:
        os.environ[FIRST_PROCESS] = str(os.getpid())
    elif FIRST_PROCESS in os.environ:
        parent = int(os.environ[FIRST_PROCESS])  # it may be gone already
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        yield
    finally:
        if first:  # what is started later has another first process, or a launcher
            os.environ.pop(FIRST_PROCESS, None)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


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

    It hears them inside of `listening`. Where there is no step to wait for, as while data are made, both raise
    KeyboardInterrupt. More SIGTERM change nothing: a service manager and the program that it stops may both send one
    to each process.
    """

    def __init__(self, save: Callable[[pl.Trainer], None]) -> None:
        self.received = 0
        self._save = save
        self._stepping = False
        self._last_step = -1

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear both signals inside the block; outside of the main thread, where Python takes no handler, none."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {number: signal.signal(number, self._hear) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """From here on a signal waits for the end of the step."""
        self._stepping = True

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Between two optimiser steps: save and leave if any process was asked to."""
        if trainer.global_step == self._last_step:
            return
        self._last_step = trainer.global_step
        if trainer.strategy.reduce_boolean_decision(self.received != 0, all=False):
            self._save(trainer)
            raise TrainingInterrupted(self.received or signal.SIGTERM)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """No step follows."""
        self._stepping = False

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """No step follows."""
        self._stepping = False

    def _hear(self, number: int, frame: FrameType | None) -> None:
        again, self.received = self.received, self.received or number
        insists = again and number == signal.SIGINT
        if insists or not (again or self._stepping):
            raise KeyboardInterrupt
