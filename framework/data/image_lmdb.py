"""The data module of pictures in LMDB: `ImageBatch`es in an order that follows from the step."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pytorch_lightning as pl
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image as PilImage
from PIL import ImageOps
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from framework.data.config import ImageLmdbConfig
from framework.data.image_set import ImageSet, ImageSetError
from framework.data.loader import ordered_loader, training_loader
from framework.data.preparation import Outcome, PrepareJob
from framework.data.sampler import Key

SPLITS = ("train", "val", "test")
SAMPLED = 16
"""Pictures of each split that a fingerprint reads."""

Pixels = dict[str, UInt8[np.ndarray, "S S 3"]]
"""What an item is made of: `image` and `thumbnail`, those that are wanted."""


class ImageBatch(TypedDict, total=False):
    """A batch of pictures in [-1, 1]. B batch, S `data.resolution`, R `data.thumb_resolution`."""

    image: Float[Tensor, "B 3 S S"]
    """Pictures; absent with `data.image=false`."""
    thumbnail: Float[Tensor, "B 3 R R"]
    """The same pictures, small; absent with `data.thumb_resolution=0`."""
    id: list[str]
    """Index in the set, as in its keys: "00017"."""
    index: Int[Tensor, " B"]
    """Index in the set."""


class ImageItems(Dataset[dict[str, Any]]):
    """Items of a set by (epoch, place): the pictures of `indexes`, mirrored by a hash of seed, epoch and index."""

    def __init__(
        self, source: ImageSet, indexes: list[int], config: ImageLmdbConfig, resolution: int, *, flip: bool
    ) -> None:
        self.source, self.indexes, self.config = source, indexes, config
        self.resolution, self.flip = resolution, flip
        self._kept: dict[tuple[int, bool], Pixels] = {}

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.indexes)

    def __getitem__(self, key: Key) -> dict[str, Any]:
        """Return an item of `ImageBatch`; ImageSetError when its picture can't be read."""
        epoch, place = key
        index = self.indexes[place]
        pixels = self._pixels(index, self.mirrored(epoch, index))
        return {name: scaled(values) for name, values in pixels.items()} | {"id": f"{index:05d}", "index": index}

    def mirrored(self, epoch: int, index: int) -> bool:
        """Return whether a picture is mirrored in an epoch: with probability one half if at all."""
        return self.flip and np.random.default_rng((self.config.seed, epoch, index)).random() < 0.5

    def _pixels(self, index: int, mirrored: bool) -> Pixels:
        kept = self._kept.get((index, mirrored))
        if kept is None:
            kept = self._read(index, mirrored)
            if self.config.cache == "memory":
                self._kept[index, mirrored] = kept
        return kept

    def _read(self, index: int, mirrored: bool) -> Pixels:
        picture = self.source.picture(self.resolution, index)
        if mirrored:
            picture = ImageOps.mirror(picture)
        side = self.config.thumb_resolution
        pixels = {"image": np.asarray(picture)} if self.config.image else {}
        return pixels | ({"thumbnail": thumbnail(picture, side)} if side else {})


def thumbnail(picture: PilImage.Image, side: int) -> UInt8[np.ndarray, "R R 3"]:
    """Return an RGB picture of Pillow resized to a square, with the filter of the published reader."""
    return np.asarray(picture.resize((side, side), PilImage.Resampling.HAMMING))


def scaled(pixels: UInt8[np.ndarray, "S S 3"]) -> Float[Tensor, "3 S S"]:
    """Return 8-bit pixels as a tensor in [-1, 1], channels first: (v / 255 - 0.5) / 0.5."""
    values = np.divide(pixels.transpose(2, 0, 1), np.float32(255), dtype=np.float32, order="C")
    values -= np.float32(0.5)
    values /= np.float32(0.5)
    return torch.from_numpy(values)


class ImageLmdbData(pl.LightningDataModule):
    """Batches as `ImageBatch`. Training goes on forever, in the order of `StepBatchSampler`, from the trainer's step
    on; validation and test go through their split once, unmirrored.
    """

    def __init__(self, config: ImageLmdbConfig) -> None:
        super().__init__()
        self.config = config

    def prepare(self, job: PrepareJob) -> list[Outcome]:
        """Make a set from a folder of pictures; see `framework.data.prepare_images`."""
        from framework.data.prepare_images import prepare_images  # training needs none of it

        return prepare_images(self.config, job)

    def setup(self, stage: str) -> None:
        """Fail early: a missing set, size or picture is named before the first step."""
        count = len(self.dataset("train" if stage == "fit" else stage if stage == "test" else "val"))
        if stage == "fit" and not count:
            raise ImageSetError(Path(self.config.root), "holds no picture for training", "Lower data.val_fraction")

    def dataset(self, split: str) -> ImageItems:
        """The items of "train", "val" or "test"; ImageSetError when the set or its size is missing or damaged."""
        source = self._source()
        resolution = source.resolution(self.config.resolution, max(1, self.config.thumb_resolution))
        source.check_last(resolution)
        indexes = source.indexes(split, self.config.val_fraction, self.config.test_fraction)
        flip = self.config.flip and split == "train"
        return ImageItems(source, indexes, self.config, resolution, flip=flip)

    def fingerprint(self) -> str:
        """Return a hash of the set: its length, who is in which split, and `SAMPLED` pictures of each."""
        total = hashlib.sha256()
        for split in SPLITS:
            items = self.dataset(split)
            total.update(f"{split} at {items.resolution}: {items.indexes}\n".encode())
            for place in sorted({number * len(items) // SAMPLED for number in range(SAMPLED)} if len(items) else ()):
                try:
                    total.update(items.source.png(items.resolution, items.indexes[place]))
                except ImageSetError as error:  # a training can do without a picture that it does not read
                    total.update(error.problem.encode())
        return total.hexdigest()

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Endless shuffled batches, beginning after those that the trainer has done."""
        return training_loader(self.dataset("train"), self.config, self.trainer)

    def val_dataloader(self) -> DataLoader[dict[str, Any]]:
        """The validation pictures in order."""
        return ordered_loader(self.dataset("val"), self.config, self.trainer)

    def test_dataloader(self) -> DataLoader[dict[str, Any]]:
        """The test pictures in order."""
        return ordered_loader(self.dataset("test"), self.config, self.trainer)

    def _source(self) -> ImageSet:
        if not self.config.root:
            raise ImageSetError(Path("data.root"), "is not given", "Give it: data.root=<folder that prepare wrote>")
        return ImageSet(Path(self.config.root))
