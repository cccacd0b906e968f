"""A system of two linear layers and data to fit: everything about training can be tried with them in a second."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from framework import registry
from framework.data.sampler import StepBatchSampler
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
    nan_at: int = -1
    """Index of a training item that is not a number; -1: none."""


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
        self.log("train/loss", loss, batch_size=len(batch["x"]))
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Log the mean squared error."""
        loss = (self.layers(batch["x"]) - batch["y"]).square().mean()
        self.log("val/loss", loss, batch_size=len(batch["x"]))

    def images(self, batch: dict[str, Tensor]) -> dict[str, NDArray[np.floating[Any]]]:
        """Return the predictions as grey columns."""
        values = self.layers(batch["x"]).float().cpu().numpy().clip(0, 1)
        return {"prediction": np.broadcast_to(values[None], (4, len(values), 3))}


class TinyData(pl.LightningDataModule):
    """Random numbers, in an order that follows from the step."""

    def __init__(self, config: TinyDataConfig) -> None:
        super().__init__()
        self.config = config

    def fingerprint(self) -> str:
        """Hash of the training items."""
        items = _Numbers(self.config.items, nan_at=self.config.nan_at)
        return hashlib.sha256(str([items[index]["x"].tolist() for index in range(len(items))]).encode()).hexdigest()

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Endless batches that begin where the training stands."""
        sampler = StepBatchSampler.for_trainer(self.config.items, self.config.batch_size, 0, self.trainer)
        return DataLoader(_Numbers(self.config.items, nan_at=self.config.nan_at), batch_sampler=sampler)

    def val_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Sixteen other items."""
        return DataLoader(_Numbers(16, first=10_000), batch_size=8)

    def test_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Sixteen more."""
        return DataLoader(_Numbers(16, first=20_000), batch_size=8)


class _Numbers(Dataset[dict[str, Any]]):
    """Four numbers, the sum of their squares, a name; keys are indices, or (epoch, index) in training."""

    def __init__(self, count: int, first: int = 0, nan_at: int = -1) -> None:
        self.count = count
        self.first = first
        self.nan_at = nan_at

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        index = key[1] if isinstance(key, tuple) else key
        x = torch.randn(4, generator=torch.Generator().manual_seed(self.first + index))
        x = x * torch.nan if index == self.nan_at else x
        return {"x": x, "y": x.square().sum()[None], "id": f"item-{self.first + index}"}


def register_tiny() -> None:
    """Put the tiny system and data into this process's registry, as `testing/tiny`; twice does no harm."""
    for kind, target, config in (("system", "TinySystem", "TinyConfig"), ("data", "TinyData", "TinyDataConfig")):
        if NAME not in registry.names(kind):
            registry.register(kind, NAME, registry.Entry(f"{__name__}:{target}", f"{__name__}:{config}"))
