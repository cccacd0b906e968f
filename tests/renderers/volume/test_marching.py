from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn.functional import normalize

from framework.optional import has
from framework.renderers.volume import marching
from framework.renderers.volume.densities import density_opacity
from framework.renderers.volume.fields import FieldAnswerError, FieldSamples
from framework.renderers.volume.marched_renderer import MarchedRenderer
from framework.renderers.volume.marching import Walk, diagonal_step, fastest_walk, lattice_walk, march
from framework.renderers.volume.occupancy_grid import OccupancyGrid, all_cells, cell_centres, new_grid
from framework.renderers.volume.rays import Rays, Span
from framework.renderers.volume.renderer import Placement, SampledRenderer, Stretches
from tests.renderers.volume.fields_for_tests import Fog, Network

STEP = diagonal_step(64)


def some_grid(size: int = 16, share: float = 0.3) -> OccupancyGrid:
    occupied = torch.rand(size, size, size, generator=torch.Generator().manual_seed(3)) < share
    return OccupancyGrid(occupied.float(), occupied)


def full_grid(size: int = 4) -> OccupancyGrid:
    return OccupancyGrid(torch.ones(size, size, size), torch.ones(size, size, size, dtype=torch.bool))


def some_rays(count: int = 60, dtype: torch.dtype = torch.float32) -> Rays:
    """From outside and inside, towards the box and away from it, some along its axes."""
    generator = torch.Generator().manual_seed(2)
    origins = 5 * torch.rand(count, 3, generator=generator, dtype=dtype) - 2.5
    origins[: count // 4] *= 0.3
    target = 2 * torch.rand(count, 3, generator=generator, dtype=dtype) - 1
    directions = normalize(target - origins, dim=-1)
    directions[-count // 8 :] *= -1
    directions[:3], origins[:3] = torch.eye(3, dtype=dtype), origins[:3] * 0.1
    return Rays(origins, directions)


def walked(
    rays: Rays, grid: OccupancyGrid, step: float, most: int, nearest: float, offset: Tensor
) -> list[list[float]]:
    """The definition, ray by ray and step by step, in float32."""
    size, found = grid.resolution, []
    one, two = np.float32(1), np.float32(2)
    with np.errstate(divide="ignore"):
        for origin, direction, shift in zip(rays.origins.numpy(), rays.directions.numpy(), offset.numpy(), strict=True):
            first, second = ((side - origin) * (one / direction) for side in (-one, one))
            near = max(np.minimum(first, second).max(), np.float32(nearest))
            far, depth, own = np.maximum(first, second).min(), near + shift * np.float32(step), []
            while depth < far and len(own) < most:
                place = np.clip(origin + depth * direction, -one, one)
                cell = np.clip((place + one) / two * np.float32(size), 0, size - 1).astype(int)
                if grid.occupied[tuple(cell)]:
                    own.append(float(depth))
                depth = depth + np.float32(step)
            found.append(own)
    return found


@pytest.fixture(params=["lattice", "warp"])
def walk(request: pytest.FixtureRequest) -> Walk:
    if request.param == "lattice":
        return lattice_walk
    if not has("warp", attribute="kernel"):
        pytest.skip("needs the extra 'warp'")
    return fastest_walk()


@pytest.mark.parametrize("most", [1000, 7])
@pytest.mark.parametrize("size", [16, 7])
def test_samples_are_those_of_a_step_by_step_walk(most: int, size: int, walk: Walk) -> None:
    rays, grid = some_rays(), some_grid(size)
    offset = torch.rand(rays.count, generator=torch.Generator().manual_seed(5))
    found = march(rays, grid, STEP, most, 0.2, offset, walk)
    expected = walked(rays, grid, STEP, most, 0.2, offset)
    assert found.counts.tolist() == [len(own) for own in expected]
    assert found.depth.tolist() == [depth for own in expected for depth in own]
    assert found.ray.tolist() == [ray for ray, own in enumerate(expected) for _ in own]
    assert found.rank.tolist() == [rank for own in expected for rank in range(len(own))]
    assert found.counts.max() > 5 and (found.counts == 0).any()


def test_memory_limits_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = march(some_rays(), some_grid(), STEP, 1000)
    monkeypatch.setattr(marching, "LATTICE", 500)
    parts = march(some_rays(), some_grid(), STEP, 1000)
    assert torch.equal(whole.depth, parts.depth) and torch.equal(whole.counts, parts.counts)


def test_walks_agree_on_sparse_grids(walk: Walk) -> None:
    """Most of the box is skipped in large cells, along axes too, from far away and with long directions."""
    rays, grid = some_rays(400), some_grid(40, share=0.01)
    far = Rays(rays.origins - 40 * rays.directions, 3.0 * rays.directions)
    farther = Rays(rays.origins - 20_000 * rays.directions, rays.directions)  # a step is 1.5 of the smallest numbers
    for asked in (rays, far, farther):
        dense = OccupancyGrid(grid.density, torch.ones_like(grid.occupied))
        every = march(asked, dense, 0.003, 10_000)
        place = every.points(asked)
        cell = (0.5 * (place + 1) * 40).long().clamp(0, 39)
        kept = grid.occupied[cell.unbind(-1)]
        found = march(asked, grid, 0.003, 10_000, walk=walk)
        assert len(found.depth) > 100
        assert torch.equal(found.depth, every.depth[kept]) and torch.equal(found.ray, every.ray[kept])


def test_the_compiled_walk_is_for_float32() -> None:
    if not has("warp", attribute="kernel"):
        pytest.skip("needs the extra 'warp'")
    with pytest.raises(ValueError, match="float64, expected float32"):
        march(some_rays(dtype=torch.float64), some_grid(), STEP, 100, walk=fastest_walk())


@pytest.mark.gpu
def test_walks_agree_on_the_gpu(walk: Walk) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    rays, grid = some_rays(), some_grid()
    moved = Rays(rays.origins.to("cuda"), rays.directions.to("cuda"))
    found = march(moved, OccupancyGrid(grid.density.to("cuda"), grid.occupied.to("cuda")), STEP, 1000, walk=walk)
    expected = march(rays, grid, STEP, 1000)
    assert torch.equal(found.counts.cpu(), expected.counts) and torch.equal(found.depth.cpu(), expected.depth)


def test_depths_count_in_the_length_of_directions(walk: Walk) -> None:
    rays = some_rays()
    longer = Rays(rays.origins, 2.0 * rays.directions)
    fog = Fog(density=0.8)
    once = MarchedRenderer(grid=full_grid(), step=STEP, walk=walk).render(fog, rays)
    twice = MarchedRenderer(grid=full_grid(), step=0.5 * STEP, walk=walk).render(fog, longer)
    torch.testing.assert_close(twice.opacity, once.opacity)
    torch.testing.assert_close(2.0 * twice.depth, once.depth)


def test_far_cells_and_empty_grids(walk: Walk) -> None:
    assert march(some_rays(), new_grid(8), STEP, 100, walk=walk).counts.sum() == 0
    one_cell = full_grid(1)
    found = march(some_rays(), one_cell, STEP, 100, walk=walk)
    length = torch.where(found.span.hit, found.span.far - found.span.near, 0.0)
    torch.testing.assert_close(found.counts.float(), (length / STEP).ceil(), atol=1.0, rtol=0)


def test_bad_rays_have_no_samples(walk: Walk) -> None:
    origins = torch.tensor([[0.0, 0.0, 3.0]]).repeat(5, 1)
    directions = torch.tensor([[0.0, 0.0, -1.0]]).repeat(5, 1)
    origins[0, 1], directions[1, 2], directions[2] = torch.nan, torch.nan, 0.0
    directions[3, 0] = torch.inf
    found = march(Rays(origins, directions), full_grid(), STEP, 100, walk=walk)
    assert (found.counts[:4] == 0).all() and found.counts[4] > 20
    assert march(Rays(torch.zeros(0, 3), torch.zeros(0, 3)), full_grid(), STEP, 100, walk=walk).counts.shape == (0,)


def test_far_away_rays_end(walk: Walk) -> None:
    rays = Rays(torch.tensor([[0.0, 0.0, 1e6]]), torch.tensor([[0.0, 0.0, -1.0]]))
    assert march(rays, full_grid(), 1e-3, 10, walk=walk).counts.item() == 0
    assert march(rays, new_grid(4), 1e-3, 10, walk=walk).counts.item() == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step": 0.0}, "must be positive"),
        ({"step": float("nan")}, "must be positive"),
        ({"most": 0}, "must be positive"),
        ({"offset": torch.zeros(3)}, r"offset is torch.float32 of shape \(3,\)"),
        ({"offset": torch.zeros(8).double()}, "offset is torch.float64"),
        ({"rays": Rays(torch.zeros(2, 4, 3), torch.ones(2, 4, 3))}, r"expected \(R, 3\)"),
        ({"rays": Rays(torch.zeros(4, 3, device="meta"), torch.ones(4, 3, device="meta"))}, "Move one of them"),
    ],
)
def test_what_makes_no_sense_is_an_error(change: dict, message: str) -> None:
    given = {"rays": some_rays(8), "grid": full_grid(), "step": STEP, "most": 10}
    with pytest.raises(ValueError, match=message):
        march(**given | change)


