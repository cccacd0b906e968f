"""Checks of a system by one of its trials: it learns, is measured, goes on bit by bit, is saved, loaded, shown."""

import dataclasses
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from framework import registry
from framework.config.build import to_dict
from framework.systems.system import System
from framework.testing.contract.outcome import Check, Outcome, attempt, expect
from framework.testing.contract.sharing import check_sharing
from framework.trainers.checkpoint_content import read_checkpoint
from framework.trainers.run_folder import RunFolder
from framework.trainers.run_weights import save_run_weights
from framework.trainers.trainer import build_trainer
from framework.weights.runs import OUTPUTS

STEPS = 4
"""Optimiser steps of a trial."""
STOP = 2
"""Step after which the interrupted one goes on anew."""


class Watch(pl.Callback):
    """Notes losses and gradients, and ends the training at step `stop`."""

    def __init__(self, stop: int) -> None:
        self.stop = stop
        self.losses: list[Tensor] = []
        self.gradients: list[float] = []

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        """Note the largest gradient of all weights; nan counts as the largest."""
        given = [value.grad.abs().max() for value in pl_module.parameters() if value.grad is not None]
        self.gradients.append(float(torch.stack(given).max()) if given else 0.0)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the loss, and end the training when its time has come."""
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        self.losses += [loss.detach().clone()] if isinstance(loss, Tensor) else []
        trainer.should_stop = trainer.should_stop or trainer.global_step >= self.stop


class Training:
    """One `train` command at toy size. Its run is `outputs/<method>/<system>` below the working directory, so that
    later trials can name its weights by the system's name.
    """

    def __init__(self, options: Any) -> None:
        method, _, system = options.system.type.partition("/")
        self.name = options.system.type
        self.folder = RunFolder(_free_folder(OUTPUTS / method / system))
        toy = {"max_steps": STEPS, "max_time": None, "val_interval": STOP, "val_batches": 1, "checkpoint_interval": 1}
        here = {"precision": "32", "devices": 1, "num_nodes": 1, "strategy": "auto", "log_interval": 1}
        trainer = dataclasses.replace(options.trainer, **toy, **here, keep_interval=0, weights="last")
        self.options = dataclasses.replace(options, trainer=trainer, device="cpu")

    def fit(self, folder: RunFolder, stop: int = STEPS) -> tuple[System, Any, Watch, pl.Trainer]:
        """Train to step `stop`, from the folder's last checkpoint if it has one."""
        options = self.options
        pl.seed_everything(options.seed, verbose=False)
        system: System = registry.load_class("system", options.system.type)(options.system.config)
        data = registry.load_class("data", options.data.type)(options.data.config)
        trainer = build_trainer(options.trainer, options.logger, folder, options.seed, system=system, device="cpu")
        watch = Watch(stop)
        trainer.callbacks.insert(0, watch)  # type: ignore[attr-defined]
        checkpoint = folder.last_checkpoint if folder.last_checkpoint.is_file() else None
        trainer.fit(system, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        return system, data, watch, trainer

    @cached_property
    def whole(self) -> tuple[System, Any, Watch, pl.Trainer]:
        """The training without interruption."""
        self.folder.make(to_dict(self.options))
        return self.fit(self.folder)

    def learns(self) -> None:
        """Losses and gradients are numbers, and the weights move."""
        system, _, watch, trainer = self.whole
        expect(trainer.global_step >= STEPS, f"stopped at step {trainer.global_step} of {STEPS}")
        expect(watch.losses or not system.automatic_optimization, "training_step returned no loss")
        wrong = [loss for loss in watch.losses if loss.numel() != 1 or not loss.isfinite().all()]
        expect(not wrong, f"the loss is {wrong[:1]}, expected one finite number")
        expect(np.isfinite(watch.gradients).all(), "a gradient is not finite")
        expect(max(watch.gradients, default=0.0) > 0, "no weight gets a gradient from the loss")
        pl.seed_everything(self.options.seed, verbose=False)
        start = type(system)(self.options.system.config).state_dict()
        moved = [name for name, value in system.named_parameters() if not torch.equal(value, start[name])]
        expect(moved, f"no weight has moved after {STEPS} steps")

    def is_measured(self) -> None:
        """The validation logs what decides the best checkpoint."""
        system, _, _, trainer = self.whole
        logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
        expect(system.monitor in logged, f"monitor is '{system.monitor}', but validation logged {', '.join(logged)}")
        expect(np.isfinite(logged[system.monitor]), f"{system.monitor} is {logged[system.monitor]}")

    def goes_on(self) -> None:
        """A training that was interrupted ends with the same checkpoint, bit by bit."""
        _ = self.whole
        folder = RunFolder(self.folder.path.with_name(f"{self.folder.run_id}-continued"))
        folder.make(to_dict(self.options))
        self.fit(folder, STOP)
        self.fit(folder)
        whole, parts = (read_checkpoint(place.last_checkpoint) for place in (self.folder, folder))
        keys = [key for key in ("state_dict", "optimizer_states", "lr_schedulers", "ema") if key in whole]
        different = [place for key in keys for place in differences(whole[key], parts.get(key), key)]
        expect(not different, f"after an interruption at step {STOP} it differs in {', '.join(different[:3])}")

    def comes_back(self) -> None:
        """Saved and loaded weights are the same bits under the same options."""
        system, *_ = self.whole
        save_run_weights(system, self.folder, "last", self.folder.weights)
        loaded = System.load(self.folder.weights)
        expect(type(loaded) is type(system), f"what is loaded is a {type(loaded).__name__}")
        expect(loaded.config == system.config, "the options differ after saving and loading")
        different = list(differences(system.own_state(), loaded.own_state(), "weights"))
        expect(not different, f"{', '.join(different[:3])} differ after saving and loading")

    def shows_pictures(self) -> None:
        """What `images` returns can be written as pictures."""
        system, data, *_ = self.whole
        with torch.no_grad():
            pictures = system.eval().images(next(iter(data.val_dataloader())))
        for name, picture in pictures.items():
            shaped = isinstance(picture, np.ndarray) and picture.ndim == 3 and picture.shape[2] in (3, 4)
            expect(shaped, f"'{name}' is no array (H, W, 3) or (H, W, 4)")
            low, high = float(np.min(picture)), float(np.max(picture))
            expect(low >= 0 and high <= 1, f"'{name}' has values from {low:.3g} to {high:.3g}, expected [0, 1]")

    def shares_items(self) -> None:
        """Two processes train on different items, and validate each one once."""
        _, data, *_ = self.whole
        check_sharing(data)


def check_training(options: Any, package: str) -> list[Outcome]:
    """Run the trial of `options` (those of the verb `train`) and check the system by it."""
    training = Training(options)
    checks: list[Check] = [
        ("trains: finite loss, gradients, weights move", training.learns),
        ("validation logs what it monitors", training.is_measured),
        ("saved and loaded it is the same, bit by bit", training.comes_back),
        ("a continued training equals a whole one", training.goes_on),
        ("pictures lie in [0, 1]", training.shows_pictures),
        ("several processes share the items", training.shares_items),
    ]
    return attempt(f"system {training.name}", checks, package, in_turn=True)


def _free_folder(folder: Path) -> Path:
    """The folder, or with a number behind it where another trial of the same system has taken it."""
    names = [folder.name, *(f"{folder.name}_{number}" for number in range(2, 100))]
    return next(place for name in names if not (place := folder.with_name(name)).exists())


def differences(one: Any, other: Any, path: str) -> Iterator[str]:
    """Yield the paths at which two nests of mappings, lists, tensors and plain values differ."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in [*one, *(key for key in other if key not in one)]:
            if key in one and key in other:
                yield from differences(one[key], other[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        for index, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{path}.{index}")
    elif isinstance(one, Tensor) and isinstance(other, Tensor):
        if not torch.equal(one, other):
            yield path
    elif one != other:
        yield path
