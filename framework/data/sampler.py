"""The order of items as a function of the step: what is needed to continue a training exactly where it stopped.

The items of all epochs form one endless stream, each epoch in an order of its own that follows from the seed. Batch k
of the run is its k-th piece, whoever asks and whenever: a resumed training begins with the batch after the last one,
and neither the number of loader processes nor what was prefetched before matters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import Sampler

Key = tuple[int, int]
"""(epoch, index) of an item; data sets take it as the key of `__getitem__`."""


class StepBatchSampler(Sampler[list[Key]]):
    """Endless batches of (epoch, index), beginning with batch `start` of the run.

    With several processes, batch k of the run has `world_size * batch_size` items, of which `rank` gets its share.
    A batch may reach from one epoch into the next, so every item comes exactly once in every epoch.
    """

    def __init__(
        self, count: int, batch_size: int, seed: int, *, start: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        """Take `count` items; ValueError for none of them, for empty batches, and for a rank outside the world."""
        if count < 1 or batch_size < 1:
            raise ValueError(f"sampler: {count} items in batches of {batch_size}, expected at least one of each")
        if not 0 <= rank < world_size:
            raise ValueError(f"sampler: rank {rank} is not in 0..{world_size - 1}")
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self.start, self.rank, self.world_size = start, rank, world_size
        self._epoch, self._order = -1, np.zeros(0, np.int64)

    @classmethod
    def for_trainer(cls, count: int, batch_size: int, seed: int, trainer: Any) -> StepBatchSampler:
        """The sampler that continues `trainer` (a Lightning Trainer, or None): its first batch is the one after those
        of the finished optimiser steps. Systems with several optimisers count a step for each, so they need a
        sampler of their own start.
        """
        if trainer is None:
            return cls(count, batch_size, seed)
        start = trainer.global_step * trainer.accumulate_grad_batches
        return cls(count, batch_size, seed, start=start, rank=trainer.global_rank, world_size=trainer.world_size)

    def batch(self, number: int) -> list[Key]:
        """The items of this process in batch `number` of the run."""
        first = (number * self.world_size + self.rank) * self.batch_size
        return [self._key(position) for position in range(first, first + self.batch_size)]

    def __iter__(self) -> Iterator[list[Key]]:
        """Yield batches without end."""
        number = self.start
        while True:
            yield self.batch(number)
            number += 1

    def _key(self, position: int) -> Key:
        epoch, place = divmod(position, self.count)
        if epoch != self._epoch:
            order = np.random.default_rng((self.seed, epoch)).permutation(self.count)
            self._epoch, self._order = epoch, order
        return epoch, int(self._order[place])


def evaluation_batches(count: int, batch_size: int, trainer: Any) -> list[list[Key]]:
    """Batches of (0, index) that go once through `count` items, for this process of `trainer` (or None: the only one).

    Several processes share the items, each one getting as many batches as the others, which may be smaller than
    `batch_size`. Where there are too few items for that, each goes through all of them: their means are the same.
    """
    if count < 1:
        return []
    rank, world = (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)
    rounds = -(-count // (world * batch_size))
    if world == 1 or rounds * world > count:
        return [
            [(0, index) for index in range(start, min(start + batch_size, count))]
            for start in range(0, count, batch_size)
        ]
    pieces = np.array_split(np.arange(count), rounds * world)
    return [[(0, int(index)) for index in piece] for piece in pieces[rank::world]]