RENDERER = MarchedRenderer(grid=full_grid(), step=STEP, background=(1.0, 1.0, 1.0))


def test_a_full_grid_gives_what_even_samples_give() -> None:
    rays, network = some_rays(40, torch.float64), Network(signed=False)
    out = RENDERER.render(network, rays)
    counts = march(rays, full_grid(), STEP, 1024).counts
    longest = int(counts.max())

    def place(rays: Rays) -> Placement:
        span: Span = march(rays, full_grid(), STEP, 1024).span
        near = torch.where(span.hit, span.near, 0.0)
        return Placement(near[:, None] + STEP * torch.arange(longest), span.hit)

    def cut(answer: FieldSamples, rays: Rays, placement: Placement) -> Stretches:
        opacity = density_opacity(answer.density, torch.full_like(placement.depths, STEP))
        return Stretches(torch.where(torch.arange(longest) < counts[:, None], opacity, 0.0), answer, placement.depths)

    even = SampledRenderer(place=place, cut=cut, background=(1.0, 1.0, 1.0)).render(network, rays)
    assert out.opacity.max() > 0.5
    bright = 1 - out.opacity > 1e-3  # the others stop early
    for name in ("colour", "depth", "opacity"):
        torch.testing.assert_close(getattr(out, name)[bright], getattr(even, name)[bright])


