"""What every trainable thing is: a LightningModule that is built from one config dataclass.

A concrete system implements `training_step`, `validation_step` and, if it has pictures to show, `images`. It never
touches files: saving and loading live here, checkpoints and picture files in `framework.trainers`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.strategies import ModelParallelStrategy
from torch import Tensor

from framework import registry
from framework.config.build import from_dict, to_dict
from framework.systems.draws import Draws
from framework.systems.optimizers import build_optimizer, build_schedule
from framework.systems.outline import check_outline
from framework.systems.sharding import shard
from framework.systems.step_means import StepMeans
from framework.weights.folder import WeightsError, check_tensors, save_weights
from framework.weights.opening import open_weights
from framework.weights.resolve import resolve


class System(pl.LightningModule):
    """Base of all systems. Concrete systems derive from it directly; nothing derives from them."""

    Config: ClassVar[type[Any]]
    """Dataclass of the options; has a field `optimizer: OptimizerConfig` unless `configure_optimizers` is replaced."""

    registry_name: ClassVar[str]
    """Name in the registry, `<method>/<system>`; written into saved weights."""

    monitor: ClassVar[str] = "val/loss"
    """Logged validation metric that decides which checkpoint is the best."""

    mode: ClassVar[Literal["min", "max"]] = "min"
    """Whether a lower or a higher `monitor` is better."""

    frozen_parts: ClassVar[tuple[str, ...]] = ()
    """Names of submodules that come with weights of their own: they are left out of saved weights."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config: Any = config
        self._batch_place: tuple[int, int, int] | None = None
        self._step_means = StepMeans()
        if not isinstance(config, self.Config):
            raise TypeError(f"{type(self).__name__} takes a {self.Config.__name__}, got {type(config).__name__}")

    def configure_model(self) -> None:
        """Split the weights over the processes where the trainer's strategy asks for it (FSDP2)."""
        if isinstance(self.trainer.strategy, ModelParallelStrategy) and self.device_mesh is not None:
            shard(self, self.device_mesh["data_parallel"])

    def configure_optimizers(self) -> Any:
        """Return the optimiser and schedule of `config.optimizer` over all trainable parameters."""
        options = self.config.optimizer
        optimizer = build_optimizer(self.parameters(), options)
        schedule = build_schedule(optimizer, options.schedule, self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def begin_batch(self, seed: int, number: int, step: int) -> None:
        """Say where in the training the next batch stands: the trainer does before each `training_step`.

        `number` counts the batches of all processes, `step` the optimiser steps.
        """
        self._batch_place = (seed, number, step)

    def draws(self, count: int) -> Draws:
        """Return the random numbers of a `training_step` for its `count` items.

        They follow from the run's seed and each item's place in the training, so that neither the number of processes
        nor accumulation changes them; a second call begins with the same numbers. Outside of a training they follow
        from torch's generator. What a validation draws should follow from its items: `Draws(0, batch["index"])`.
        """
        if self._batch_place is None:
            seed, number, step = int(torch.randint(2**62, ())), 0, 0
        else:
            seed, number, step = self._batch_place
        items = range(number * count, (number + 1) * count)
        return Draws(seed, items, step=step, device=self.device)

    def log(self, name: str, value: Any, *, batch_size: int | None = None, **options: Any) -> None:  # type: ignore[override]
        """Log a metric as Lightning does, but always its mean over all processes and accumulated batches.

        In validation give the number of items as `batch_size`: processes may hold different numbers of them.
        """
        if self._trainer is None or not self.trainer.training:
            # Lightning averages these counts as integers, which is exact for multiples of the number of processes.
            scaled = batch_size and batch_size * (self.trainer.world_size if self._trainer else 1)
            super().log(name, value, batch_size=scaled, **options | {"sync_dist": True})
        else:
            value = self._step_means.add(name, value, self.trainer) if isinstance(value, Tensor) else value
            super().log(name, value, batch_size=batch_size, **options)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Log the learning rate of the first optimiser."""
        self.log("train/learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"])

    def test_step(self, batch: Any, batch_idx: int) -> Any:
        """Measure a test batch as a validation batch, unless the system has a test of its own."""
        return self.validation_step(batch, batch_idx)

    def images(self, batch: Any) -> dict[str, NDArray[np.floating[Any]]]:
        """Return named pictures of a validation batch: (H, W, 3|4) arrays in [0, 1]. By default none.

        Called in eval mode without gradients, once per validation, with its first batch. All processes call it, as
        each may hold a share of the weights; the first one's pictures are kept.
        """
        return {}

    def own_state(self) -> dict[str, Tensor]:
        """Return the state without `frozen_parts`."""
        prefixes = tuple(f"{part}." for part in self.frozen_parts)
        return {name: value for name, value in self.state_dict().items() if not name.startswith(prefixes or ("\0",))}

    def save(
        self,
        folder: str | Path,
        *,
        half: bool = False,
        tensors: Mapping[str, Tensor] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write a weights folder (JSON, safetensors, model card) and return it.

        `half` stores floating-point tensors in 16 bits. `tensors` replaces the module's own values, e.g. by averaged
        ones. `facts` (plain data such as run, step, metrics) go into the JSON and the model card.
        """
        state = {name: (tensors or {}).get(name, value) for name, value in self.own_state().items()}
        return save_weights(
            Path(folder), self.registry_name, to_dict(self.config), state, half=half, facts=dict(facts or {})
        )

    @classmethod
    def load(cls, source: str | Path, device: str | torch.device = "cpu") -> Self:
        """Build a system from saved weights, in eval mode on `device`.

        `source` is a run id, a folder, a hub id or an official checkpoint. Called on `System` itself, the class comes
        from the registry; called on a concrete system, weights of another one raise WeightsError.
        """
        folder = resolve(source)
        saved = open_weights(folder, None if cls is System else cls.registry_name)
        system_class = cls._class_of(saved.name, folder)
        config: Any = from_dict(system_class.Config, saved.config, f"{folder / 'config.json'}: config")
        if not system_class.frozen_parts:  # those bring weights that are not in the folder
            check_outline(lambda: system_class(config), saved.tensors, str(folder))
        system = system_class(config)
        system.load_own_state(saved.tensors, where=str(folder))
        return system.eval().to(device)

    def load_own_state(self, tensors: Mapping[str, Tensor], where: str) -> None:
        """Take `tensors` as the state (without `frozen_parts`); all keys and shapes must agree, else WeightsError."""
        check_tensors({name: tuple(value.shape) for name, value in self.own_state().items()}, tensors, where)
        self.load_state_dict(dict(tensors), strict=False)

    @classmethod
    def _class_of(cls, name: str, folder: Path) -> type[Self]:
        if cls is System:
            return cast("type[Self]", registry.load_class("system", name))
        if name != cls.registry_name:
            raise WeightsError(
                f"{folder} holds weights of '{name}', expected '{cls.registry_name}'. "
                f"Give a folder that was exported from a run of '{cls.registry_name}'"
            )
        return cls
