"""Whether a data module shares its items among processes: different ones in training, each one once in validation."""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from framework.testing.contract.outcome import expect

PROCESSES = 2


def check_sharing(data: pl.LightningDataModule) -> None:
    """Ask for the batches of each of two processes; ContractError when they don't go together."""
    training = [_items(islice(data.train_dataloader(), 1)) for data in _as_each_process(data)]
    expect(
        training[0] != training[1],
        "in training both of two processes get the same items: build the sampler with `StepBatchSampler.for_trainer`",
    )
    numbers, found = [], []
    for each in _as_each_process(data):
        batches = list(each.val_dataloader())
        numbers.append(len(batches))
        found.append(_items(batches))
    hint = "take the batches of `evaluation_batches`"
    expect(
        numbers[0] == numbers[1], f"in validation two processes get {numbers} batches, expected as many each: {hint}"
    )
    data.trainer = None
    whole = _items(data.val_dataloader())
    shared = found[0] == found[1] == whole or found[0] + found[1] == whole
    expect(shared, f"in validation two processes don't see each item once, nor each of them all: {hint}")


def _as_each_process(data: pl.LightningDataModule) -> Iterable[pl.LightningDataModule]:
    for rank in range(PROCESSES):
        at_start: Any = {"global_step": 0, "accumulate_grad_batches": 1}
        data.trainer = SimpleNamespace(global_rank=rank, world_size=PROCESSES, **at_start)  # type: ignore[assignment]
        yield data


def _items(batches: Iterable[Any]) -> Counter[bytes]:
    """How often each item comes; an item is known by its rows of the batch's tensors."""
    found: Counter[bytes] = Counter()
    for batch in batches:
        values = (
            batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, (list, tuple)) else [batch]
        )
        tensors = [value for value in values if isinstance(value, Tensor) and value.ndim]
        expect(tensors, "a batch holds no tensors")
        found.update(b"".join(row.numpy().tobytes() for row in rows) for rows in zip(*tensors, strict=True))
    return found
