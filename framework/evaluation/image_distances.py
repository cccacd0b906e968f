"""How far two sets of pictures are apart as distributions of features: Frechet (FID) and kernel distance (KID).

Frechet distance: of the normal distributions with the sets' means and covariances (Heusel et al. 2017, equation 6). It
is biased upwards for small sets, so it compares only between sets of equal sizes. Kernel distance: the unbiased
estimate of the squared maximum mean discrepancy under a cubic kernel (Binkowski et al. 2018, section 4), which small
sets do not bias, and which may come out a little below zero.

N, M pictures of the two sets, D numbers of a picture's features.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from framework.evaluation.image_features import FeatureNetwork, features

MINIMUM = 2
"""Pictures of a set: both distances ask how far they spread. Below D pictures a covariance is singular, which the
Frechet distance allows here, but its bias is large there: published numbers have 10,000 pictures and more."""
SUBSET = 1000
"""Pictures of a set that are compared at once for the kernel distance; all of them, where there are no more."""
SUBSETS = 100
"""Random subsets whose kernel distances are averaged where a set has more pictures than one."""


@dataclass
class Moments:
    """Number, mean and scatter of features that came by in any number of batches, in float64: D * D numbers."""

    count: int = 0
    mean: Float[Tensor, " D"] = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    scatter: Float[Tensor, "D D"] = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.float64))
    """Sum of (x - mean) (x - mean)^T."""

    @classmethod
    def of(cls, values: Float[Tensor, "N D"]) -> Moments:
        """The moments of features that are there."""
        moments = cls()
        for batch in values.split(SUBSET):
            moments.update(batch)
        return moments

    def update(self, batch: Float[Tensor, "N D"]) -> None:
        """Take in a batch of features, by the pairwise update of Chan et al. 1979, which loses no digits."""
        if not len(batch):
            return
        values = batch.double()
        mean = values.mean(dim=0)
        centred = values - mean
        self.merge(Moments(len(values), mean, centred.T @ centred))

    def merge(self, other: Moments) -> None:
        """Take in what another one has seen."""
        if not other.count or not self.count:
            if other.count:
                self.count, self.mean, self.scatter = other.count, other.mean, other.scatter
            return
        total = self.count + other.count
        step = other.mean - self.mean
        self.scatter = self.scatter + other.scatter + torch.outer(step, step) * (self.count * other.count / total)
        self.mean = self.mean + step * (other.count / total)
        self.count = total


def frechet_distance(first: Float[Tensor, "N D"] | Moments, second: Float[Tensor, "M D"] | Moments) -> float:
    """Frechet distance of two sets of features, or of their moments: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)).

    The trace of the root is the sum of the singular values of R1^T R2 for any R R^T = C, which needs no root of a
    matrix and holds for singular covariances too. Covariances are the unbiased ones. Raises ValueError below two
    pictures, and for values that are not finite.
    """
    (mean_a, root_a), (mean_b, root_b) = _mean_and_root(first, "first"), _mean_and_root(second, "second")
    spread = root_a.square().sum() + root_b.square().sum()
    together = torch.linalg.svdvals(root_a.T @ root_b).sum()
    return max(0.0, float((mean_a - mean_b).square().sum() + spread - 2.0 * together))


def kernel_distance(first: Float[Tensor, "N D"], second: Float[Tensor, "M D"], seed: int = 0) -> float:
    """Kernel distance of two sets of features: the mean of `kernel_distances`."""
    return float(kernel_distances(first, second, seed).mean())


def kernel_distances(first: Float[Tensor, "N D"], second: Float[Tensor, "M D"], seed: int = 0) -> Float[Tensor, " S"]:
    """Kernel distances of S = 100 pairs of random subsets, or of the whole sets (S = 1) up to 1,000 pictures, in
    float64. Raises ValueError below two pictures, and for values that are not finite.

    The order of the pictures does not matter.
    """
    _check(first, "first")
    _check(second, "second")
    if max(len(first), len(second)) <= SUBSET:
        return _squared_discrepancy(first.double(), second.double())[None]
    random = np.random.default_rng(seed)
    sets = [_sorted(first), _sorted(second)]
    found = [_squared_discrepancy(*(_subset(values, random) for values in sets)) for _ in range(SUBSETS)]
    return torch.stack(found)


class ImageDistances:
    """FID and KID between a validation's pictures and generated ones, over the batches of all its processes.

        distances = ImageDistances(feature_network())
        distances.update(batch["image"], generated, batch["index"])     # in validation_step, in [0, 1]
        self.log_dict(distances.compute())                              # in on_validation_epoch_end
        distances.reset()

    It is no module, so that its network is neither trained nor saved. Features are kept on the CPU, 4 D bytes for each
    picture. Items that several processes went through count once, so that their number does not change the result.
    """

    def __init__(self, network: FeatureNetwork, seed: int = 0) -> None:
        self.network, self.seed = network, seed
        self.reset()

    def reset(self) -> None:
        """Forget all pictures."""
        self._rows: list[tuple[Tensor, Tensor, Tensor]] = []

    def update(
        self, real: Float[Tensor, "B 3 H W"], generated: Float[Tensor, "B 3 S S"], index: Int[Tensor, " B"]
    ) -> None:
        """Take in pictures in [0, 1], and as many generated ones.

        `index` is their items' place in the set: an item that comes again is passed over. Raises ValueError where the
        numbers of pictures differ.
        """
        if not len(real) == len(generated) == len(index):
            raise ValueError(f"{len(real)} pictures, {len(generated)} generated and {len(index)} indices are no pairs")
        network = self.network.to(real.device)
        rows = index.detach().cpu(), features(real, network).cpu(), features(generated, network).cpu()
        self._rows.append(rows)

    def compute(self) -> dict[str, float]:
        """Return `fid` and `kid` over the pictures of all processes, each of which must call this.

        Below two pictures (a validation's check of a single item) there are no distances, and nothing is returned.
        """
        rows = _of_all_processes(self._rows)
        if not rows:
            return {}
        index, real, generated = (torch.cat(parts) for parts in zip(*rows, strict=True))
        chosen = torch.from_numpy(np.unique(index.numpy(), return_index=True)[1])
        if len(chosen) < MINIMUM:
            return {}
        real, generated = real[chosen], generated[chosen]
        return {"fid": frechet_distance(real, generated), "kid": kernel_distance(real, generated, self.seed)}


def _mean_and_root(given: Tensor | Moments, name: str) -> tuple[Tensor, Tensor]:
    """Mean (D,) and a root (D, K) of the covariance, root @ root.T, in float64."""
    if isinstance(given, Tensor):
        _check(given, name)
        if len(given) <= given.shape[1]:
            values = given.double()
            return values.mean(dim=0), (values - values.mean(dim=0)).T / (len(values) - 1) ** 0.5
        given = Moments.of(given)
    _check_count(given.count, name)
    _check_finite(given.scatter, name)
    powers, directions = torch.linalg.eigh(given.scatter / (given.count - 1))
    return given.mean, directions * powers.clamp(min=0.0).sqrt()


def _squared_discrepancy(first: Tensor, second: Tensor) -> Tensor:
    """Unbiased estimate of the squared maximum mean discrepancy under (x . y / D + 1)^3; a number."""
    own = [_mean_of_pairs(_kernel(values, values)) for values in (first, second)]
    return own[0] + own[1] - 2.0 * _kernel(first, second).mean()


def _kernel(first: Tensor, second: Tensor) -> Tensor:
    return (first @ second.T / first.shape[1] + 1.0) ** 3


def _mean_of_pairs(table: Tensor) -> Tensor:
    """Mean over two different pictures."""
    count = len(table)
    return (table.sum() - table.diagonal().sum()) / (count * (count - 1))


def _sorted(values: Tensor) -> Tensor:
    """Rows in an order that follows from themselves."""
    return values[values.sum(dim=1, dtype=torch.float64).argsort()]


def _subset(values: Tensor, random: np.random.Generator) -> Tensor:
    rows = random.choice(len(values), min(SUBSET, len(values)), replace=False)
    return values[torch.from_numpy(rows)].double()


def _check(values: Tensor, name: str) -> None:
    if values.ndim != 2:
        raise ValueError(f"features of the {name} set: expected shape (N, D), got {tuple(values.shape)}")
    _check_count(len(values), name)
    _check_finite(values, name)


def _check_count(count: int, name: str) -> None:
    if count < MINIMUM:
        raise ValueError(f"the {name} set has {count} picture(s), expected at least {MINIMUM}")


def _check_finite(values: Tensor, name: str) -> None:
    if not bool(values.isfinite().all()):
        raise ValueError(f"features of the {name} set are not finite: are there pictures with nan or inf?")


def _of_all_processes(rows: list[tuple[Tensor, Tensor, Tensor]]) -> list[tuple[Tensor, Tensor, Tensor]]:
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return rows
    found: list[list[tuple[Tensor, Tensor, Tensor]]] = [[] for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather_object(found, rows)
    return [row for rows in found for row in rows]
