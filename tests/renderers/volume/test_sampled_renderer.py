from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn.functional import normalize

from framework.geometry.camera import Camera, orbit
from framework.renderers.volume.densities import density_opacity, neus_opacity, sigmoid_density
from framework.renderers.volume.fields import FieldAnswerError, FieldSamples
from framework.renderers.volume.rays import Rays, camera_rays, inside_box
from framework.renderers.volume.renderer import Placement, SampledRenderer, Stretches, halves
from framework.renderers.volume.sampling import by_importance, evenly, gaps, halfway, regular_shares
from tests.renderers.volume.fields_for_tests import Ball, Fog, Network

BETA = 0.01


def place(rays: Rays) -> Placement:
    span = inside_box(rays, -1.0, 1.0)
    return Placement(evenly(span, 48), span.hit, shares=regular_shares(span.near, 16))


def cut_sdf(answer: FieldSamples, rays: Rays, placement: Placement) -> Stretches:
    density = answer.density if answer.sdf is None else sigmoid_density(answer.sdf, BETA)
    return Stretches(density_opacity(density, gaps(placement.depths, 0.0)), answer, placement.depths)


def cut_neus(answer: FieldSamples, rays: Rays, placement: Placement) -> Stretches:
    middle, middles = halves(answer, placement.depths)
    return Stretches(neus_opacity(answer.sdf, 100.0), middle, middles)


def refine(depths: Tensor, weights: Tensor, shares: Tensor) -> Tensor:
    return by_importance(halfway(depths), weights[..., 1:-1], shares)


RENDERER = SampledRenderer(place=place, cut=cut_sdf, background=(1.0, 1.0, 1.0))


def picture(size: int = 12) -> Rays:
    return camera_rays(Camera.perspective(orbit(20.0, 10.0, 3.0), 0.7), size, size)


def random_rays(count: int, dtype: torch.dtype = torch.float64) -> Rays:
    generator = torch.Generator().manual_seed(1)
    origins = 3 * normalize(torch.randn(count, 3, dtype=dtype, generator=generator), dim=-1)
    target = torch.rand(count, 3, dtype=dtype, generator=generator) - 0.5
    return Rays(origins, normalize(target - origins, dim=-1))


@pytest.mark.parametrize("cut", [cut_sdf, cut_neus])
def test_a_ball_is_seen_where_it_is(cut: Any) -> None:
    rays = picture(24)
    with torch.no_grad():
        out = replace(RENDERER, cut=cut, refine=refine, normals=True).render(Ball(), rays)
    closest = (rays.origins - (rays.origins * rays.directions).sum(-1, keepdim=True) * rays.directions).norm(dim=-1)
    solid, empty = closest < 0.45, closest > 0.6
    assert out.opacity[solid].min() > 0.99 and out.opacity[empty].max() < 0.01
    surface = rays.origins + out.depth[:, None] * rays.directions
    assert (surface.norm(dim=-1) - 0.5).abs()[solid].max() < 0.03
    assert (out.normal - normalize(surface, dim=-1)).abs()[solid].max() < 0.05
    torch.testing.assert_close(out.colour[empty], torch.ones_like(out.colour[empty]), atol=0.02, rtol=0)


def test_fog_stops_what_beer_s_law_says() -> None:
    rays = random_rays(20)
    span = inside_box(rays, -1.0, 1.0)

    def cut(answer: FieldSamples, rays: Rays, placement: Placement) -> Stretches:
        lengths = gaps(placement.depths, placement.end - placement.depths[..., -1])
        return Stretches(density_opacity(answer.density, lengths), answer, placement.depths)

    def starts(rays: Rays) -> Placement:
        return Placement(evenly(span, 48, ends=False), span.hit, span.far)

    out = SampledRenderer(place=starts, cut=cut, background=(1.0, 0.0, 0.0), chunk=7).render(Fog(0.7), rays)
    stopped = 1 - torch.exp(-0.7 * (span.far - span.near))
    torch.testing.assert_close(out.opacity, stopped)
    colour = torch.tensor([0.2, 0.4, 0.6], dtype=torch.float64)
    behind = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(out.colour, stopped[:, None] * colour + (1 - stopped)[:, None] * behind)


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_chunks_change_neither_values_nor_gradients(chunk: int) -> None:
    rays, network = random_rays(30), Network()
    renderer = replace(
        RENDERER, refine=refine, normals=True, extras=("features", "semantics", "points", "sdf", "gradient")
    )

    def everything(renderer: SampledRenderer) -> dict[str, Tensor]:
        network.zero_grad()
        out = renderer.render(network, rays)
        found = {"colour": out.colour, "depth": out.depth, "opacity": out.opacity, "normal": out.normal} | out.extras
        loss = sum((value * (1 + index)).sin().sum() for index, value in enumerate(found.values()))
        loss = loss + (out.extras["gradient"].norm(dim=-1) - 1).square().mean()
        loss.backward()
        return found | {name: value.grad.clone() for name, value in network.named_parameters()}

    whole, parts = everything(replace(renderer, chunk=10_000)), everything(replace(renderer, chunk=chunk))
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-9, atol=1e-9, msg=name)


