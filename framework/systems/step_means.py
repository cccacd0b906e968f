"""Training metrics of a whole optimiser step: over the batches that it accumulates and the processes that share it."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch import Tensor


class StepMeans:
    """Running means of the metrics that `training_step` logs, each begun anew with an optimiser step."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[int, int, Any]] = {}

    def add(self, name: str, value: Tensor, trainer: pl.Trainer) -> Tensor:
        """Return the mean of a metric over the batches of this step so far.

        It is the mean over processes too where loggers will write it: processes that wait at every step are slow.
        """
        step, place = divmod(trainer.fit_loop.total_batch_idx, trainer.accumulate_grad_batches)
        before, count, total = self._sums.get(name, (step, 0, 0.0))
        if before != step:
            count, total = 0, 0.0
        self._sums[name] = step, count + 1, total + value.detach()
        mean = self._sums[name][2] / (count + 1)
        written = place + 1 == trainer.accumulate_grad_batches and (step + 1) % trainer.log_every_n_steps == 0  # type: ignore[attr-defined]
        return trainer.strategy.reduce(mean, reduce_op="mean") if written and trainer.world_size > 1 else mean