@pytest.mark.parametrize("late", [False, True])
def test_rays_stop_when_they_are_dark(late: bool) -> None:
    fog, rays = Fog(density=1.0 / STEP), Rays(torch.tensor([[0.0, 0.0, 3.0]]), torch.tensor([[0.0, 0.0, -1.0]]))
    out = MarchedRenderer(grid=full_grid(), step=STEP, least_light=1e-2, late=late).render(fog, rays)
    counted = 5 + late  # exp(-5) is the first below a hundredth, reached behind the fifth sample
    assert out.extras["samples"].item() == counted
    assert out.opacity.item() == pytest.approx(1 - np.exp(-counted))


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(("chunk", "wave"), [(7, 16), (1000, 1), (13, 3)])
def test_chunks_and_waves_change_nothing(late: bool, chunk: int, wave: int) -> None:
    rays, network = some_rays(dtype=torch.float64), Network(signed=False)
    offset = torch.rand(rays.count, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    plain = MarchedRenderer(grid=some_grid(), step=STEP, background=(0.1, 0.2, 0.3), least_light=0.3, late=late)
    other = MarchedRenderer(
        grid=some_grid(), step=STEP, background=(0.1, 0.2, 0.3), least_light=0.3, late=late, chunk=chunk, wave=wave
    )
    gradients = []
    for renderer in (plain, other):
        network.zero_grad()
        out = renderer.render(network, rays, offset)
        (out.colour.square().sum() + out.depth.sum()).backward()
        gradients.append([value.grad.clone() for value in network.parameters()])
        with torch.no_grad():
            unrecorded = renderer.render(network, rays, offset)
        for name in ("colour", "depth", "opacity"):
            torch.testing.assert_close(getattr(unrecorded, name), getattr(out, name))
        assert torch.equal(unrecorded.extras["samples"], out.extras["samples"])
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two)


