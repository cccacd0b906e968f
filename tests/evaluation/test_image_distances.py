"""Distances with known answers: normal distributions, kernels worked out by hand, sets that are the same."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from framework.evaluation import image_distances
from framework.evaluation.image_distances import (
    ImageDistances,
    Moments,
    frechet_distance,
    kernel_distance,
    kernel_distances,
)
from framework.evaluation.image_features import feature_network, features

REPOSITORY = Path(__file__).parents[2]


def normal(count: int, width: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((count, width)))


def exactly(mean: Tensor, root: Tensor, count: int = 64, seed: int = 0) -> Tensor:
    """Samples whose mean and (unbiased) covariance root @ root.T are exactly these."""
    values = normal(count, len(mean), seed)
    values = values - values.mean(dim=0)
    factor = torch.linalg.cholesky(values.T @ values / (count - 1))
    return torch.linalg.solve_triangular(factor, values.T, upper=False).T @ root.T + mean


def cubic(first: list[float], second: list[float]) -> float:
    return (sum(a * b for a, b in zip(first, second, strict=True)) / len(first) + 1.0) ** 3


class Largest(TorchDispatchMode):
    """Notes how many bytes the largest tensor has that is made inside."""

    bytes = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):  # type: ignore[no-untyped-def]
        made = function(*arguments, **(options or {}))
        for value in made if isinstance(made, (tuple, list)) else [made]:
            if isinstance(value, Tensor):
                self.bytes = max(self.bytes, value.untyped_storage().nbytes())
        return made


def test_normal_distributions_with_axes_in_common() -> None:
    """Then the distance is |m1 - m2|^2 plus the squared difference of deviations along each axis."""
    deviations = torch.tensor([[1.0, 2.0, 0.5], [3.0, 1.0, 0.5]], dtype=torch.float64)
    means = torch.tensor([[0.0, 1.0, 2.0], [1.0, 1.0, 0.0]], dtype=torch.float64)
    first, second = (exactly(means[row], deviations[row].diag(), seed=row) for row in range(2))
    expected = (1.0 + 0.0 + 4.0) + (4.0 + 1.0 + 0.0)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-10)


def test_any_covariances_agree_with_the_root_of_their_product() -> None:
    first, second = exactly(normal(1, 5)[0], normal(5, 5, 1)), exactly(normal(1, 5, 2)[0], normal(5, 5, 3), seed=4)
    a, b = np.cov(first.numpy().T), np.cov(second.numpy().T)
    expected = (first.mean(0) - second.mean(0)).square().sum() + np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real)
    assert frechet_distance(first, second) == pytest.approx(float(expected), rel=1e-9)


def test_fewer_pictures_than_features() -> None:
    """Singular covariances: moved apart, turned into a space of their own, or spread by a factor."""
    values = normal(6, 50)
    assert frechet_distance(values, values + 2.0) == pytest.approx(4.0 * 50, rel=1e-10)
    spread = float((values - values.mean(dim=0)).square().sum() / 5)
    elsewhere = torch.cat([values, torch.zeros_like(values)], dim=1), torch.cat([torch.zeros_like(values), values], 1)
    means = 2.0 * float(values.mean(dim=0).square().sum())
    assert frechet_distance(*elsewhere) == pytest.approx(2.0 * spread + means, rel=1e-10)
    doubled = 2.0 * (values - values.mean(dim=0)) + values.mean(dim=0)
    assert frechet_distance(values, doubled) == pytest.approx(spread, rel=1e-10)


@pytest.mark.parametrize("count", [4, 200])
def test_a_set_is_at_no_distance_from_itself_in_any_order(count: int) -> None:
    values = normal(count, 20)
    shuffled = values[torch.from_numpy(np.random.default_rng(1).permutation(count))]
    assert frechet_distance(values, shuffled) == pytest.approx(0.0, abs=1e-9)
    other = normal(count, 20, 2) + 0.3
    assert frechet_distance(other, shuffled) == pytest.approx(frechet_distance(other, values), rel=1e-10)
    assert kernel_distance(other, shuffled) == pytest.approx(kernel_distance(other, values), rel=1e-10)
    assert frechet_distance(other, values) == pytest.approx(frechet_distance(values, other), rel=1e-10)


def test_kernel_distance_by_hand() -> None:
    first, second = [[0.0, 1.0], [2.0, 0.0], [1.0, 1.0]], [[1.0, 0.0], [0.0, -2.0]]
    own = [cubic(a, b) for i, a in enumerate(first) for j, b in enumerate(first) if i != j]
    others = [cubic(*second), cubic(*second)]
    between = [cubic(a, b) for a in first for b in second]
    expected = sum(own) / 6 + sum(others) / 2 - 2 * sum(between) / 6
    assert kernel_distance(torch.tensor(first), torch.tensor(second)) == pytest.approx(expected, rel=1e-12)


def test_kernel_distance_of_distributions_known_in_closed_form() -> None:
    """Values +1 and -1 against +3 and -3, D = 1: means of (xy + 1)^3 are 1 + 3 E[x^2] E[y^2] for odd moments zero."""
    random = np.random.default_rng(0)
    first, second = (torch.from_numpy(random.choice([-size, size], (900, 1))) for size in (1.0, 3.0))
    expected = (1 + 3 * 1 * 1) + (1 + 3 * 9 * 9) - 2 * (1 + 3 * 1 * 9)
    assert kernel_distance(first, second) == pytest.approx(expected, rel=0.05)


def test_kernel_distance_has_no_bias() -> None:
    """The mean over many small sets from one distribution is zero, to its own error; single ones fall below it."""
    found = [kernel_distance(normal(8, 4, 2 * seed), normal(5, 4, 2 * seed + 1)) for seed in range(400)]
    assert abs(np.mean(found)) < 3 * np.std(found) / math.sqrt(len(found))
    assert min(found) < 0 < max(found)


def test_large_sets_are_compared_by_subsets_from_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_distances, "SUBSET", 60)
    first, second = normal(200, 8), normal(150, 8, 1) + 0.5
    found = kernel_distances(first, second, seed=3)
    assert len(found) == image_distances.SUBSETS and found.std() > 0
    torch.testing.assert_close(kernel_distances(first.flip(0), second.flip(0), seed=3), found)
    assert kernel_distance(first, second, 4) != kernel_distance(first, second, 3)
    monkeypatch.setattr(image_distances, "SUBSET", 1000)
    assert float(found.mean()) == pytest.approx(kernel_distance(first, second), rel=0.1)


def test_memory_follows_from_the_subset_and_the_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of all pairs of 20,000 pictures would take 3.2 GB; no copy of the features in float64 is made either."""
    monkeypatch.setattr(image_distances, "SUBSETS", 2)
    values = torch.rand(20_000, 64, generator=torch.Generator().manual_seed(0))
    for compare in (kernel_distance, frechet_distance):
        with Largest() as largest:
            compare(values, values)
        assert largest.bytes <= max(values.nbytes, 8 * 1000 * 1000)
    moments, batches = Moments(), [batch.clone() for batch in values.split(100)]
    with Largest() as largest:
        for batch in batches:
            moments.update(batch)
    assert largest.bytes <= 8 * 100 * 64
    assert moments.count == 20_000 and moments.scatter.shape == (64, 64)


