"""Random numbers of a batch that follow from its items, not from who holds them.

A step's batch may come from one process, be shared by several, or arrive in pieces whose gradients are accumulated.
Where each item's numbers follow from its place in the training alone, all of these train the same weights.

B items of the batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float
from torch import Tensor


def step_seed(*parts: int | str) -> int:
    """Return a 63-bit seed from any numbers and words; different parts give unrelated seeds."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class Draws:
    """Random tensors of a batch: row i follows from `seed` and the i-th of `items` alone."""

    shared: torch.Generator
    """On the CPU, for what is drawn once for all items of a step, such as how many views they have. It follows from
    `seed` and `step`, so it is the same on all processes and in all accumulated batches."""

    def __init__(self, seed: int, items: Iterable[int], *, step: int = 0, device: torch.device | str = "cpu") -> None:
        self.shared = torch.Generator().manual_seed(step_seed(seed, "step", step))
        self._device = device
        self._own = [torch.Generator(device).manual_seed(step_seed(seed, "item", int(item))) for item in items]

    def uniform(self, *shape: int) -> Float[Tensor, "B *shape"]:
        """Numbers in [0, 1): `shape` for each item."""
        return self._each(torch.rand, shape)

    def normal(self, *shape: int) -> Float[Tensor, "B *shape"]:
        """Standard normal numbers: `shape` for each item."""
        return self._each(torch.randn, shape)

    def _each(self, draw: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        return torch.stack([draw(shape, generator=generator, device=self._device) for generator in self._own])
