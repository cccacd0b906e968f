"""Runners of rays through a density field: occupancy marching, even samples, the grid, a mesh of the density."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from framework.geometry.camera import Camera
from framework.geometry.conventions import clip_from_intrinsics, from_opencv
from framework.geometry.grid import evaluate_grid
from framework.geometry.isosurface import marching_cubes
from framework.nets.point_embedding import FourierEmbedding
from framework.renderers.volume.compositing import RenderOut
from framework.renderers.volume.densities import density_opacity
from framework.renderers.volume.fields import FieldSamples
from framework.renderers.volume.marched_renderer import MarchedRenderer
from framework.renderers.volume.marching import march
from framework.renderers.volume.occupancy_grid import (
    OccupancyGrid,
    all_cells,
    cell_centres,
    in_morton_order,
    mean_density,
    morton_codes,
    new_grid,
    packed_bits,
    updated,
    with_unseen,
)
from framework.renderers.volume.rays import Rays, Span, inside_box
from framework.renderers.volume.renderer import Placement, SampledRenderer, Stretches
from framework.renderers.volume.sampling import by_importance, evenly, gaps, halfway, regular_shares
from tests.parity import fill
from tests.parity.expressions import evaluate
from tests.parity.fixture import Fixture, FixtureError
from tests.parity.runners.rodinhd.field import TriplaneField, field_of, planes_of, rays_of

WHITE = (1.0, 1.0, 1.0)
NEAREST = 0.2


@dataclass(frozen=True, eq=False)
class Remembered:
    """A field that keeps its last answer, so that gradients can be asked for it."""

    field: TriplaneField
    answers: list[FieldSamples] = field(default_factory=list)

    def query(self, points: Tensor, directions: Tensor) -> FieldSamples:
        """The field's answer as new leaves of the graph."""
        answer = {
            name: value.detach().requires_grad_()
            for name, value in self.field.query(points, directions).named().items()
        }
        self.answers.append(FieldSamples(**answer))
        return self.answers[-1]


@dataclass(frozen=True, eq=False)
class OnCube:
    """A field asked at the nearest point of the cube, for points that rounding puts outside."""

    field: TriplaneField

    def query(self, points: Tensor, directions: Tensor) -> FieldSamples:
        """The field's answer."""
        return self.field.query(points.clamp(-1.0, 1.0), directions)


def raymarch(fixture: Fixture) -> dict[str, Any]:
    """Family raymarch: samples in full cells, training and evaluation composites, gradients of one ray.

    `config` has n_rays, grid_size, max_steps, min_near, T_thresh; `inputs.occupancy` says `norm < <a> or y < <b>`;
    `outputs.train.*` says `densities multiplied by <f>`, and `outputs.render_eval_dense.*` says `density x<f>,
    background (r,g,b)`. `ray0.index` (stored) is the ray whose samples and gradients are given.
    """
    config = fixture.config
    _refuse_other_modes(config)
    rays, noise = rays_of(fixture, config["n_rays"]), fixture.tensor("noise")
    grid, network = _stated_grid(fixture), field_of(fixture, planes_of(fixture))
    renderer = MarchedRenderer(
        grid=grid,
        step=_step(config["max_steps"]),
        most=config["max_steps"],
        nearest=config["min_near"],
        least_light=config["T_thresh"],
    )
    with torch.no_grad():
        trained = replace(renderer, background=WHITE).render(network, rays, noise)
        evaluated = replace(renderer, background=WHITE, late=True).render(network, rays)
        dense_factor, background = _dense_words(fixture)
        dense = replace(renderer, background=background, late=True).render(replace(network, factor=dense_factor), rays)
    samples = march(rays, grid, renderer.step, renderer.most, renderer.nearest, noise).counts
    outputs: dict[str, Any] = {
        "num_samples": samples,
        "bitfield": packed_bits(grid.occupied),
        "near": evaluated.extras["near"],
        "far": evaluated.extras["far"],
        "render_train.image": trained.colour,
        "render_train.weights_sum": trained.opacity,
        "render_train.sample_count": [int(samples.sum()), len(samples)],
        "render_eval.image": evaluated.colour,
        "render_eval.depth": _relative_depth(evaluated, renderer.step),
        "render_eval_dense.image": dense.colour,
        "render_eval_dense.depth": _relative_depth(dense, renderer.step),
    }
    return outputs | _training_branch(fixture, renderer, rays, noise, network)


