"""Random numbers that depend on the step alone.

What is drawn in `training_step` comes from `System.draws`, item by item, or, as dropout inside a network, from torch's
own generator. Telling the system where it stands, and seeding torch anew for every batch, makes a continued run draw
what an uninterrupted one would have drawn, whatever validation or pictures drew in between, and lets two validations
be compared: both see the same noise.
"""

from typing import Any

import pytorch_lightning as pl
import torch

from framework.systems.draws import step_seed
from framework.systems.system import System


class SeedEveryStep(pl.Callback):
    """Before every batch, places the system's draws in the training, and seeds torch from the run's seed, the process
    and the number of batches before it.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Counts batches over the whole training, so that accumulated batches differ too."""
        batches = trainer.fit_loop.total_batch_idx
        torch.manual_seed(step_seed(self.seed, "train", trainer.global_rank, batches))
        if isinstance(pl_module, System):
            number = batches * trainer.world_size + trainer.global_rank
            pl_module.begin_batch(self.seed, number, batches // trainer.accumulate_grad_batches)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """The same for every validation."""
        torch.manual_seed(step_seed(self.seed, "validation", trainer.global_rank, batch_idx))

    def on_test_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """The same for every test."""
        torch.manual_seed(step_seed(self.seed, "test", trainer.global_rank, batch_idx))