def test_without_gradients_dark_rays_are_asked_no_more() -> None:
    rays = Rays(torch.tensor([[0.0, 0.0, 3.0]]), torch.tensor([[0.0, 0.0, -1.0]]))
    fog = Fog(density=1e4)
    with torch.no_grad():
        MarchedRenderer(grid=full_grid(), step=STEP, wave=4).render(fog, rays)
    assert fog.asked == [4]


def test_gradients_agree_with_finite_differences() -> None:
    rays, network = some_rays(6, torch.float64), Network(signed=False)
    renderer = MarchedRenderer(grid=some_grid(), step=diagonal_step(16), least_light=0.0, chunk=4)

    def render(bias: Tensor) -> tuple[Tensor, ...]:
        out = renderer.render(_With(network, bias), rays)
        return out.colour, out.depth, out.opacity

    assert gradcheck(render, (network.last.bias.detach().requires_grad_(),))


class _With:
    """A network whose last bias is given."""

    def __init__(self, network: Network, bias: Tensor) -> None:
        self.network, self.bias = network, bias

    def query(self, points: Tensor, directions: Tensor) -> FieldSamples:
        hidden = torch.sin(3.0 * self.network.first(torch.cat([points, directions], dim=-1)))
        out = hidden @ self.network.last.weight.t() + self.bias
        return FieldSamples(density=torch.exp(out[..., 0]), colour=out[..., 1:4].sigmoid())


def test_rays_that_hit_nothing_see_the_background_at_depth_zero() -> None:
    origins = torch.tensor([[0.0, 0.0, 3.0], [0.0, 5.0, 3.0], [torch.nan, 0.0, 3.0]])
    rays = Rays(origins, torch.tensor([[0.0, 0.0, -1.0]]).repeat(3, 1))
    out = RENDERER.render(Fog(), rays)
    assert out.opacity[0] > 0.9
    assert out.colour[1:].tolist() == [[1.0, 1.0, 1.0]] * 2
    assert out.depth[1:].tolist() == out.opacity[1:].tolist() == [0.0, 0.0]


def test_axes_of_rays_are_kept() -> None:
    rays = some_rays(12)
    shaped = Rays(rays.origins.view(3, 4, 3), rays.directions.view(3, 4, 3))
    offset = torch.rand(3, 4)
    out = RENDERER.render(Fog(), shaped, offset)
    assert out.colour.shape == (3, 4, 3) and out.depth.shape == (3, 4)
    torch.testing.assert_close(out.colour.view(12, 3), RENDERER.render(Fog(), rays, offset.view(12)).colour)
    assert RENDERER.render(Fog(), Rays(torch.zeros(0, 3), torch.zeros(0, 3))).colour.shape == (0, 3)


def test_fields_without_density_or_colour_are_errors() -> None:
    class Shape:
        def query(self, points: Tensor, directions: Tensor) -> FieldSamples:
            return FieldSamples(sdf=points[..., 0])

    with pytest.raises(FieldAnswerError, match="needs the field's density and colour"):
        RENDERER.render(Shape(), some_rays(4))


def test_cells_are_where_their_centres_are() -> None:
    cells = all_cells(new_grid(4))
    assert cells[1].tolist() == [0, 0, 1]
    assert cell_centres(cells, 4)[1].tolist() == [-0.75, -0.75, -0.25]