def test_moments_of_batches_are_those_of_all() -> None:
    """Far from the origin, where the difference of two large sums would leave no digits."""
    values = normal(500, 6) + 1e6
    one, other = Moments(), Moments()
    for batch in values[:300].split(37):
        one.update(batch)
    for batch in [*values[300:].split(1), values[:0]]:
        other.update(batch)
    one.merge(other)
    np.testing.assert_allclose(one.scatter.numpy() / 499, np.cov(values.numpy().T), rtol=1e-7)
    np.testing.assert_allclose(one.mean.numpy(), values.numpy().mean(axis=0), rtol=1e-14)
    assert frechet_distance(one, normal(300, 6, 1)) == pytest.approx(frechet_distance(values, normal(300, 6, 1)))


def test_what_can_not_be_compared_is_refused() -> None:
    for compare in (frechet_distance, kernel_distance):
        with pytest.raises(ValueError, match="second set has 1 picture"):
            compare(normal(5, 3), normal(1, 3))
        with pytest.raises(ValueError, match="first set are not finite"):
            compare(torch.full((4, 3), math.nan), normal(5, 3))
        with pytest.raises(ValueError, match=r"expected shape \(N, D\)"):
            compare(normal(5, 3)[0], normal(5, 3))


def pictures(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def test_a_validation_in_batches() -> None:
    network = feature_network()
    real, generated = pictures(9), 0.7 * pictures(9, 1)
    distances = ImageDistances(network)
    assert distances.compute() == {}
    for rows in torch.arange(9).split(4):
        distances.update(real[rows], generated[rows], rows)
    first, second = features(real, network), features(generated, network)
    found = distances.compute()
    assert found["kid"] == pytest.approx(kernel_distance(first, second), rel=1e-5)
    assert found["fid"] == pytest.approx(frechet_distance(first, second), rel=1e-5)
    distances.update(real[:3], generated[:3], torch.arange(3))
    assert distances.compute() == found, "items that come again do not count"
    distances.reset()
    distances.update(real[:1], generated[:1], torch.arange(1))
    assert distances.compute() == {}
    with pytest.raises(ValueError, match="no pairs"):
        distances.update(real, generated[:4], torch.arange(9))


SHARED = """
import json, sys, torch
from framework.evaluation.image_distances import ImageDistances
from framework.evaluation.image_features import feature_network
rank, folder, shares = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=2)
pictures = torch.rand(2, 9, 3, 16, 16, generator=torch.Generator().manual_seed(5))
distances = ImageDistances(feature_network())
rows = {"halves": torch.arange(rank, 9, 2), "all": torch.arange(9), "one": torch.arange(9)[: 9 * rank]}[shares]
for part in rows.split(2):
    distances.update(pictures[0, part], pictures[1, part], part)
print(json.dumps(distances.compute()))
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.parametrize("shares", ["halves", "all", "one"])
def test_processes_that_share_a_validation_say_the_same_as_one(shares: str, tmp_path: Path) -> None:
    """They hold every other item, all of them each, or one of them holds none."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SHARED, str(rank), str(tmp_path), shares],
            cwd=REPOSITORY,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    printed = [process.communicate(timeout=240)[0] for process in running]
    assert printed[0] == printed[1] and "kid" in printed[0]
    alone = ImageDistances(feature_network())
    real, generated = torch.rand(2, 9, 3, 16, 16, generator=torch.Generator().manual_seed(5))
    alone.update(real, generated, torch.arange(9))
    found = json.loads(printed[0])
    assert found == pytest.approx(alone.compute(), rel=1e-5)
