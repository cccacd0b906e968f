"""A system of two linear layers and data to fit: everything about training can be tried with them in a second."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from framework import registry
from framework.systems.config import OptimizerConfig
from framework.systems.system import System

NAME = "testing/tiny"


@dataclass(kw_only=True)
class TinyConfig:
    """Options of the tiny system."""

    width: int = 8
    """Channels of the hidden layer."""
    dropout: float = 0.1
    """Share of hidden values dropped: makes training depend on random numbers."""
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(learning_rate=1e-2))
    """Optimiser and learning-rate schedule."""


@dataclass(kw_only=True)
class TinyDataConfig:
    """Options of the tiny data."""

    items: int = 64
    """Items of the training set."""
    batch_size: int = 8
    """Items per batch and process."""
    fail_at: int = -1
    """Training batch that turns into NaN; -1: none."""


class TinySystem(System):
    """Regresses the sum of squares of four numbers."""

    Config = TinyConfig
    registry_name = NAME

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        self.layers = nn.Sequential(
            nn.Linear(4, config.width), nn.SiLU(), nn.Dropout(config.dropout), nn.Linear(config.width, 1)
        )

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Return the mean squared error."""
        loss = (self.layers(batch["x"]) - batch["y"]).square().mean()
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Log the mean squared error."""
        loss = (self.layers(batch["x"]) - batch["y"]).square().mean()
        self.log("val/loss", loss, sync_dist=True)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Log the mean squared error."""
        self.log("test/loss", (self.layers(batch["x"]) - batch["y"]).square().mean())

    def images(self, batch: dict[str, Tensor]) -> dict[str, NDArray[np.floating[Any]]]:
        """Return the predictions as grey columns."""
        values = self.layers(batch["x"]).float().cpu().numpy().clip(0, 1)
        return {"prediction": np.broadcast_to(values[None], (4, len(values), 3))}


class TinyData(pl.LightningDataModule):
    """Random numbers; the order of items is a function of the number of batches before."""

    def __init__(self, config: TinyDataConfig) -> None:
        super().__init__()
        self.config = config

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Endless, and starts where the training stands."""
        trainer = self.trainer
        first = trainer.global_step * trainer.accumulate_grad_batches if trainer else 0
        rank, world = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        sampler = _StepSampler(self.config, first, rank, world)
        return DataLoader(_Numbers(self.config.items), batch_sampler=sampler, collate_fn=self._collate)

    def val_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Sixteen other items."""
        return DataLoader(_Numbers(16, first=10_000), batch_size=8)

    test_dataloader = val_dataloader

    def _collate(self, items: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        batch = torch.utils.data.default_collate(items)
        if any(int(item["batch"]) == self.config.fail_at for item in items if "batch" in item):
            batch["x"] = batch["x"] * torch.nan
        return batch


class _Numbers(Dataset[dict[str, Tensor]]):
    def __init__(self, count: int, first: int = 0) -> None:
        self.count = count
        self.first = first

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Tensor]:
        index, batch = key if isinstance(key, tuple) else (key, -1)
        x = torch.randn(4, generator=torch.Generator().manual_seed(self.first + index))
        return {"x": x, "y": x.square().sum()[None], "batch": torch.tensor(batch)}


class _StepSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (index, batch number), drawn anew for every batch number."""

    def __init__(self, config: TinyDataConfig, first: int, rank: int, world: int) -> None:
        self.config = config
        self.first = first
        self.rank = rank
        self.world = world

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        number, size = self.first, self.config.batch_size
        while True:
            generator = torch.Generator().manual_seed(number)
            order = torch.randint(self.config.items, (self.world, size), generator=generator)
            yield [(index, number) for index in order[self.rank].tolist()]
            number += 1


def register_tiny() -> None:
    """Put the tiny system and data into this process's registry, as `testing/tiny`; twice does no harm."""
    for kind, target, config in (("system", "TinySystem", "TinyConfig"), ("data", "TinyData", "TinyDataConfig")):
        if NAME not in registry.names(kind):
            registry.register(kind, NAME, registry.Entry(f"{__name__}:{target}", f"{__name__}:{config}"))
