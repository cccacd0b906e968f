from __future__ import annotations

import pytest
import torch

from framework.renderers.volume.rays import Rays, between
from framework.renderers.volume.sampling import (
    blurred,
    by_importance,
    evenly,
    gaps,
    regular_shares,
    shifted,
    stratified,
)

RAYS = Rays(torch.zeros(2, 3, dtype=torch.float64), torch.ones(2, 3, dtype=torch.float64))
SPAN = between(RAYS, torch.tensor([1.0, 2.0]), torch.tensor([3.0, 6.0]))


def test_even_samples_with_and_without_the_end() -> None:
    assert evenly(SPAN, 5)[0].tolist() == [1.0, 1.5, 2.0, 2.5, 3.0]
    assert evenly(SPAN, 4, ends=False)[1].tolist() == [2.0, 3.0, 4.0, 5.0]
    assert evenly(SPAN, 1, ends=False).tolist() == [[1.0], [2.0]]


def test_missed_rays_get_harmless_depths() -> None:
    span = between(RAYS, torch.tensor([1.0, 3.0]), 2.0)
    assert evenly(span, 2).tolist() == [[1.0, 2.0], [0.0, 0.0]]


@pytest.mark.parametrize(("count", "ends"), [(1, True), (0, False), (0, True)])
def test_too_few_samples_are_an_error(count: int, ends: bool) -> None:
    with pytest.raises(ValueError, match="expected at least"):
        evenly(SPAN, count, ends)


def test_shifted_samples_stay_in_their_gaps() -> None:
    depths = evenly(SPAN, 4, ends=False)
    together = shifted(depths, torch.tensor([[0.5], [0.0]]), SPAN.far)
    assert together[0].tolist() == [1.25, 1.75, 2.25, 2.75]
    torch.testing.assert_close(together[1], depths[1])
    apart = shifted(depths, torch.tensor([[0.0, 0.5, 0.0, 1.0]] * 2), SPAN.far)
    assert apart[0].tolist() == [1.0, 1.75, 2.0, 3.0]


def test_stratified_samples_fill_cells_that_cover_everything() -> None:
    depths = evenly(SPAN, 3)
    assert stratified(depths, torch.zeros(2, 3))[0].tolist() == [1.0, 1.5, 2.5]
    assert stratified(depths, torch.ones(2, 3))[0].tolist() == [1.5, 2.5, 3.0]


def test_gaps_end_with_the_given_one() -> None:
    assert gaps(evenly(SPAN, 3), 9.0)[0].tolist() == [1.0, 1.0, 9.0]
    assert gaps(evenly(SPAN, 3), torch.tensor([7.0, 8.0]))[1].tolist() == [2.0, 2.0, 8.0]


def test_importance_follows_the_weights() -> None:
    edges = torch.tensor([[0.0, 1.0, 2.0, 3.0]], dtype=torch.float64)
    weights = torch.tensor([[1.0, 0.0, 3.0]], dtype=torch.float64)
    depths = by_importance(edges, weights, regular_shares(edges[:, 0], 4000), floor=0.0)
    assert (depths < 1).double().mean() == pytest.approx(0.25, abs=1e-3)
    assert ((depths > 1) & (depths < 2)).sum() == 0
    assert depths.mean() == pytest.approx(0.25 * 0.5 + 0.75 * 2.5, abs=1e-3)


def test_rays_without_weight_are_sampled_evenly() -> None:
    edges = torch.tensor([[0.0, 1.0, 2.0]], dtype=torch.float64)
    depths = by_importance(edges, torch.zeros(1, 2, dtype=torch.float64), regular_shares(edges[:, 0], 4))
    torch.testing.assert_close(depths, torch.tensor([[0.25, 0.75, 1.25, 1.75]], dtype=torch.float64))


def test_importance_stays_between_the_edges_and_takes_no_gradient() -> None:
    edges = torch.tensor([[0.0, 0.3, 1.0]], requires_grad=True)
    weights = torch.tensor([[0.0, 1.0]], requires_grad=True)
    depths = by_importance(edges, weights, torch.tensor([[0.0, 0.999999, 1.0]]))
    assert not depths.requires_grad
    assert bool(((depths >= 0) & (depths <= 1)).all())


def test_blurred_weights_are_the_mean_of_the_larger_neighbours() -> None:
    weights = torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0])
    torch.testing.assert_close(blurred(weights, 0.0), torch.tensor([0.0, 0.5, 1.0, 0.5, 0.0]))
    torch.testing.assert_close(blurred(weights, 0.25), torch.tensor([0.25, 0.75, 1.25, 0.75, 0.25]))
