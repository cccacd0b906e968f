from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from framework.renderers.volume.densities import (
    density_opacity,
    laplace_density,
    neus_opacity,
    shifted_softplus,
    sigmoid_density,
    truncated_exp,
)


def spread(low: float, high: float) -> Tensor:
    return torch.linspace(low, high, 14, dtype=torch.float64, requires_grad=True)


BETA = torch.tensor(0.07, dtype=torch.float64, requires_grad=True)
CASES: dict[str, tuple[Callable[..., Tensor], tuple[Tensor, ...]]] = {
    "sigmoid": (sigmoid_density, (spread(-0.31, 0.3), BETA)),
    "laplace": (laplace_density, (spread(-0.31, 0.3), BETA)),
    "softplus": (lambda raw: shifted_softplus(raw, -1.0), (spread(-4, 4),)),
    "truncated exp": (truncated_exp, (spread(-10, 4),)),
    "opacity": (density_opacity, (spread(0.1, 20), spread(0.01, 0.2))),
    "neus": (
        neus_opacity,
        (torch.tensor([0.3, 0.1, -0.1, 0.0, -0.3], dtype=torch.float64, requires_grad=True), 1 / BETA),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_first_and_second_derivatives_agree_with_finite_differences(name: str) -> None:
    function, arguments = CASES[name]
    arguments = tuple(argument.detach().requires_grad_() for argument in arguments)
    assert gradcheck(function, arguments)
    assert gradgradcheck(function, arguments)


def test_values_by_hand() -> None:
    sdf = torch.tensor([-0.2, 0.0, 0.2], dtype=torch.float64)
    beta = 0.1
    logistic = [1 / (1 + math.exp(x / beta)) / beta for x in (-0.2, 0.0, 0.2)]
    assert sigmoid_density(sdf, beta).tolist() == pytest.approx(logistic)
    laplace = [(1 - 0.5 * math.exp(-2)) / beta, 0.5 / beta, 0.5 * math.exp(-2) / beta]
    assert laplace_density(sdf, beta).tolist() == pytest.approx(laplace)
    assert shifted_softplus(torch.tensor(3.0), -1.0).item() == pytest.approx(math.log1p(math.exp(2)))


@pytest.mark.parametrize("density", [sigmoid_density, laplace_density])
def test_density_is_high_inside_and_low_outside(density: Callable[..., Tensor]) -> None:
    far = density(torch.tensor([-1e4, 1e4]), 1e-3)
    assert far.tolist() == [pytest.approx(1e3), 0.0]


def test_neus_opacity_is_the_drop_of_the_logistic_function() -> None:
    sdf, sharpness = torch.tensor([0.2, 0.05, -0.1, -0.05], dtype=torch.float64), 20.0
    value = torch.sigmoid(sdf * sharpness)
    expected = ((value[:-1] - value[1:]) / value[:-1]).clamp(min=0)
    torch.testing.assert_close(neus_opacity(sdf, sharpness), expected)
    assert expected[2] == 0  # on the way out nothing stops light


def test_neus_opacity_is_finite_deep_inside() -> None:
    sdf = torch.tensor([-5.0, -6.0, -7.0], requires_grad=True)
    opacity = neus_opacity(sdf, 100.0)
    opacity.sum().backward()
    assert opacity.tolist() == [1.0, 1.0]
    assert bool(sdf.grad.isfinite().all())


def test_truncated_exp_clamps_only_its_gradient() -> None:
    raw = torch.tensor([-20.0, -3.0, 2.0, 18.0], requires_grad=True)
    value = truncated_exp(raw)
    value.backward(torch.full((4,), 2.0))
    torch.testing.assert_close(value, raw.exp())
    torch.testing.assert_close(raw.grad, 2.0 * raw.detach().clamp(-15, 15).exp())


def test_truncated_exp_is_finite_for_anything() -> None:
    raw = torch.tensor([100.0, 1e30], requires_grad=True)
    value = truncated_exp(raw)
    value.sum().backward()
    assert bool(value.isfinite().all()) and bool(raw.grad.isfinite().all())
    assert density_opacity(value, torch.tensor(1e-3)).tolist() == [1.0, 1.0]
    assert truncated_exp(torch.tensor([20.0], dtype=torch.float16)).isfinite().all()
