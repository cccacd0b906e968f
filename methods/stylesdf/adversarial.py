"""What both trainings do alike: chunks, steps that are counted and steps that are not, the average.

The generator's step is the one that the trainer counts: one for each batch, as for any other system, so that resuming,
logging and the order of the data need nothing of their own. Other steps go past the trainer's counter.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from framework.systems.system import System
from methods.stylesdf.augmentation import next_strength
from methods.stylesdf.fakes import Drawn

Terms = dict[str, Tensor]
AdamOptions = tuple[float, tuple[float, float]]
"""Learning rate and betas."""
ChunkTerms = Callable[[slice], tuple[Tensor, Mapping[str, Tensor]]]
"""The loss of some items of a batch, and its terms."""
Network = TypeVar("Network", bound=nn.Module)


def chunks(count: int, size: int) -> Iterator[slice]:
    """Yield slices of at most `size` that cover `count` items."""
    for first in range(0, count, size):
        yield slice(first, min(first + size, count))


def share(rows: slice, count: int, accumulate: str) -> float:
    """Factor on the loss of a chunk: its part of the batch, or 1 where, as in the original, chunks are summed."""
    return 1.0 if accumulate == "sum" else (rows.stop - rows.start) / count


def accumulate(system: System, count: int, chunk: int, how: str, terms: ChunkTerms) -> Terms:
    """Propagate the losses of a batch's chunks backwards, weighted by `share`; returns the means of their terms.

    `terms` gives the loss and the terms of some items.
    """
    means: Terms = {}
    for rows in chunks(count, chunk):
        loss, found = terms(rows)
        system.manual_backward(loss * share(rows, count, how))
        for name, value in found.items():
            part = share(rows, count, "mean") * value.detach()
            means[name] = means[name] + part if name in means else part
    return means


def train_generator(system: Any, fakes: Drawn) -> None:
    """Take the step that the trainer counts, by the system's `generator_terms` of all chunks of `fakes`."""
    optimizer = cast("list[LightningOptimizer]", system.optimizers())[0]
    count, chunk, how = len(fakes.cameras), system.config.chunk, system.config.loss.accumulate
    with system.toggled_optimizer(optimizer):
        terms = accumulate(system, count, chunk, how, lambda rows: system.generator_terms(fakes.part(rows)))
        optimizer.step()
        optimizer.zero_grad()
    log_terms(system, terms)


def train_discriminator(system: Any, count: int, chunk: int, terms: ChunkTerms) -> None:
    """Take a step of the discriminator by `terms`, and let the strength of the augmentation follow their `sign`."""
    means = train_uncounted(system, 1, count, chunk, terms)
    sign = means.pop("sign")
    if system.config.augment.target:
        system.strength = steered(system, sign, count)
        system.log("train/augmentation", system.strength)
    log_terms(system, means)


def train_uncounted(system: Any, place: int, count: int, chunk: int, terms: ChunkTerms) -> Terms:
    """Take a step of the optimiser at `place` that the trainer does not count; returns the means of its terms.

    Its gradients are shown to those who watch them, as those of counted steps are.
    """
    optimizer = cast("list[Optimizer]", system.optimizers(use_pl_optimizer=False))[place]
    with system.toggled_optimizer(optimizer):
        means = accumulate(system, count, chunk, system.config.loss.accumulate, terms)
        for callback in system.trainer.callbacks:
            callback.on_before_optimizer_step(system.trainer, system, optimizer)
        optimizer.step()
        optimizer.zero_grad()
    return means


def steered(system: Any, sign: Tensor, count: int) -> float:
    """The augmentation's strength after a batch in which the real pictures' scores had this mean sign."""
    sign = system.trainer.strategy.reduce(sign, reduce_op="mean")
    return next_strength(system.strength, float(sign), count * system.trainer.world_size, system.config.augment)


def adam_pair(generator: nn.Module, discriminator: nn.Module, options: Sequence[AdamOptions]) -> list[Optimizer]:
    """An Adam optimiser for each of two networks."""
    networks = zip((generator, discriminator), options, strict=True)
    return [Adam(network.parameters(), lr=rate, betas=betas) for network, (rate, betas) in networks]


def take_options(optimizers: Sequence[Optimizer], options: Sequence[AdamOptions]) -> None:
    """Put options in place of those that a checkpoint brought."""
    for optimizer, (rate, betas) in zip(optimizers, options, strict=True):
        for group in optimizer.param_groups:
            group.update(lr=rate, betas=betas)


@torch.no_grad()
def update_average(average: nn.Module, live: nn.Module, decay: float) -> None:
    """Move the parameters of `average` towards those of `live`: decay * average + (1 - decay) * live."""
    torch._foreach_lerp_(list(average.parameters()), list(live.parameters()), 1.0 - decay)


def frozen_copy(module: Network) -> Network:
    """A copy that is never trained, buffers included."""
    return copy.deepcopy(module).requires_grad_(False).eval()


def log_terms(system: System, terms: Mapping[str, Tensor]) -> None:
    """Log a batch's terms as metrics of the training."""
    system.log_dict({f"train/{name}": value.detach() for name, value in terms.items()})


def lazy_share(interval: int) -> float:
    """Correction of an optimiser whose every `interval`-th step is a regularising one more; 1 for none."""
    return interval / (interval + 1) if interval else 1.0
