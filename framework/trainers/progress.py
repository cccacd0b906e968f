"""What a training says while it runs: a live bar in a terminal, plain lines in a log file.

Lightning's own bar counts epochs, which step-based trainings don't have.
"""

import time
from typing import Any

import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from framework.trainers.stopping import TimeLimit

QUIET_SECONDS = 2.0
"""Shortest time between two lines of a log file: tiny systems take hundreds of steps in a second."""


class ShowProgress(pl.Callback):
    """Step, loss, speed and the time left, every `interval` steps or more rarely; metrics after each validation."""

    def __init__(self, console: Console, interval: int) -> None:
        self.console = console
        self.interval = interval
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._shown_step = 0
        self._clock = 0.0
        self._validating = 0.0
        self._speed = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar, or say where the training starts."""
        if not trainer.is_global_zero:
            return
        self._shown_step, self._clock = trainer.global_step, time.monotonic()
        if self.console.is_terminal:
            self._bar = Progress(BarColumn(), TextColumn("{task.description}"), console=self.console, transient=True)
            self._task = self._bar.add_task("starting", total=_total(trainer), completed=trainer.global_step)
            self._bar.start()
        else:
            self.console.print(f"training from step {trainer.global_step}", highlight=False)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show the step. The loss is read only when it is shown: reading it makes a GPU wait."""
        step = trainer.global_step
        if not trainer.is_global_zero or step == self._shown_step:
            return
        if step // self.interval == self._shown_step // self.interval and step != trainer.max_steps:
            return
        now = time.monotonic()
        if self._bar is None and now - self._clock < QUIET_SECONDS and step != trainer.max_steps:
            return
        speed = (step - self._shown_step) / max(now - self._clock, 1e-6)
        # A running mean keeps the estimate calm; the first value starts it.
        self._speed = 0.7 * self._speed + 0.3 * speed if self._speed else speed
        self._shown_step, self._clock = step, now
        self._show(f"step {step}/{_total(trainer) or '-'}  {_loss(outputs, trainer)}{self._pace(trainer, step)}", step)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the time, so that validation doesn't count as slow steps."""
        self._validating = time.monotonic()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the validation metrics on a line that stays."""
        seconds = time.monotonic() - self._validating
        self._clock += seconds
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        metrics = {k: float(v) for k, v in trainer.callback_metrics.items() if not k.startswith("train/")}
        text = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        self.console.print(f"step {trainer.global_step}  {text}  ({seconds:.0f} s)", highlight=False)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Close the bar, also after an error."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _show(self, text: str, step: int) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=step, description=text)
        else:
            self.console.print(text, highlight=False, soft_wrap=True)

    def _pace(self, trainer: pl.Trainer, step: int) -> str:
        pace = f"{self._speed:.2f} it/s" if self._speed >= 1 else f"{1 / max(self._speed, 1e-9):.2f} s/it"
        total = _total(trainer)
        left = [(total - step) / self._speed] if total else []
        left += [limit.remaining for limit in trainer.callbacks if isinstance(limit, TimeLimit)]  # type: ignore[attr-defined]
        return f"{pace}  ETA {duration(min(left))}" if left else pace


def duration(seconds: float) -> str:
    """Return e.g. `1 h 05 min`, `9 min 47 s`, `12 s`."""
    whole = max(0, round(seconds))
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


def _total(trainer: pl.Trainer) -> int | None:
    return trainer.max_steps if trainer.max_steps > 0 else None


def _loss(outputs: Any, trainer: pl.Trainer) -> str:
    loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        return ""
    # Lightning has divided it by the number of batches whose gradients make a step.
    return f"loss {float(loss.detach()) * trainer.accumulate_grad_batches:.4g}  "
