"""What cameras see of the field: chunks, jitter, networks of densities, sharpness."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from methods.stylesdf.cameras import ViewCameras, cameras_at
from methods.stylesdf.config import CameraConfig, RendererConfig
from methods.stylesdf.nets.renderer import EXTRAS, Rendered, SdfRenderer, base_depths

SMALL = RendererConfig(depth=2, width=8, N_samples=5, perturb=False)
SIDE = 6


def renderer(**options: Any) -> SdfRenderer:
    torch.manual_seed(0)
    return SdfRenderer(replace(SMALL, **options), SMALL.width)


def cameras() -> ViewCameras:
    return cameras_at(torch.tensor([[0.2, -0.1], [-0.3, 0.0]]), CameraConfig())


def latents() -> Tensor:
    return torch.randn(2, SMALL.width, generator=torch.Generator().manual_seed(3))


def seen(net: SdfRenderer, **given: Any) -> Rendered:
    return net(latents(), cameras(), SIDE, **{"extras": EXTRAS} | given)


def assert_same(found: Rendered, expected: Rendered, atol: float = 1e-5) -> None:
    for item in fields(Rendered):
        torch.testing.assert_close(getattr(found, item.name), getattr(expected, item.name), atol=atol, rtol=1e-5)


def test_shapes_and_ranges() -> None:
    out = seen(renderer())
    shapes = {item.name: tuple(getattr(out, item.name).shape) for item in fields(Rendered)}
    assert shapes == {
        "rgb": (2, 3, SIDE, SIDE),
        "features": (2, 8, SIDE, SIDE),
        "xyz": (2, 3, SIDE, SIDE),
        "mask": (2, 1, SIDE, SIDE),
        "sdf": (2, SIDE, SIDE, 5),
        "gradient": (2, SIDE, SIDE, 5, 3),
    }
    assert out.rgb.abs().max().item() <= 1 and out.gradient is not None and out.gradient.requires_grad


@pytest.mark.parametrize("extra", EXTRAS)
def test_extras_come_alone(extra: str) -> None:
    out = seen(renderer(), extras=(extra,))
    assert {item.name for item in fields(Rendered) if getattr(out, item.name) is not None} == {"rgb", extra}


def test_unknown_extras_are_named() -> None:
    with pytest.raises(ValueError, match="depth unknown. Choose from features, xyz"):
        seen(renderer(), extras=("depth",))


@pytest.mark.parametrize("options", [{}, {"force_background": True}, {"static_viewdirs": True}, {"sdf": False}])
def test_chunks_do_not_change_the_result(options: dict[str, Any]) -> None:
    whole = seen(renderer(**options))
    with torch.no_grad():
        assert_same(seen(renderer(chunk_points=37, **options)), whole)
        assert_same(seen(renderer(chunk_points=1, **options)), whole)


def test_every_flag_changes_the_picture() -> None:
    net = renderer()
    expected = seen(net, extras=()).rgb
    for change in (
        {"N_samples": 7},
        {"offset_sampling": False},
        {"z_normalize": False},
        {"static_viewdirs": True},
    ):
        assert not torch.allclose(seen(net, extras=(), options=replace(SMALL, **change)).rgb, expected, atol=1e-6)


def test_rays_that_meet_nothing_are_black_unless_the_background_is_forced() -> None:
    net = renderer()
    with torch.no_grad():
        net.network.sigma_linear.bias.fill_(1.0)
        net.sigmoid_beta.fill_(0.002)
        torch.testing.assert_close(seen(net, extras=()).rgb, torch.full((2, 3, SIDE, SIDE), -1.0))
        forced = seen(net, options=replace(SMALL, force_background=True))
    assert forced.mask is not None and forced.xyz is not None
    torch.testing.assert_close(forced.mask, torch.ones_like(forced.mask))
    rays = cameras().rays(SIDE)
    last = rays.at(base_depths(rays, cameras(), SMALL)[..., -1:])[..., 0, :]
    torch.testing.assert_close(forced.xyz.flatten(2).mT, last)


def test_jitter_is_drawn_from_torchs_generator_unless_given() -> None:
    net = renderer(perturb=True)

    def drawn(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return seen(net, extras=()).rgb

    torch.testing.assert_close(drawn(1), drawn(1), atol=0, rtol=0)
    assert not torch.equal(drawn(1), drawn(2))
    still = seen(renderer(), extras=()).rgb
    torch.testing.assert_close(seen(net, extras=(), jitter=torch.zeros(2, SIDE**2, 1)).rgb, still)


def test_stratified_samples_stay_in_their_cells() -> None:
    net, rays = renderer(offset_sampling=False, perturb=True), cameras().rays(SIDE)
    base = base_depths(rays, cameras(), net.config)
    torch.testing.assert_close(base[0, 0], torch.linspace(0.88, 1.12, 5))
    middles = 0.5 * (base[..., 1:] + base[..., :-1])
    low, high = torch.cat([base[..., :1], middles], dim=-1), torch.cat([middles, base[..., -1:]], dim=-1)
    seen_points: list[Tensor] = []
    net.network.register_forward_pre_hook(lambda _, given: seen_points.append(given[0]))
    with torch.no_grad():
        seen(net, extras=("xyz",))
    points = seen_points[0] * 0.12
    along = ((points - rays.origins[:, :, None]) * rays.directions[:, :, None]).sum(dim=-1)
    depths = along / rays.directions.square().sum(dim=-1, keepdim=True)
    assert bool((depths >= low - 1e-5).all()) and bool((depths <= high + 1e-5).all())
    assert float((depths - base).std()) > 0.001


def test_a_network_of_densities_trains() -> None:
    net = renderer(sdf=False, raw_noise_std=0.5)
    assert "sigmoid_beta" not in net.state_dict()
    noise = torch.randn(2, SIDE**2, 5, generator=torch.Generator().manual_seed(4))
    out = seen(net, density_noise=noise, extras=("sdf",))
    assert out.sdf is not None and not torch.allclose(out.rgb, seen(net.eval(), extras=()).rgb)
    with torch.no_grad():
        chunked = renderer(sdf=False, raw_noise_std=0.5, chunk_points=20)
        torch.testing.assert_close(seen(chunked, density_noise=noise, extras=()).rgb, out.rgb, atol=1e-5, rtol=0)
    out.rgb.square().mean().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in net.parameters())


def test_density_noise_is_drawn_in_training_only() -> None:
    net = renderer(sdf=False, raw_noise_std=0.5)
    assert not torch.equal(seen(net, extras=()).rgb, seen(net, extras=()).rgb)
    net.eval()
    torch.testing.assert_close(seen(net, extras=()).rgb, seen(net, extras=()).rgb, atol=0, rtol=0)


def test_the_sharpness_is_held_in_training_only() -> None:
    net = renderer(beta_min=0.02)
    with torch.no_grad():
        net.sigmoid_beta.fill_(0.001)
    held = seen(net, extras=()).rgb
    free = seen(net.eval(), extras=()).rgb
    assert not torch.allclose(held, free)
    with torch.no_grad():
        net.sigmoid_beta.fill_(0.02)
    torch.testing.assert_close(seen(net, extras=()).rgb, held)


def test_the_distance_at_world_points_is_the_one_along_the_rays() -> None:
    net = renderer().eval()
    out, rays = seen(net, extras=("sdf",)), cameras().rays(SIDE)
    points = rays.at(base_depths(rays, cameras(), net.config)).flatten(1, 2)
    for gradients in (False, True):
        with torch.set_grad_enabled(gradients):
            found = net.sdf(latents(), points, 0.12)
        assert out.sdf is not None
        torch.testing.assert_close(found, out.sdf.flatten(1), atol=1e-6, rtol=0)
    answers = net.field(latents(), 0.12).query(points, torch.zeros_like(points))
    assert answers.sdf is not None
    torch.testing.assert_close(answers.sdf, out.sdf.flatten(1), atol=1e-6, rtol=0)
