"""A running average of the weights in float32, used wherever the system is judged or saved.

theta_ema <- d * theta_ema + (1 - d) * theta after every optimiser step (Polyak and Juditsky 1992). Float32 shadows
matter: with d = 0.9999 an update is smaller than half-precision weights can express.
"""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor

CHECKPOINT_KEY = "ema"


class EMA(pl.Callback):
    """Keeps the average, swaps it in for validation, and stores it in checkpoints under the key `ema`.

    decay: share of the average that stays in a step, between 0 and 1 (else ValueError); warmup: smaller at first.
    """

    def __init__(self, decay: float, warmup: bool = True) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"trainer.ema_decay is {decay}, expected a number between 0 and 1 (0 switches it off)")
        self.decay = decay
        self.warmup = warmup
        self.updates = 0
        self.shadow: dict[str, Tensor] = {}
        self._live: dict[str, Tensor] = {}
        self._last_step = 0
        self._started = False

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start from the weights, or move the average that a checkpoint brought to their device."""
        self._started = True
        weights = _trainable(pl_module)
        if self.updates == 0:
            self.shadow = {name: weight.detach().float().clone() for name, weight in weights.items()}
        else:
            self.shadow = {name: _like(weight, self.shadow[name]) for name, weight in weights.items()}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count from the step that the training continues at."""
        self._last_step = trainer.global_step

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take one step of the average when the optimiser took one."""
        if trainer.global_step == self._last_step:
            return
        self._last_step = trainer.global_step
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates)) if self.warmup else self.decay
        weights = _trainable(pl_module)
        shadows = [self.shadow[name] for name in weights]
        torch._foreach_lerp_(shadows, [weight.detach().float() for weight in weights.values()], 1 - decay)
        self.updates += 1

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validate the average instead of the live weights."""
        if self.shadow and not self._live:
            weights = _trainable(pl_module)
            self._live = {name: weight.detach().clone() for name, weight in weights.items()}
            _assign(weights, self.shadow)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the live weights back."""
        self._restore(pl_module)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Put the live weights back when a validation broke off."""
        self._restore(pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Store the average beside the live weights, also when the two are swapped at this moment; both whole."""
        checkpoint[CHECKPOINT_KEY] = {"updates": self.updates, "shadow": _whole(self.shadow)}
        checkpoint["state_dict"].update(_whole(self._live))

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take the average from the checkpoint; without one there, the average starts at the loaded weights."""
        stored = checkpoint.get(CHECKPOINT_KEY)
        if stored:
            self.updates = int(stored["updates"])
            self.shadow = {name: value.float() for name, value in stored["shadow"].items()}
            if self._started:  # Lightning restores sharded weights after `on_fit_start`, others before.
                self.on_fit_start(trainer, pl_module)

    def _restore(self, pl_module: pl.LightningModule) -> None:
        if self._live:
            if isinstance(pl_module, FSDPModule):
                pl_module.reshard()  # older versions of torch leave weights whole after a validation
            _assign(_trainable(pl_module), self._live)
            self._live = {}


def _trainable(module: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def _like(weight: Tensor, value: Tensor) -> Tensor:
    """The whole `value` where `weight` is: on its device, in its shards."""
    value = value.to(weight.device)
    if not isinstance(weight, DTensor):
        return value
    return distribute_tensor(value, weight.device_mesh, weight.placements)


def _whole(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors put together from their shards, on the process that writes; all of them must call it."""
    whole = {}
    for name, value in values.items():
        if not isinstance(value, DTensor):
            whole[name] = value
            continue
        gathered = value.full_tensor()
        if torch.distributed.get_rank() == 0:
            whole[name] = gathered.cpu()
    return whole


@torch.no_grad()
def _assign(weights: dict[str, torch.nn.Parameter], values: dict[str, Tensor]) -> None:
    for name, weight in weights.items():
        weight.copy_(values[name])
