"""Latents made once: the diffusion trains on the autoencoder's posteriors, so the autoencoder runs once per object.

Of the pictures only their pixels are cached, not what an image encoder makes of them: even where CLIP itself is frozen,
its modulation by the camera trains and reaches into every block, so that features change with each step.

The cache is a folder of safetensors files of up to `SHARD` objects each, written one by one: an interrupted run goes on
where it stopped. Its name holds a hash of everything that it depends on.

N objects, L latents, E latent channels, K views, S side of a view, P query points.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.progress import track
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from framework import registry
from framework.artifacts.atomic import atomic_file, one_at_a_time, remove_leftovers, write_json
from framework.artifacts.containers import UNREADABLE_TENSORS, check_tensor_file
from framework.artifacts.digest import digest
from framework.artifacts.reading import read_mapping
from framework.config.build import to_dict
from framework.config.errors import ConfigError
from framework.data.loader import ordered_loader, training_loader
from framework.weights.opening import fingerprint
from framework.weights.resolve import resolve
from methods.craftsman.config import LatentsConfig
from methods.craftsman.systems import AutoencoderSystem

SHARD = 256
INDEX_FILE = "index.json"
LOCK_FILE = "preparing.lock"
SPLITS = ("train", "val", "test")


class LatentsError(ValueError):
    """A file of the cache is damaged."""


class LatentDataset(Dataset[dict[str, Any]]):
    """Reads the shards of one split; an item is a dict of tensors as `LatentsData` describes.

    Of the points and their occupancy it has all (`points` None), or `points` of them, drawn anew for each (`seed`,
    epoch, index); 0 leaves them out.
    """

    def __init__(self, folder: Path, points: int | None = None, seed: int = 0) -> None:
        """Take a folder that `encode_split` wrote; LatentsError where it is damaged, also when items are read."""
        self.ids, self.shards = _read_index(folder / INDEX_FILE)
        self.points, self.seed = points, seed
        self.names = ("mean", "log_variance", "views", "world_from_camera") + ("points", "occupancy") * (points != 0)
        self._open: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        """The item of (epoch, index); the posterior is the same in every epoch, its sample is drawn in training."""
        epoch, index = key
        tensors = self._rows(*divmod(index, SHARD))
        item: dict[str, Any] = {name: value.float() for name, value in tensors.items() if name != "views"}
        item["views"] = tensors["views"].float() / 255.0
        if self.points:
            random = np.random.default_rng((self.seed, epoch, index))
            rows = torch.from_numpy(random.choice(len(item["points"]), self.points, replace=False))
            item |= {name: item[name][rows] for name in ("points", "occupancy")}
        return item | {"index": index, "id": self.ids[index]}

    def _rows(self, shard: int, row: int) -> dict[str, Tensor]:
        with _told(self.shards[shard]):
            if shard not in self._open:
                check_tensor_file(self.shards[shard])
                self._open[shard] = safe_open(self.shards[shard], framework="pt")
            return {name: self._open[shard].get_slice(name)[row] for name in self.names}

    def __getstate__(self) -> dict[str, Any]:
        """Open files don't travel to loader processes; each opens its own."""
        return self.__dict__ | {"_open": {}}


