"""Batches from loader processes, which live on when a signal goes to all processes of a training, and whose errors say
what is wrong with the data and not where in the code it was seen.

torch raises what happens in a loader process again with that process's traceback for a text, and as another class where
the error takes more than a text. Here the text of a known error travels in place of the item that could not be read.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset, default_collate, get_worker_info

from framework.data.sampler import Key, StepBatchSampler, evaluation_batches


class DataError(ValueError):
    """An item can't be read; the text says which, and why."""


class _Items(Dataset[Any]):
    """The items of a dataset; in a loader process, the texts of errors that are written for users are items too."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: Any) -> Any:
        try:
            return self.dataset[key]
        except (ValueError, OSError) as error:
            if get_worker_info() is None:
                raise
            return str(error) or type(error).__name__


class _Loader(DataLoader[Any]):
    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        batches, failure = super().__iter__(), None
        for batch in batches:
            if isinstance(batch, str):
                failure = batch
                break
            yield batch
        if failure is not None:
            # The processes end now: with an error's traceback they would live on until the garbage collector finds
            # them, in an order in which it then waits for them for many seconds.
            self._iterator = None
            del batches
            raise DataError(failure)


def build_loader(dataset: Any, **options: Any) -> DataLoader[Any]:
    """Return torch's DataLoader with its `options`, for a dataset whose items are mappings.

    Iterating it raises the errors of the dataset, DataError in place of a ValueError or OSError that happened in a
    loader process.
    """
    return _Loader(_Items(dataset), collate_fn=_batch, worker_init_fn=outlive_signals, **options)


class Options(Protocol):
    """What a data module's config says about its loaders."""

    batch_size: int
    workers: int
    seed: int


def training_loader(dataset: Any, config: Options, trainer: Any) -> DataLoader[Any]:
    """Return endless shuffled batches of a dataset with length, beginning after those that `trainer` has done."""
    batches = StepBatchSampler.for_trainer(len(dataset), config.batch_size, config.seed, trainer)
    return _lasting_loader(dataset, batches, config.workers)


def ordered_loader(dataset: Any, config: Options, trainer: Any) -> DataLoader[Any]:
    """Return this process's batches of a dataset with length, once through and in order."""
    return _lasting_loader(dataset, evaluation_batches(len(dataset), config.batch_size, trainer), config.workers)


def _lasting_loader(dataset: Any, batches: Iterable[list[Key]], workers: int) -> DataLoader[Any]:
    return build_loader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def outlive_signals(worker: int) -> None:
    """Let this loader process live on when it is told to end together with the process that it loads for.

    Ctrl-C and service managers signal them all, and the main process needs another batch to end its step and save.
    The second SIGTERM ends a loader, so that the main process can get rid of one that hangs.
    """

    def end_at_second(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, end_at_second)


def _batch(items: list[Any]) -> Any:
    """The items as one batch, or the first failure among them."""
    return next((item for item in items if isinstance(item, str)), None) or default_collate(items)
