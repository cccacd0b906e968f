from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from framework.geometry.camera import Camera, orbit
from framework.renderers.volume.rays import Rays, between, camera_rays, inside_box
from framework.renderers.volume.sampling import evenly

MOST = torch.finfo(torch.float32).max


def one_ray(origin: tuple[float, ...], direction: tuple[float, ...]) -> Rays:
    return Rays(torch.tensor([origin]), torch.tensor([direction]))


@pytest.mark.parametrize(
    ("origin", "direction", "near", "far"),
    [
        ((0.0, 0.0, 3.0), (0.0, 0.0, -1.0), 2.0, 4.0),
        ((0.0, 0.0, 3.0), (0.0, 0.0, -2.0), 1.0, 2.0),  # t counts in the direction's length
        ((0.5, 0.0, 0.0), (1.0, 0.0, 0.0), 0.2, 0.5),  # from inside, not before `nearest`
        ((1.0, 0.0, 3.0), (0.0, 0.0, -1.0), 2.0, 4.0),  # within a side of the box, parallel to it
        ((-3.0, -3.0, -3.0), (1.0, 1.0, 1.0), 2.0, 4.0),
    ],
)
def test_where_a_ray_is_inside_the_box(
    origin: tuple[float, ...], direction: tuple[float, ...], near: float, far: float
) -> None:
    span = inside_box(one_ray(origin, direction), -1.0, 1.0, nearest=0.2)
    assert span.hit.item()
    torch.testing.assert_close(torch.cat([span.near, span.far]), torch.tensor([near, far]))


@pytest.mark.parametrize(
    ("origin", "direction"),
    [
        ((0.0, 2.0, 3.0), (0.0, 0.0, -1.0)),
        ((0.0, 0.0, 3.0), (0.0, 0.0, 0.0)),
        ((0.0, 0.0, float("nan")), (0.0, 0.0, -1.0)),
        ((0.0, 0.0, 3.0), (0.0, float("nan"), -1.0)),
        ((0.0, 0.0, 3.0), (0.0, float("inf"), -1.0)),
        ((float("inf"), 0.0, 3.0), (0.0, 0.0, -1.0)),
        ((-3.0, -1.0, 0.0), (0.0, 0.0, 1.0)),
    ],
)
def test_rays_that_hit_nothing_have_no_span(origin: tuple[float, ...], direction: tuple[float, ...]) -> None:
    span = inside_box(one_ray(origin, direction), -1.0, 1.0)
    assert not span.hit.item()
    assert span.near.item() == span.far.item() == MOST


def test_what_the_field_is_told_must_be_finite_too() -> None:
    views = torch.tensor([[0.0, torch.nan, 0.0], [0.0, 0.0, -1.0]])
    rays = Rays(torch.zeros(2, 3), torch.ones(2, 3), views)
    assert rays.valid.tolist() == [False, True]
    assert bool(rays.repaired().view_directions.isfinite().all())


def test_what_lies_behind_is_not_hit() -> None:
    span = inside_box(one_ray((0.0, 0.0, 3.0), (0.0, 0.0, 1.0)), -1.0, 1.0, nearest=0.2)
    assert not span.hit.item()
    assert span.far.item() < span.near.item() == pytest.approx(0.2)


def test_random_rays_enter_and_leave_on_the_border() -> None:
    generator = torch.Generator().manual_seed(0)
    origins = 4 * torch.rand(1000, 3, dtype=torch.float64, generator=generator) - 2
    directions = normalize(torch.randn(1000, 3, dtype=torch.float64, generator=generator), dim=-1)
    low, high = torch.tensor([-1.0, -0.5, -0.2]), torch.tensor([0.4, 0.5, 1.0])
    span = inside_box(Rays(origins, directions), low.tolist(), high.tolist())
    assert 50 < span.hit.sum() < 950
    for depth, rest in ((span.near, span.near == 0), (span.far, torch.zeros(1000, dtype=torch.bool))):
        ends = (origins + depth[:, None] * directions)[span.hit & ~rest]
        border = torch.minimum((ends - low).abs(), (ends - high).abs()).amin(dim=-1)
        assert border.max() < 1e-12
    middle = origins + 0.5 * (span.near + span.far)[:, None] * directions
    assert bool(((middle > low) & (middle < high)).all(dim=-1)[span.hit].all())