def _training_branch(
    fixture: Fixture, renderer: MarchedRenderer, rays: Rays, noise: Tensor, network: TriplaneField
) -> dict[str, Any]:
    """Composite over black with gradients, and everything about the one ray."""
    factor = _number(fixture, "train.*", r"multiplied by ([\d.]+)")
    remembered = Remembered(replace(network, factor=factor))
    out = renderer.render(remembered, rays, noise)
    loss = (out.opacity * fixture.tensor("gw")).sum() + (out.colour * fixture.tensor("gi")).sum()
    (answer,) = remembered.answers
    sigma, colour = answer.density, answer.colour
    slopes = torch.autograd.grad(loss, (sigma, colour))
    marched = march(rays, renderer.grid, renderer.step, renderer.most, renderer.nearest, noise)
    start = out.extras["near"] + noise * renderer.step
    ray = int(fixture.stored("ray0.index")[0])
    own = marched.ray == ray
    depth = marched.depth[own]
    return {
        "train.weights_sum": out.opacity,
        "train.image_premultiplied": out.colour,
        "train.depth": torch.where(out.opacity > 0, out.depth + (renderer.step - start) * out.opacity, 0.0),
        "ray0.xyz": marched.points(rays)[own],
        "ray0.deltas": torch.stack(
            [
                torch.full_like(depth, renderer.step),
                gaps(depth, 0.0).roll(1) + _first(depth, start[ray], renderer.step),
            ],
            -1,
        ),
        "ray0.sigma_x6": sigma[own],
        "ray0.rgb": colour[own],
        "ray0.grad_sigma": slopes[0][own],
        "ray0.grad_rgb": slopes[1][own],
    }


def _first(depth: Tensor, start: Tensor, step: float) -> Tensor:
    """What the first entry of a ray's travelled distances has more than the gap before it: from the start, one step."""
    return torch.where(torch.arange(len(depth)) == 0, depth[0] + step - start, 0.0)


def _relative_depth(out: RenderOut, step: float) -> Tensor:
    """Depth at the ends of stretches between near (0) and far (1); NaN, as the original, where the cube is missed."""
    near, far = out.extras["near"], out.extras["far"]
    depth = (out.depth + step * out.opacity - near).clamp(min=0.0) / (far - near)
    return torch.where(near == far, torch.nan, depth)


def uniform_march(fixture: Fixture) -> dict[str, Any]:
    """Family uniform_march: evenly spaced samples, and a second look, of the rays that hit the cube.

    `config` has n, num_steps and upsample_steps (0: outputs `image`, ...; more: outputs `fine.image`, ...).
    """
    config, network = fixture.config, field_of(fixture, planes_of(fixture))
    rays, nearest = rays_of(fixture, config["n"]), config.get("min_near", NEAREST)
    hit = inside_box(rays, -1.0, 1.0, nearest).hit
    rays = Rays(rays.origins[hit], rays.directions[hit])
    span = inside_box(rays, -1.0, 1.0, nearest)
    outputs: dict[str, Any] = {"hit": hit}
    for more in np.atleast_1d(config["upsample_steps"]).tolist():
        with torch.no_grad():
            out = _even_renderer(span, config["num_steps"], more).render(OnCube(network), rays)
        depth = (out.depth - span.near * out.opacity) / (span.far - span.near)
        named = {"image": out.colour, "depth": depth, "weights_sum": out.opacity}
        outputs |= {f"fine.{name}" if more else name: value for name, value in named.items()}
    return outputs


def _even_renderer(span: Span, steps: int, more: int) -> SampledRenderer:
    def place(rays: Rays) -> Placement:
        end = span.far + (span.far - span.near) / steps
        return Placement(evenly(span, steps), span.hit, end, regular_shares(span.near, more) if more else None)

    def cut(answer: FieldSamples, rays: Rays, placement: Placement) -> Stretches:
        assert answer.density is not None and placement.end is not None
        lengths = gaps(placement.depths, placement.end - placement.depths[..., -1])
        return Stretches(density_opacity(answer.density, lengths), answer, placement.depths)

    def refine(depths: Tensor, weights: Tensor, shares: Tensor) -> Tensor:
        return by_importance(halfway(depths), weights[..., 1:-1], shares)

    return SampledRenderer(
        place=place, cut=cut, refine=refine if more else None, background=WHITE, epsilon=1e-15, faintest=1e-4
    )


def occupancy_grid(fixture: Fixture) -> dict[str, Any]:
    """Family occupancy_grid: Morton codes, cells that no camera sees, running densities, threshold and bits.

    `config` has grid_size, density_thresh, decay, n_updates, intrinsics (fx, fy, cx, cy). `poses` are stored camera
    poses (x right, y down, z forward); the jitter of update i is `uniform("jitter<i>", (G^3, 3), 0, 1)`.
    """
    config, network = fixture.config, field_of(fixture, planes_of(fixture))
    size, (fx, fy, cx, cy) = config["grid_size"], config["intrinsics"]
    poses = from_opencv(torch.from_numpy(fixture.stored("poses")))
    # The original's pictures are as wide as twice their centre: sizes need not be whole numbers here.
    projection = clip_from_intrinsics((fx, fy, cx, cy), 2 * cx, 2 * cy)
    grid = with_unseen(new_grid(size), Camera(poses, projection.expand_as(poses)))
    outputs = {
        "morton": morton_codes(fixture.tensor("coords")).int(),
        "after_mark": in_morton_order(grid.density)[None],
    }
    for number in range(config["n_updates"]):
        noise = torch.from_numpy(fill.uniform(f"jitter{number}", (size**3, 3), 0.0, 1.0, fixture.salt))
        grid = updated(grid, network.density, noise, decay=config["decay"], most=config["density_thresh"])
        outputs[f"grid{number}"] = in_morton_order(grid.density)[None]
        outputs[f"mean{number}"] = mean_density(grid)[None]
    return outputs | {"bitfield": packed_bits(grid.occupied)}


