"""The shared renderer gives the numbers of two published ones, here with their networks written out as functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import radians
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import grid_sample, linear, normalize, softplus

from framework.geometry.camera import Camera, look_at
from framework.renderers.volume.densities import density_opacity, shifted_softplus, sigmoid_density
from framework.renderers.volume.fields import FieldSamples
from framework.renderers.volume.rays import Rays, Span, between, camera_rays, inside_box
from framework.renderers.volume.renderer import Placement, SampledRenderer, Stretches, halves
from framework.renderers.volume.sampling import (
    blurred,
    by_importance,
    evenly,
    gaps,
    halfway,
    shifted,
    stratified,
)
from tests.parity import fill
from tests.parity.fixture import Fixture

FOLDER = Path(__file__).parent / "published"
FIXTURES = Path(__file__).parents[2] / "parity" / "fixtures"


@dataclass(frozen=True)
class SineField:
    """Sine layers whose frequency and phase come from a style (B, C)."""

    weights: dict[str, Tensor]
    style: Tensor
    depth: int
    scale: float
    features: bool
    signed: bool

    def query(self, points: Tensor, directions: Tensor) -> FieldSamples:
        hidden = points * self.scale
        for layer in range(self.depth):
            hidden = self._film(f"pts_linears.{layer}", hidden)
        surface = self._linear("sigma_linear", hidden)[..., 0]
        features = self._film("views_linears", torch.cat([hidden, directions], dim=-1))
        return FieldSamples(
            sdf=surface if self.signed else None,
            density=None if self.signed else surface,
            colour=self._linear("rgb_linear", features).sigmoid(),
            features=features if self.features else None,
        )

    def _film(self, name: str, values: Tensor) -> Tensor:
        frequency = 15.0 * self._linear(f"{name}.gamma", self.style) + 30.0
        phase = 0.25 * self._linear(f"{name}.beta", self.style)
        return torch.sin(frequency[:, None, None] * self._linear(name, values) + phase[:, None, None])

    def _linear(self, name: str, values: Tensor) -> Tensor:
        return linear(values, self.weights[f"network.{name}.weight"], self.weights[f"network.{name}.bias"])


def picture_rays(locations: Sequence[Sequence[float]], size: int, half_angle: float, static: bool) -> Rays:
    """Rays (B, size^2) from the unit sphere, whose t is the depth along the optical axis."""
    azimuth, elevation = torch.tensor(locations, dtype=torch.float64).t()
    eye = torch.stack([elevation.cos() * azimuth.sin(), elevation.sin(), elevation.cos() * azimuth.cos()], dim=-1)
    pose = look_at(eye)
    rays = camera_rays(Camera.perspective(pose, 2 * radians(half_angle)), size, size)
    forward = -pose[:, None, :3, 2]
    directions = rays.directions / (rays.directions * forward).sum(dim=-1, keepdim=True)
    in_camera = normalize(directions @ pose[:, :3, :3], dim=-1)
    return Rays(rays.origins, directions, in_camera if static else None)


def variant(fixture: Fixture, name: str, chunk: int) -> dict[str, Tensor]:
    config, options = fixture.config, fixture.config["variants"][name]
    size, count, radius = config["out_im_res"], config["N_samples"], config["dist_radius"]
    near, far, signed = 1 - radius, 1 + radius, not options.get("no_sdf")
    weights = fixture.network_weights()
    field = SineField(
        weights,
        torch.from_numpy(fill.inputs("render.small.style", (2, config["style_dim"]), fixture.salt)),
        config["depth"],
        1.0 if options.get("no_z_normalize") else 2.0 / (far - near),
        not options.get("no_features"),
        signed,
    )

    def place(rays: Rays) -> Placement:
        span = between(rays, near, far)
        depths = evenly(span, count, ends=bool(options.get("no_offset_sampling")))
        if options["perturb"]:
            noise = torch.from_numpy(fixture.stored(f"{name}.t_rand")).flatten(1, 2)
            if options.get("no_offset_sampling"):
                depths = stratified(depths, noise)
            else:
                depths = shifted(depths, noise[..., None], span.far)
        return Placement(depths, span.hit)

    def cut(answer: FieldSamples, rays: Rays, placement: Placement) -> Stretches:
        lengths = gaps(placement.depths, 1e10) * rays.directions.norm(dim=-1, keepdim=True)
        density = sigmoid_density(answer.sdf, weights["sigmoid_beta"]) if signed else softplus(answer.density)
        return Stretches(density_opacity(density, lengths), answer, placement.depths)

    renderer = SampledRenderer(
        place=place,
        cut=cut,
        epsilon=1e-10,
        closed=bool(options.get("force_background")),
        extras=("features", "points", "sdf", "density", *(("gradient",) if name == "eikonal" else ())),
        chunk=chunk,
    )
    rays = picture_rays(fixture.descriptions["locations"], size, config["fov"], bool(options.get("static_viewdirs")))
    out = renderer.render(field, rays)

    def picture(values: Tensor) -> Tensor:
        return values.transpose(1, 2).unflatten(2, (size, size))

    raw = out.extras["sdf" if signed else "density"]
    found = {
        "rgb": picture(2.0 * out.colour - 1.0),
        "sdf": raw.unflatten(1, (size, size)),
        "xyz": picture(out.extras["points"]),
        "mask": picture(out.weights[..., -1:]),
    }
    if "features" in out.extras:
        found["features"] = picture(out.extras["features"])[:, ::8]
    if "gradient" in out.extras:
        found["eikonal"] = out.extras["gradient"].unflatten(1, (size, size))
    return found


SDF_FIXTURE = Fixture.read(FIXTURES / "stylesdf" / "volume_render_variants.json")


@pytest.mark.parametrize("chunk", [10_000, 50])
@pytest.mark.parametrize("name", SDF_FIXTURE.config["variants"])
def test_sdf_renderer(name: str, chunk: int) -> None:
    expected = {key: value for key, value in SDF_FIXTURE.expected.items() if key.startswith(f"{name}.")}
    assert expected
    found = variant(SDF_FIXTURE, name, chunk)
    for key, value in expected.items():
        tolerance = SDF_FIXTURE.facts["tolerance"][key]
        np.testing.assert_allclose(found[key.split(".")[1]].detach(), value, **tolerance, err_msg=key)


@dataclass(frozen=True)
class PlaneField:
    """Heads over three planes (B, 3, C, R, R); nothing outside the box."""

    weights: dict[str, Tensor]
    planes: Tensor

    def query(self, points: Tensor, directions: Tensor) -> FieldSamples:
        pairs = (points[..., [0, 1]], points[..., [0, 2]], points[..., [2, 1]])
        found = [
            grid_sample(self.planes[:, i], pair, align_corners=False).permute(0, 2, 3, 1)
            for i, pair in enumerate(pairs)
        ]
        features = torch.cat(found, dim=-1)
        raw, classes = self._head("net", features), self._head("semantic_net", features).softmax(dim=-1)
        inside = (points.abs() <= 1).all(dim=-1)
        nothing = -torch.finfo(torch.float32).max / 3
        return FieldSamples(
            density=torch.where(inside, raw[..., 0], nothing),
            colour=torch.where(inside[..., None], raw[..., 1:].sigmoid() * 1.002 - 0.001, 0.0),
            semantics=torch.where(inside[..., None], classes, 0.0),
        )

    def _head(self, name: str, values: Tensor) -> Tensor:
        for index in (0, 2, 4, 6):
            key = f"decoder.{name}.{index}"
            values = linear(values, self.weights[f"{key}.weight"], self.weights[f"{key}.bias"])
            values = values.relu() if index < 6 else values
        return values


def without_classes(answer: FieldSamples, opacity: Tensor, hidden: list[list[int]]) -> tuple[FieldSamples, Tensor]:
    """Each batch entry with its hidden classes taken out."""
    assert answer.semantics is not None
    keep = torch.ones(len(hidden), 1, 1, answer.semantics.shape[-1])
    for row, classes in enumerate(hidden):
        keep[row, ..., classes] = 0.0
    gone = (answer.semantics * (1 - keep)).sum(dim=-1)
    shown = (answer.semantics + 1e-6) * keep
    kept = shown / ((answer.semantics * keep).sum(dim=-1, keepdim=True) + 1e-6)
    return replace(answer, semantics=kept), opacity * (1 - gone)


HIDDEN = {0: [], 1: [0], 2: [0, 3]}


def nerf_pictures(fixture: Fixture, chunk: int) -> tuple[dict[str, Tensor], Rays]:
    config, size = fixture.config, fixture.config["render_size"]
    cameras = torch.from_numpy(fixture.stored("cameras"))
    pose, focal = cameras[..., :16].unflatten(-1, (4, 4)), cameras[..., 16]
    lens = Camera.perspective(pose, 2 * float(torch.atan(0.5 / focal[0, 0])))
    assert bool((focal == focal[0, 0]).all())
    rays = camera_rays(lens, size, size)
    objects, views = pose.shape[:2]
    rays = Rays(rays.origins.flatten(1, 2), rays.directions.flatten(1, 2))
    count, seen = config["samples_per_ray"] // 2, []
    shapes = fixture.descriptions["uniform random numbers"]["shapes"]
    jitter, shares = (
        torch.from_numpy(fill.uniform(f"u_{i}", tuple(shape), 0, 1, fixture.salt)) for i, shape in enumerate(shapes)
    )

    def place(rays: Rays) -> Placement:
        span = inside_box(rays, -1.0, 1.0)
        near = torch.where(span.hit, span.near, span.near[span.hit].min())
        far = torch.where(span.hit, span.far, span.near[span.hit].max())
        span = Span(near, far, torch.ones_like(span.hit))
        depths = shifted(evenly(span, count), jitter.reshape(*near.shape, -1), far + (far - near) / (count - 1))
        seen.extend([depths.min(), depths.max()])
        return Placement(depths, span.hit, shares=shares.reshape(*near.shape, -1))

    def cut(answer: FieldSamples, rays: Rays, placement: Placement) -> Stretches:
        middle, middles = halves(answer, placement.depths)
        assert middle.density is not None
        opacity = density_opacity(shifted_softplus(middle.density, -1.0), placement.depths.diff(dim=-1))
        middle, opacity = without_classes(middle, opacity, [HIDDEN[level] for level in config["levels"]])
        return Stretches(opacity, middle, middles)

    def refine(depths: Tensor, weights: Tensor, shares: Tensor) -> Tensor:
        return by_importance(halfway(depths)[..., :-1], blurred(weights, 0.01)[..., 1:-1], shares)

    renderer = SampledRenderer(
        place=place,
        cut=cut,
        refine=refine,
        background=(1.0, 1.0, 1.0),
        epsilon=1e-10,
        extras=("semantics",),
        chunk=chunk,
    )
    planes = 2 * torch.from_numpy(fill.inputs("planes", (objects, 3, config["triplane_dim"], 12, 12), fixture.salt))
    out = renderer.render(PlaneField(fixture.network_weights(), planes), rays)

    def pictures(values: Tensor) -> Tensor:
        return values.reshape(objects, views, size, size, -1).permute(0, 1, 4, 2, 3)

    return {
        "images_rgb": pictures(out.colour),
        "images_depth": pictures(out.depth.clamp(*seen)),
        "images_weight": pictures(out.opacity),
        "images_semantic": pictures(out.extras["semantics"]),
    }, rays


@pytest.mark.parametrize("chunk", [10_000, 100])
def test_two_looks_with_classes(chunk: int) -> None:
    fixture = Fixture.read(FOLDER / "slrm_nerf_render.json")
    found, rays = nerf_pictures(fixture, chunk)
    for name, ours in (("ray_o", rays.origins), ("ray_d", rays.directions)):
        expected = fixture.expected[name]
        first_view = ours[0, : fixture.config["render_size"] ** 2]
        np.testing.assert_allclose(first_view[:: len(first_view) // len(expected) + 1], expected, atol=1e-6, rtol=0)
    for name, value in found.items():
        np.testing.assert_allclose(value, fixture.expected[name], atol=fixture.facts["tolerance"]["atol"], rtol=0)
