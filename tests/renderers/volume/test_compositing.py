from __future__ import annotations

import torch
from torch.autograd import gradcheck

from framework.renderers.volume.compositing import (
    closed,
    over,
    padded,
    summed,
    total,
    transmittance,
    until_dark,
    weights_of,
)
from framework.renderers.volume.densities import density_opacity


def test_weights_of_a_slab_sum_to_what_it_stops() -> None:
    lengths = torch.rand(3, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = weights_of(density_opacity(torch.tensor(0.3, dtype=torch.float64), lengths))
    torch.testing.assert_close(weights.sum(dim=-1), 1 - torch.exp(-0.3 * lengths.sum(dim=-1)))


def test_light_and_weights_by_hand() -> None:
    opacity = torch.tensor([0.5, 0.5, 1.0, 0.5])
    assert transmittance(opacity).tolist() == [1.0, 0.5, 0.25, 0.0]
    assert weights_of(opacity).tolist() == [0.5, 0.25, 0.25, 0.0]
    assert closed(torch.tensor([0.5, 0.25, 0.1])).tolist() == [0.5, 0.25, 0.25]


def test_weights_are_differentiable_behind_an_opaque_sample() -> None:
    opacity = torch.tensor([[0.3, 1.0, 0.4, 0.2], [0.1, 0.2, 0.3, 1.0]], dtype=torch.float64, requires_grad=True)
    assert gradcheck(weights_of, (opacity,))
    assert gradcheck(lambda a: weights_of(a, 1e-10), (opacity,))


def test_where_rays_stop() -> None:
    light = torch.tensor([1.0, 0.5, 0.05, 0.01])
    assert until_dark(light, 0.1).tolist() == [True, True, False, False]
    assert until_dark(light, 0.1, late=True).tolist() == [True, True, True, False]
    assert until_dark(light, 0.0).all()


def test_values_are_averaged_and_laid_over_a_background() -> None:
    weights, values = torch.tensor([0.5, 0.25]), torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    colour = total(weights, values)
    assert colour.tolist() == [0.5, 0.25, 0.0]
    assert over(colour, weights.sum(), torch.tensor([1.0, 1.0, 1.0])).tolist() == [0.75, 0.5, 0.25]


def test_packed_samples_as_a_table() -> None:
    ray, rank, values = torch.tensor([0, 0, 2]), torch.tensor([0, 1, 0]), torch.tensor([1.0, 2.0, 3.0])
    assert padded(values, ray, rank, 3).tolist() == [[1.0, 2.0], [0.0, 0.0], [3.0, 0.0]]
    assert summed(values, ray, 3).tolist() == [3.0, 0.0, 3.0]
    nothing = torch.zeros(0, dtype=torch.int64)
    assert padded(torch.zeros(0), nothing, nothing, 2).tolist() == [[0.0], [0.0]]
    assert summed(torch.zeros(0, 3), nothing, 2).tolist() == [[0.0] * 3] * 2