def mesh(fixture: Fixture) -> dict[str, Any]:
    """Family mesh: the density on a grid over the cube, and its iso-surface at `config.threshold`.

    Another marching cubes orders vertices differently, so each stored vertex has to lie within a hundredth of a cell of
    one of ours.
    """
    config, network = fixture.config, field_of(fixture, planes_of(fixture))
    samples = evaluate_grid(network.density, config["resolution"] - 1, 1.0, method="dense")
    found = marching_cubes(samples.values, 1.0, level=config["threshold"])
    stored = fixture.stored("vertices")
    far = cKDTree(found.vertices).query(stored)[0].max()
    if far > 0.01 * 2.0 / (config["resolution"] - 1):
        raise FixtureError(f"a stored vertex lies {far:.3g} from our nearest one")
    return {
        "field": samples.values,
        "n_vertices": len(found.vertices),
        "area": found.area,
        # The surface is open at the cube's sides, where a volume depends on how it is computed: here along x alone.
        "signed_volume": (found.triangles.astype(np.float64).mean(axis=1) * found.area_vectors)[:, 0].sum(),
    }


def freq_encoding(fixture: Fixture) -> dict[str, Any]:
    """Family freq_encoding: `config["(D,degree)"]` lists (width D, octaves degree); inputs x{D}, gradients g{D}."""
    outputs = {}
    for width, degree in fixture.config["(D,degree)"]:
        x, upstream = (_of_width(fixture, name, width, degree) for name in ("x{D}", "g{D}"))
        x.requires_grad_()
        plain = FourierEmbedding(degree, include_pi=False, dim=width)(x)
        value, waves = plain[:, :width], plain[:, width:].reshape(len(x), 2, width, degree)
        encoded = torch.cat([value, waves.permute(0, 3, 1, 2).flatten(1)], dim=1)
        encoded.backward(upstream)
        outputs |= {f"y{width}": encoded, f"grad{width}": x.grad}
    return outputs


def _of_width(fixture: Fixture, name: str, width: int, degree: int) -> Tensor:
    sentence = fixture.descriptions[name].replace("{D}", str(width))
    return torch.from_numpy(evaluate(sentence, fixture.salt, {"D": width, "degree": degree}))


def _step(steps: int) -> float:
    """The cube's diagonal in `steps` parts, rounded as the original rounds it."""
    return float(np.float32(2.0) * np.sqrt(np.float32(3.0)) / np.float32(steps))


def _stated_grid(fixture: Fixture) -> OccupancyGrid:
    """Cells whose centre lies in the ball or below the plane of `inputs.occupancy`."""
    sentence = fixture.descriptions["occupancy"]
    found = re.search(r"norm < ([\d.]+) or y < (-?[\d.]+)", sentence)
    if found is None:
        raise FixtureError(f"inputs.occupancy is not understood: {sentence!r}")
    grid = new_grid(fixture.config["grid_size"])
    centres = cell_centres(all_cells(grid), grid.resolution)
    full = (centres.norm(dim=-1) < float(found[1])) | (centres[:, 1] < float(found[2]))
    full = full.view_as(grid.occupied)
    return OccupancyGrid(full.float(), full)


def _refuse_other_modes(config: dict[str, Any]) -> None:
    if config.get("dt_gamma", 0) != 0 or config.get("bound", 1.0) != 1.0:
        raise FixtureError("steps that grow with depth and cubes larger than [-1, 1]^3 are not served")


def _number(fixture: Fixture, output: str, pattern: str) -> float:
    return float(_words(fixture, output, pattern)[1])


def _dense_words(fixture: Fixture) -> tuple[float, tuple[float, ...]]:
    found = _words(fixture, "render_eval_dense.*", r"density x([\d.]+), background \(([\d., ]+)\)")
    return float(found[1]), tuple(float(part) for part in found[2].split(","))


def _words(fixture: Fixture, output: str, pattern: str) -> re.Match[str]:
    sentence = str(fixture.facts["outputs"].get(output))
    found = re.search(pattern, sentence)
    if found is None:
        raise FixtureError(f"outputs.{output} is not understood: {sentence!r}")
    return found
