"""Outlines of random ellipsoids, as the framework's front view shows them: x to the right, y up, no perspective.

B items of a batch, S side of an outline.
"""

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from atelier3d_ellipsoids.config import OutlinesConfig
from framework.data.sampler import Key, StepBatchSampler, evaluation_batches

HALF_EXTENT = 1.2
"""Half side of what a picture shows, as in `framework.renderers.views.canonical_cameras`."""


def outline(shape: Tensor, size: int) -> Tensor:
    """Return the opacity (S, S) in [0, 1], row 0 at the top, of an ellipsoid: centre x, y and radii x, y, z (5,)."""
    steps = (torch.arange(size) + 0.5) / size * 2 - 1
    x, y = HALF_EXTENT * steps[None, :], -HALF_EXTENT * steps[:, None]
    distance = (((x - shape[0]) / shape[2]) ** 2 + ((y - shape[1]) / shape[3]) ** 2).sqrt()
    pixel = 2 * HALF_EXTENT / size
    return ((1 - distance) * shape[2:4].mean() / pixel + 0.5).clamp(0, 1)


class Outlines(Dataset[dict[str, Tensor]]):
    """Item (epoch, index): `outline` (S, S) and `shape` (5,), the same whoever asks for it and whenever."""

    def __init__(self, count: int, size: int, seed: int) -> None:
        self.count, self.size, self.seed = count, size, seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, key: Key) -> dict[str, Tensor]:
        random = np.random.default_rng((self.seed, *key))
        radii = random.uniform(0.2, 1.0, 2)
        depth = radii.mean() * random.uniform(0.7, 1.3)
        centre = random.uniform(-0.2, 0.2, 2)
        shape = torch.tensor([*centre, *radii, depth], dtype=torch.float32)
        return {"outline": outline(shape, self.size), "shape": shape}


class OutlinesData(pl.LightningDataModule):
    """Batches: `outline` (B, S, S) in [0, 1]; `shape` (B, 5): centre x, y and radii x, y, z."""

    def __init__(self, config: OutlinesConfig) -> None:
        super().__init__()
        self.config = config

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Endless batches in an order that follows from the step, so that a training can be continued."""
        dataset = Outlines(self.config.train, self.config.size, self.config.seed)
        sampler = StepBatchSampler.for_trainer(len(dataset), self.config.batch_size, self.config.seed, self.trainer)
        return DataLoader(dataset, batch_sampler=sampler)

    def val_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Ellipsoids that the training does not see."""
        return self._in_order(self.config.seed + 1)

    def test_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Others again."""
        return self._in_order(self.config.seed + 2)

    def _in_order(self, seed: int) -> DataLoader[dict[str, Tensor]]:
        dataset = Outlines(self.config.val, self.config.size, seed)
        return DataLoader(dataset, batch_sampler=evaluation_batches(len(dataset), self.config.batch_size, self.trainer))
