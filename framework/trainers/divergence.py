"""Ending a training whose numbers are no numbers any more, before they reach the weights or a checkpoint.

The loss and the gradients are looked at before the optimiser takes its step: on the CPU at every step, elsewhere, where
reading them makes the device wait, at every `interval`-th. What slips through between two looks can't be saved: no
checkpoint is written of weights or optimiser states that are not finite. So the checkpoints on disk are always good.
"""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from framework.trainers.checkpoint_content import read_step, tensors_in
from framework.trainers.checkpoints import LAST
from framework.trainers.run_folder import RunFolder

SHOWN = 8
"""Items of a batch and names of values that are listed."""


class TrainingDiverged(ValueError):
    """A loss, a gradient or a weight is infinite or not a number."""


class StopOnDivergence(pl.Callback):
    """Raises TrainingDiverged, on all processes together, with where it came from and what to continue from.

    On a CPU it looks at every step, else at every `interval`-th. With `patient` set it takes three looks in a row that
    find something: a loss scaler skips single steps on purpose.
    """

    def __init__(self, run_folder: RunFolder, interval: int, patient: bool = False) -> None:
        self.run_folder = run_folder
        self.interval = interval
        self._allowed = 2 if patient else 0
        self._in_a_row = 0
        self.due = False
        self._items: list[str] = []
        self._causes: list[str] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note whether this step is looked at, and what its batch holds."""
        step = trainer.fit_loop.total_batch_idx // trainer.accumulate_grad_batches + 1
        self.due = trainer.strategy.root_device.type == "cpu" or step % self.interval == 0
        self._items = _item_names(batch)

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Look at the loss of a batch."""
        if self.due and not bool(loss.isfinite().all()):
            self._causes.append(describe_loss(trainer, loss, self._items))

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Look at the gradients, and decide together with the other processes."""
        if not self.due:
            return
        gradients = {name: value.grad for name, value in pl_module.named_parameters() if value.grad is not None}
        broken = first_not_finite(gradients)
        if broken:
            self._causes.append(f"the first gradient that is not finite is that of {broken}")
        causes, self._causes = self._causes, []
        found = trainer.strategy.reduce_boolean_decision(bool(causes), all=False)
        self._in_a_row = self._in_a_row + 1 if found else 0
        if self._in_a_row > self._allowed:
            raise TrainingDiverged(self._text(trainer, _of_all_processes(trainer, causes), "this step was not taken"))

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Refuse to save what is broken."""
        weights = {name: value for name, value in pl_module.named_parameters() if value.requires_grad}
        states = {f"optimiser.{name}": value for name, value in tensors_in(checkpoint.get("optimizer_states", []))}
        broken = first_not_finite(weights) or first_not_finite(states)
        # Together: a process that went on alone would wait for the others forever.
        if trainer.strategy.reduce_boolean_decision(broken is not None, all=False):
            causes = _of_all_processes(trainer, [f"{broken} is not finite"] if broken else [])
            raise TrainingDiverged(self._text(trainer, causes, "this checkpoint was not written"))

    def _text(self, trainer: pl.Trainer, causes: list[str], consequence: str) -> str:
        step = read_step(self.run_folder.checkpoints / LAST)
        advice = "system.optimizer.learning_rate=<lower>, or trainer.gradient_clip=1, or trainer.precision=32"
        if step is None:
            way_out = f"No checkpoint was written before; start again with {advice}"
        else:
            way_out = (
                f"The last good checkpoint is {self.run_folder.last_checkpoint} of step {step}; continue from it: "
                f"python launch.py train run={self.run_folder.reference} with {advice}"
            )
        where = f"after step {trainer.global_step}"
        return f"the training diverged {where}: {'; '.join(causes)}. {consequence.capitalize()}. {way_out}"


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor with a value that is infinite or not a number; None when there is none.

    Of tensors that are spread over processes it looks at this process's shards.
    """
    here = {name: _here(value.detach()) for name, value in tensors.items()}
    alike: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
    for value in here.values():
        if value.is_floating_point() and value.numel():
            alike.setdefault((value.device, value.dtype), []).append(value)
    # The largest absolute values of many tensors in one go, and one look at each device.
    if all(bool(torch.stack(torch._foreach_norm(values, torch.inf)).isfinite().all()) for values in alike.values()):
        return None
    broken = (name for name, value in here.items() if not bool(value.isfinite().all()))
    return next(broken, None)


def _here(value: Tensor) -> Tensor:
    return value.to_local() if isinstance(value, DTensor) else value


def describe_loss(trainer: pl.Trainer, loss: Tensor, items: list[str]) -> str:
    """Return the loss, the logged values that are not finite either, and the items, in words."""
    terms = {name: float(value) for name, value in trainer.callback_metrics.items() if not value.isfinite().all()}
    logged = ", ".join(f"{name} {value}" for name, value in list(terms.items())[:SHOWN])
    text = f"the loss is {float(loss.detach().mean())}"
    text += f" (logged: {logged})" if logged else ""
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return text + (f" on the batch of {', '.join(items[:SHOWN])}{more}" if items else "")


def _item_names(batch: Any) -> list[str]:
    """What a batch says about its items: the names under `id`, if it has any."""
    names = batch.get("id") if isinstance(batch, Mapping) else None
    return [str(name) for name in names] if isinstance(names, (list, tuple)) else []


def _of_all_processes(trainer: pl.Trainer, causes: list[str]) -> list[str]:
    """The causes that any process found; who it was, where only some of them did."""
    if trainer.world_size == 1:
        return causes
    found: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(found, causes)
    merged: dict[str, list[int]] = {}
    for rank, texts in enumerate(found):
        for text in texts:
            merged.setdefault(text, []).append(rank)
    everywhere = trainer.world_size
    return [
        text if len(ranks) == everywhere else f"on process {', '.join(map(str, ranks))} {text}"
        for text, ranks in merged.items()
    ]
