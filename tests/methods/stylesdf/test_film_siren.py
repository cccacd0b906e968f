"""The folded network equals the plain equations, with and without gradients, and begins as published."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from methods.stylesdf.cameras import cameras_at
from methods.stylesdf.config import CameraConfig, RendererConfig
from methods.stylesdf.nets import film_siren
from methods.stylesdf.nets.film_siren import FilmSiren, SirenOutput
from methods.stylesdf.nets.mapping import RendererMapping
from tests.methods.stylesdf.plain_siren import plain_siren
from tests.parity.fixture import Fixture

RENDER = Path(__file__).parents[2] / "parity" / "fixtures" / "stylesdf" / "volume_render.json"
WIDTH = 16


def network(dtype: torch.dtype = torch.float32) -> FilmSiren:
    torch.manual_seed(0)
    return FilmSiren(RendererConfig(depth=3, width=WIDTH), WIDTH).to(dtype)


def questions(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    points = 2 * torch.rand(2, 50, 3, generator=generator, dtype=dtype) - 1
    directions = normalize(torch.randn(2, 50, 3, generator=generator, dtype=dtype), dim=-1)
    return points, directions, torch.randn(2, WIDTH, generator=generator, dtype=dtype)


def assert_equal(found: SirenOutput, expected: SirenOutput, atol: float) -> None:
    for name, value in found._asdict().items():
        torch.testing.assert_close(value, getattr(expected, name), atol=atol, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("points_at_once", [7, 4096])
def test_folded_equals_plain_without_gradients(monkeypatch: pytest.MonkeyPatch, points_at_once: int) -> None:
    monkeypatch.setattr(film_siren, "CACHED_POINTS", points_at_once)
    net, asked = network(), questions()
    expected = plain_siren(net, *asked)
    with torch.no_grad():
        assert_equal(net(*asked), expected, 1e-5)
        torch.testing.assert_close(net.sdf(asked[0], asked[2]), expected.sdf, atol=1e-6, rtol=0)


def test_gradients_of_all_weights_equal_those_of_the_plain_equations() -> None:
    net, (points, directions, latents) = network(torch.float64), questions(torch.float64)
    points.requires_grad_()
    latents.requires_grad_()
    wanted = [*net.parameters(), points, latents]

    def loss(found: SirenOutput, gradient: Tensor) -> Tensor:
        eikonal = (gradient.norm(dim=-1) - 1).square().mean()
        return found.rgb.square().mean() + found.features.square().mean() + found.sdf.square().mean() + eikonal

    plain = plain_siren(net, points, directions, latents)
    (slope,) = torch.autograd.grad(plain.sdf.sum(), points, create_graph=True)
    expected = torch.autograd.grad(loss(plain, slope), wanted)
    found, gradient = net.with_gradient(points, directions, latents)
    torch.testing.assert_close(gradient, slope)
    assert_equal(found, plain, 1e-12)
    assert_equal(net(points, directions, latents), plain, 1e-12)
    for ours, theirs in zip(torch.autograd.grad(loss(found, gradient), wanted), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_distance_alone_has_the_same_gradients() -> None:
    net, (points, directions, latents) = network(torch.float64), questions(torch.float64)
    expected = torch.autograd.grad(net(points, directions, latents).sdf.square().sum(), net.pts_linears.parameters())
    found = torch.autograd.grad(net.sdf(points, latents).square().sum(), net.pts_linears.parameters())
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_any_axes_of_points() -> None:
    net, (points, directions, latents) = network(), questions()
    shape = (2, 5, 2, 5, 3)
    with torch.no_grad():
        flat = net(points, directions, latents)
        shaped = net(points.reshape(shape), directions.reshape(shape), latents)
    assert shaped.sdf.shape == shape[:-1] and shaped.features.shape == (*shape[:-1], WIDTH)
    torch.testing.assert_close(shaped.rgb.reshape(flat.rgb.shape), flat.rgb)


@pytest.mark.parametrize("gradients", [False, True])
def test_full_precision_whatever_is_allowed_outside(gradients: bool) -> None:
    net, mapping, asked = network(), RendererMapping(WIDTH), questions()
    before = torch.get_float32_matmul_precision()
    with torch.set_grad_enabled(gradients):
        expected, latents = net(*asked), mapping(asked[2])
        try:
            torch.set_float32_matmul_precision("medium")
            with torch.autocast("cpu", dtype=torch.bfloat16):
                found, known = net(*asked), mapping(asked[2])
                with_gradient, _ = net.with_gradient(*asked)
            assert torch.get_float32_matmul_precision() == "medium"
        finally:
            torch.set_float32_matmul_precision(before)
    assert_equal(found, expected, 0.0)
    assert_equal(with_gradient, expected, 1e-5)
    torch.testing.assert_close(known, latents, atol=0, rtol=0)


def test_latents_of_another_size_than_the_width_are_named() -> None:
    with pytest.raises(ValueError, match=r"style_dim is 32 and renderer.width 16: they must be equal"):
        FilmSiren(RendererConfig(width=16), 32)


def test_it_begins_as_published() -> None:
    torch.manual_seed(0)
    net = FilmSiren(RendererConfig(depth=2, width=256), 256)
    first, second = net.pts_linears
    for values, bound in (
        (first.weight, 1 / 3),
        (second.weight, (6 / 256) ** 0.5 / 25),
        (net.views_linears.weight, (6 / 259) ** 0.5 / 25),
        (net.sigma_linear.weight, (6 / 256) ** 0.5 / 25),
        (first.bias, (1 / 3) ** 0.5),
        (second.bias, 1 / 16),
        (first.gamma.bias, 1 / 16),
        (net.rgb_linear.bias, 1 / 16),
    ):
        assert 0.9 * bound < values.abs().max().item() <= bound or values.numel() < 4
    assert second.gamma.weight.std().item() == pytest.approx(0.25 * (2 / 1.04) ** 0.5 / 16, rel=0.02)
    assert RendererMapping(256)[0].weight.std().item() == pytest.approx((2 / 1.04) ** 0.5 / 16, rel=0.02)


def test_features_of_the_official_size_equal_the_plain_ones() -> None:
    """Acceptance: mean difference below 1e-4 on the features of the published render's weights."""
    fixture = Fixture.read(RENDER)
    config = RendererConfig(depth=fixture.config["depth"], width=fixture.config["width"])
    weights = {key.removeprefix("network."): value for key, value in fixture.network_weights().items()}
    weights.pop("sigmoid_beta")
    net = FilmSiren(config, fixture.config["style_dim"])
    net.load_state_dict(weights)
    rays = cameras_at(torch.tensor([[0.3, -0.1]]), CameraConfig()).rays(16)
    points = rays.at(torch.linspace(0.88, 1.12, 12).expand(1, 256, 12)).flatten(1, 2) / 0.12
    directions = rays.view_directions.repeat_interleave(12, dim=1)
    with torch.no_grad():
        found = net(points, directions, fixture.tensor("style"))
        expected = plain_siren(net, points, directions, fixture.tensor("style"))
    assert float((found.features - expected.features).abs().mean()) < 1e-4
    assert float((found.sdf - expected.sdf).abs().mean()) < 1e-5
