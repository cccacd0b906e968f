"""Random numbers that depend on the step alone.

Dropout, noise levels and posterior samples are drawn in `training_step`. Seeding torch anew for every batch makes a
continued run draw what an uninterrupted one would have drawn, whatever validation or pictures drew in between, and
lets two validations be compared: both see the same noise.
"""

import hashlib
from typing import Any

import pytorch_lightning as pl
import torch


def step_seed(*parts: int | str) -> int:
    """Return a 63-bit seed from any numbers and words; different parts give unrelated seeds."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class SeedEveryStep(pl.Callback):
    """Seeds torch before every batch from the run's seed, the process, and the number of batches before it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Counts batches over the whole training, so that accumulated batches differ too."""
        batches = trainer.fit_loop.total_batch_idx
        torch.manual_seed(step_seed(self.seed, "train", trainer.global_rank, batches))

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
