"""The data module of stored shapes: `ShapeSamples` in batches, in an order that follows from the step."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from framework.data.config import ShapesConfig
from framework.data.lmdb_store import encode
from framework.data.loader import ordered_loader, training_loader
from framework.data.preparation import Outcome, PrepareJob
from framework.data.shape_files import SPLITS, ShapeFileError
from framework.data.shape_samples import ItemOptions, ShapeSamples
from framework.data.shape_store import MemoryStore, ShapeStore, open_store

SAMPLED = 16
"""Objects of each split that a fingerprint reads."""


class ShapesData(pl.LightningDataModule):
    """Batches as `ShapeBatch`. Training goes on forever, in the order of `StepBatchSampler`, from the trainer's step
    on; validation and test go through their split once, with the same points every time, unmirrored and level.
    """

    def __init__(self, config: ShapesConfig) -> None:
        super().__init__()
        self.config = config

    def prepare(self, job: PrepareJob) -> list[Outcome]:
        """Make a set from meshes, or pack one; see `framework.data.prepare_shapes`."""
        from framework.data.prepare_shapes import prepare_shapes  # training needs none of it

        return prepare_shapes(self.config, job)

    def setup(self, stage: str) -> None:
        """Fail early: a missing folder or list is named before the first step."""
        if not self.config.root:
            raise ShapeFileError(Path("data.root"), "is not given", "Give it: data.root=<folder that prepare wrote>")
        if stage == "fit" and not len(self.dataset("train")):
            raise ShapeFileError(Path(self.config.root) / "train.json", "lists no object")

    def dataset(self, split: str) -> ShapeSamples:
        """The items of "train", "val" or "test"."""
        store: ShapeStore = open_store(self.config, split)
        if self.config.cache == "memory":
            store = MemoryStore(store)
        return ShapeSamples(store, item_options(self.config, split))

    def fingerprint(self) -> str:
        """Return a hash of the set: of all names, and of `SAMPLED` objects of each split, spread over its list."""
        total = hashlib.sha256()
        for split in SPLITS:
            if not (Path(self.config.root) / f"{split}.json").is_file():
                continue
            store = open_store(self.config, split)
            total.update(f"{split}: {', '.join(store.ids)}\n".encode())
            for row in sorted({index * len(store.ids) // SAMPLED for index in range(SAMPLED)} if store.ids else ()):
                try:
                    total.update(encode(store.shape(row)))
                except ShapeFileError as error:  # a training can do without an object that it does not read
                    total.update(error.problem.encode())
        return total.hexdigest()

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Endless shuffled batches, beginning after those that the trainer has done."""
        return training_loader(self.dataset("train"), self.config, self.trainer)

    def val_dataloader(self) -> DataLoader[dict[str, Any]]:
        """The validation objects in order."""
        return ordered_loader(self.dataset("val"), self.config, self.trainer)

    def test_dataloader(self) -> DataLoader[dict[str, Any]]:
        """The test objects in order."""
        return ordered_loader(self.dataset("test"), self.config, self.trainer)


def item_options(config: ShapesConfig, split: str) -> ItemOptions:
    """What is drawn for a split: training as configured, the others with nothing random but which points are taken."""
    if split != "train":
        return ItemOptions(
            surface_points=config.surface_points,
            supervision_points=config.validation_points,
            views=config.views,
            seed=config.seed,
        )
    return ItemOptions(
        surface_points=config.surface_points,
        supervision_points=config.supervision_points,
        near_fraction=config.near_fraction,
        noise=config.noise,
        mirror=config.mirror,
        stretch=config.stretch,
        views=config.views,
        all_groups=config.view_groups == "all",
        seed=config.seed,
    )