def test_chunks_are_computed_again_instead_of_kept() -> None:
    ball, rays = Ball(), random_rays(10)
    beta = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)

    def cut(answer: FieldSamples, rays: Rays, placement: Placement) -> Stretches:
        return Stretches(
            density_opacity(sigmoid_density(answer.sdf, beta), gaps(placement.depths, 0.0)), answer, placement.depths
        )

    out = replace(RENDERER, cut=cut, chunk=4).render(ball, rays)
    assert len(ball.asked) == 3
    out.opacity.sum().backward()
    assert len(ball.asked) == 6
    assert beta.grad.abs() > 0


@pytest.mark.parametrize("signed", [True, False])
def test_gradients_agree_with_finite_differences(signed: bool) -> None:
    rays, network = random_rays(2), Network(signed)

    def render(first: Tensor, last: Tensor) -> tuple[Tensor, ...]:
        rest = network.first.bias.detach()[4:]
        biases = {"network.first.bias": torch.cat([first, rest]), "network.last.bias": last}
        return torch.func.functional_call(_Rendered(network, rays), biases, ())

    first, last = network.first.bias.detach()[:4], network.last.bias.detach()
    assert gradcheck(render, (first.requires_grad_(), last.requires_grad_()), atol=1e-6)


class _Rendered(torch.nn.Module):
    """A network's picture as a function of its weights: colours, normals (first derivatives) and an eikonal term."""

    def __init__(self, network: Network, rays: Rays) -> None:
        super().__init__()
        self.network, self.rays = network, rays

    def forward(self) -> tuple[Tensor, ...]:
        renderer = replace(RENDERER, place=few, cut=soft, normals=True, extras=("gradient", "features"), chunk=1)
        out = renderer.render(self.network, self.rays)
        eikonal = (out.extras["gradient"].norm(dim=-1) - 1).square().mean()
        return out.colour, out.depth, out.normal, out.extras["features"], eikonal


def few(rays: Rays) -> Placement:
    span = inside_box(rays, -1.0, 1.0)
    return Placement(evenly(span, 6), span.hit)


def soft(answer: FieldSamples, rays: Rays, placement: Placement) -> Stretches:
    density = answer.density if answer.sdf is None else sigmoid_density(answer.sdf, 0.2)
    return Stretches(density_opacity(density, gaps(placement.depths, 0.1)), answer, placement.depths)


def test_rays_that_hit_nothing_see_the_background() -> None:
    good = random_rays(4, torch.float32)
    origins, directions = good.origins.clone(), good.directions.clone()
    origins[1, 0], directions[2], directions[3] = torch.nan, 0.0, -directions[3]
    rays, network = Rays(origins, directions), Network(dtype=torch.float32)
    out = replace(RENDERER, normals=True, extras=("features", "points")).render(network, rays)
    assert out.opacity[0] > 0
    assert out.opacity[1:].tolist() == out.depth[1:].tolist() == [0.0, 0.0, 0.0]
    assert out.colour[1:].tolist() == [[1.0, 1.0, 1.0]] * 3
    (out.colour.sum() + out.normal.sum() + out.depth.sum()).backward()
    assert all(bool(value.grad.isfinite().all()) for value in network.parameters() if value.grad is not None)
    alone = RENDERER.render(network, good.part(slice(0, 1)))
    torch.testing.assert_close(out.colour[:1], alone.colour)


def test_no_rays_give_an_empty_picture() -> None:
    out = replace(RENDERER, normals=True).render(Ball(), Rays(torch.zeros(0, 3), torch.zeros(0, 3)))
    assert out.colour.shape == out.normal.shape == (0, 3)
    assert out.depth.shape == out.opacity.shape == (0,)


def test_a_batch_of_fields_is_rendered_as_one_by_one() -> None:
    rays = random_rays(6)
    both = Rays(
        torch.stack([rays.origins, rays.origins.flip(0)]), torch.stack([rays.directions, rays.directions.flip(0)])
    )

    class Balls:
        def query(self, points: Tensor, directions: Tensor) -> FieldSamples:
            radius = torch.tensor([0.3, 0.6], dtype=points.dtype).view(2, 1, 1)
            return FieldSamples(sdf=points.norm(dim=-1) - radius, colour=points.abs())

    out = replace(RENDERER, chunk=4).render(Balls(), both)
    assert out.colour.shape == (2, 6, 3)

    class Small:
        def query(self, points: Tensor, directions: Tensor) -> FieldSamples:
            return FieldSamples(sdf=points.norm(dim=-1) - 0.3, colour=points.abs())

    torch.testing.assert_close(out.colour[0], RENDERER.render(Small(), rays).colour)