class LatentsData(pl.LightningDataModule):
    """Batches: mean, log_variance (B, L, E); views (B, K, 4, S, S) in [0, 1]; world_from_camera (B, K, 4, 4); points
    (B, P, 3) and occupancy (B, P) in validation, and in training as many as wanted; index (B,) and id.
    """

    def __init__(self, config: LatentsConfig) -> None:
        super().__init__()
        self.config = config
        kept = config.source.config.supervision_points
        if not 0 <= config.supervision_points <= kept:
            raise ConfigError(
                "data.supervision_points",
                f"is {config.supervision_points}, expected 0 to data.source.supervision_points, which is {kept}.",
            )
        wanted = {"surface_points": config.surface_points, "views": config.views, "cache": "none"}
        options = dataclasses.replace(config.source.config, **wanted)
        self.source: Any = registry.load_class("data", config.source.type)(options)
        self._facts = {"type": config.source.type, "config": to_dict(options)}
        self._folder: Path | None = None

    def prepare_data(self) -> None:
        """Encode what is not in the cache yet (on one process of a machine only)."""
        self.source.prepare_data()
        if self._missing():
            with one_at_a_time(self.folder / LOCK_FILE):  # two trainings may have started together
                self._encode(self._missing())

    def _missing(self) -> list[str]:
        return [split for split in SPLITS if not (self.folder / split / INDEX_FILE).is_file()]

    def _encode(self, splits: list[str]) -> None:
        remove_leftovers(*(self.folder / split for split in splits))
        self.source.setup("fit")
        device = "cuda" if torch.cuda.is_available() else "cpu"
        system = AutoencoderSystem.load(self.config.autoencoder, device)
        for split in splits:
            variants = self.config.variants if split == "train" else 1
            encode_split(self.source.dataset(split), system, self.folder / split, self.config.batch_size, variants)

    @property
    def folder(self) -> Path:
        """Where the cache of this set and these weights lies."""
        if self._folder is None:
            weights = fingerprint(resolve(self.config.autoencoder))
            facts = {
                "weights": weights,
                "source": self._facts,
                "variants": self.config.variants,
            }
            digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]
            self._folder = Path(self.config.root) / f"latents-{digest}"
        return self._folder

    def fingerprint(self) -> str:
        """Return a hash of the cache: its name (the weights and the options), its lists and its first shards."""
        parts = [self.folder / split / name for split in SPLITS for name in ("index.json", "00000.safetensors")]
        hashes = [digest(path) for path in parts if path.is_file()]
        return hashlib.sha256(" ".join([self.folder.name, *hashes]).encode()).hexdigest()

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Shuffled batches; their order is a function of seed and step."""
        dataset = LatentDataset(self.folder / "train", self.config.supervision_points, self.config.seed)
        return training_loader(dataset, self.config, self.trainer)

    def val_dataloader(self) -> DataLoader[dict[str, Any]]:
        """All validation objects in order."""
        return ordered_loader(LatentDataset(self.folder / "val"), self.config, self.trainer)

    def test_dataloader(self) -> DataLoader[dict[str, Any]]:
        """All test objects in order."""
        return ordered_loader(LatentDataset(self.folder / "test"), self.config, self.trainer)

    def latent_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (L, E) of posterior samples over the training set."""
        dataset = LatentDataset(self.folder / "train")
        means, variances = [], []
        for path in dataset.shards:
            with _told(path):
                check_tensor_file(path)
                with safe_open(path, framework="pt") as shard:
                    means.append(shard.get_tensor("mean").float())
                    variances.append(shard.get_tensor("log_variance").float().exp())
        mean = torch.cat(means)
        return mean.mean(dim=0), (mean.var(dim=0, correction=0) + torch.cat(variances).mean(dim=0)).sqrt()


def encode_split(dataset: Any, system: AutoencoderSystem, folder: Path, batch_size: int, variants: int = 1) -> None:
    """Encode the objects of `dataset` as its first `variants` epochs draw them, into shards below `folder`.

    Shards that exist are kept.
    """
    keys = [(epoch, row) for epoch in range(variants) for row in range(len(dataset))]
    shards: list[str] = []
    for start in track(range(0, len(keys), SHARD), description=f"latents, {folder.name}", console=Console(stderr=True)):
        path = folder / f"{start // SHARD:05d}.safetensors"
        if not path.is_file():
            tensors = _encoded([dataset[key] for key in keys[start : start + SHARD]], system, batch_size)
            with atomic_file(path) as temporary:
                save_file(tensors, temporary)
        shards.append(path.name)
    ids = [dataset.ids[row] for _, row in keys]
    write_json(folder / INDEX_FILE, {"ids": ids, "shards": shards})


def _read_index(path: Path) -> tuple[list[str], list[Path]]:
    """Names of the items and paths of the shards; LatentsError unless the index fits to itself."""
    with _told(path):
        index = read_mapping(path)
        ids, names = index["ids"], index["shards"]
        if not all(isinstance(text, str) for text in (*ids, *names)) or len(names) != -(-len(ids) // SHARD):
            raise ValueError(f"{len(names)} shards of {SHARD} for {len(ids)} items")
        if any(name != Path(name).name for name in names):
            raise ValueError("a shard lies elsewhere")
    return ids, [path.parent / name for name in names]


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what a damaged file of the cache raises into LatentsError."""
    try:
        yield
    except UNREADABLE_TENSORS as error:
        raise LatentsError(f"{path} can't be read ({error}). Remove {path.parent}: it is made anew") from error


@torch.no_grad()
def _encoded(items: Sequence[Mapping[str, Any]], system: AutoencoderSystem, batch_size: int) -> dict[str, Tensor]:
    """Posterior moments, views and query points of `items`, in the types in which they are stored."""
    means, log_variances = [], []
    for batch in _batches([torch.as_tensor(item["surface"]) for item in items], batch_size):
        posterior, _ = system.shape_model.encode(batch.to(system.device))
        means.append(posterior.mean.half().cpu())
        log_variances.append(posterior.log_variance.half().cpu())

    def stack(name: str, dtype: torch.dtype, factor: float = 1.0) -> Tensor:
        return torch.stack([(torch.as_tensor(item[name]) * factor).round(decimals=6).to(dtype) for item in items])

    return {
        "mean": torch.cat(means),
        "log_variance": torch.cat(log_variances),
        "views": stack("views", torch.uint8, 255.0),
        "world_from_camera": stack("world_from_camera", torch.float32),
        "points": stack("points", torch.float16),
        "occupancy": stack("occupancy", torch.uint8),
    }


def _batches(rows: Sequence[Tensor], size: int) -> Iterator[Tensor]:
    for start in range(0, len(rows), size):
        yield torch.stack(list(rows[start : start + size]))