@pytest.mark.parametrize(("low", "high"), [(1.0, -1.0), (0.0, 0.0), ([-1.0, -1.0, 1.0], [1.0, 1.0, 1.0])])
def test_an_empty_box_is_an_error(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="low must lie below high"):
        inside_box(one_ray((0.0, 0.0, 3.0), (0.0, 0.0, -1.0)), low, high)


def test_moving_rays_have_finite_gradients_along_axes_too() -> None:
    origins = torch.tensor([[0.0, 0.0, 3.0]], requires_grad=True)
    directions = torch.tensor([[0.0, 0.0, -1.0]], requires_grad=True)
    rays = Rays(origins, directions)
    rays.at(evenly(inside_box(rays, -1.0, 1.0), 4)).sum().backward()
    assert origins.grad.tolist() == [[4.0, 4.0, 4.0]]
    torch.testing.assert_close(directions.grad, torch.full((1, 3), 2.0 + 8 / 3 + 10 / 3 + 4.0))


def test_between_keeps_valid_rays_only() -> None:
    rays = Rays(torch.tensor([[0.0, 0.0, 0.0], [torch.nan, 0.0, 0.0]]), torch.ones(2, 3))
    assert between(rays, 1.0, 2.0).hit.tolist() == [True, False]
    assert between(rays, 1.0, torch.tensor([0.5, 2.0])).hit.tolist() == [False, False]


@pytest.mark.parametrize(
    ("origins", "directions", "message"),
    [
        (torch.zeros(2, 3), torch.zeros(3, 3), r"directions have shape \(3, 3\), expected \(2, 3\)"),
        (torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.float64), "directions have dtype torch.float64"),
        (torch.zeros(2, 3), torch.zeros(2, 3, device="meta"), "directions have device meta, expected cpu"),
        (torch.zeros(2, 3).half(), torch.zeros(2, 3).half(), "float16, expected float32 or float64"),
        (torch.zeros(2, 3).long(), torch.zeros(2, 3).long(), "int64, expected float32"),
        (torch.zeros(2, 4), torch.zeros(2, 4), r"expected \(..., rays, 3\)"),
        (torch.zeros(3), torch.zeros(3), r"expected \(..., rays, 3\)"),
    ],
)
def test_rays_that_make_no_sense_are_errors(origins: torch.Tensor, directions: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rays(origins, directions)


def test_camera_rays_are_the_camera_s() -> None:
    camera = Camera.perspective(orbit([0.0, 30.0], 10.0, 3.0), 0.7)
    rays = camera_rays(camera, 4, 6)
    origins, directions = camera.rays(4, 6)
    assert rays.origins.shape == (2, 24, 3)
    torch.testing.assert_close(rays.directions, directions.reshape(2, 24, 3))
    torch.testing.assert_close(rays.origins, origins.reshape(2, 24, 3))


@pytest.mark.parametrize("size", [(0, 4), (4, 0)])
def test_a_picture_without_pixels_is_an_error(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="expected at least 1 x 1"):
        camera_rays(Camera.perspective(orbit(0.0, 0.0, 3.0), 0.7), *size)


def test_view_directions_have_length_one_unless_given() -> None:
    directions = torch.tensor([[0.0, 0.0, -4.0]])
    assert Rays(torch.zeros(1, 3), directions).view_directions.tolist() == [[0.0, 0.0, -1.0]]
    views = torch.tensor([[1.0, 0.0, 0.0]])
    assert Rays(torch.zeros(1, 3), directions, views).view_directions is views