def test_faint_samples_add_no_colour_but_opacity() -> None:
    rays = random_rays(5)
    plain = replace(RENDERER, background=None).render(Fog(0.5), rays)
    cut_off = replace(RENDERER, background=None, faintest=1.0).render(Fog(0.5), rays)
    assert cut_off.colour.abs().max() == 0
    torch.testing.assert_close(cut_off.opacity, plain.opacity)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda points: FieldSamples(colour=points), "neither sdf nor density"),
        (lambda points: FieldSamples(sdf=points[..., :1]), "sdf has shape"),
        (lambda points: FieldSamples(sdf=points[..., 0], colour=points[..., 0, :]), "colour has shape"),
        (lambda points: FieldSamples(sdf=points[..., 0].to("meta")), "on meta for points"),
    ],
)
def test_an_answer_that_does_not_fit_is_named(answer: Any, message: str) -> None:
    class Wrong:
        def query(self, points: Tensor, directions: Tensor) -> FieldSamples:
            return answer(points)

    with pytest.raises(FieldAnswerError, match=message):
        RENDERER.render(Wrong(), random_rays(2))


def test_half_precision_answers_are_composited_in_the_rays_precision() -> None:
    class Half:
        def query(self, points: Tensor, directions: Tensor) -> FieldSamples:
            return FieldSamples(sdf=(points.norm(dim=-1) - 0.5).half(), colour=points.half())

    assert RENDERER.render(Half(), random_rays(2, torch.float32)).colour.dtype == torch.float32


def test_options_that_make_no_sense_are_errors() -> None:
    with pytest.raises(ValueError, match="colours unknown. Choose from features"):
        replace(RENDERER, extras=("colours",))
    with pytest.raises(ValueError, match="chunk is 0"):
        replace(RENDERER, chunk=0)
    with pytest.raises(ValueError, match="has no shares"):
        replace(RENDERER, place=few, refine=refine).render(Ball(), random_rays(2))
    flat = replace(RENDERER, place=lambda rays: few(rays)._replace(depths=torch.zeros(6)))
    with pytest.raises(ValueError, match=r"expected the axes \(2,\) of the rays"):
        flat.render(Ball(), random_rays(2))


class KnowingBall(Ball):
    """Says its gradient by itself, in half precision."""

    def query_with_gradient(self, points: Tensor, directions: Tensor) -> tuple[FieldSamples, Tensor]:
        return self.query(points, directions), normalize(points, dim=-1).half()


@pytest.mark.parametrize("gradients", [False, True])
def test_a_field_that_knows_its_gradient_is_not_differentiated(gradients: bool) -> None:
    rays, renderer = random_rays(20), replace(RENDERER, normals=True, extras=("gradient",))
    with torch.set_grad_enabled(gradients):
        expected, found = renderer.render(Ball(), rays), renderer.render(KnowingBall(), rays)
    torch.testing.assert_close(found.extras["gradient"], expected.extras["gradient"], atol=1e-3, rtol=0)
    torch.testing.assert_close(found.colour, expected.colour)
    assert not found.extras["gradient"].requires_grad and found.normal is not None


def test_answers_of_a_field_that_knows_its_gradient_are_checked_too() -> None:
    class Confused(KnowingBall):
        def query(self, points: Tensor, directions: Tensor) -> FieldSamples:
            return FieldSamples(sdf=points)

    with pytest.raises(FieldAnswerError, match="sdf has shape"):
        replace(RENDERER, normals=True).render(Confused(), random_rays(5))


@pytest.mark.parametrize("chunk", [1000, 7])
def test_each_sample_gets_its_own_noise_in_every_chunk(chunk: int) -> None:
    rays = random_rays(20)
    noise = torch.rand(20, 48, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    def noisy(rays: Rays) -> Placement:
        return place(rays)._replace(noise=noise)

    def cut(answer: FieldSamples, rays: Rays, placement: Placement) -> Stretches:
        return Stretches(placement.noise / 48, answer, placement.depths)

    out = replace(RENDERER, place=noisy, cut=cut, chunk=chunk).render(Fog(), rays)
    hit = place(rays).hit
    passed = torch.cumprod(1 - noise / 48, dim=-1)[:, -1]
    torch.testing.assert_close(out.opacity, torch.where(hit, 1 - passed, 0.0))
