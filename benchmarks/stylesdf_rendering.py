"""What StyleSDF's field costs: pictures, training steps and surfaces; ratios measured in one run with the same weights.

python benchmarks/stylesdf_rendering.py [--threads 1 2] [--repeats 3] [--sphere-steps 800]

The plain formulation is the network as its equations stand, all points of a picture at once. Both sides are run in
turn, the fastest of each counts. Seconds are those on the clock and, since machines are shared, those of the processor.
Ratios are of the processor's seconds, to the first row of each table.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn
from torch.nn.functional import linear

from framework.geometry.grid import evaluate_grid
from framework.geometry.isosurface import marching_cubes
from methods.stylesdf.cameras import angles_from, cameras_at
from methods.stylesdf.config import CameraConfig, RendererConfig
from methods.stylesdf.nets.film_siren import FilmSiren, SirenOutput
from methods.stylesdf.nets.mapping import RendererMapping
from methods.stylesdf.nets.renderer import SdfRenderer
from methods.stylesdf.sphere import sphere_loss

CAMERA, OFFICIAL = CameraConfig(), RendererConfig(perturb=False, static_viewdirs=True, force_background=True)
CONSOLE = Console()
Cost = tuple[float, float]
"""Seconds on the clock, seconds of the processor."""


class PlainSiren(FilmSiren):
    """The network as its equations stand."""

    def forward(self, points: Tensor, directions: Tensor, latents: Tensor) -> SirenOutput:
        """Colour, distance and features at points (B, ..., 3) seen along directions, of latents (B, D)."""
        axes, hidden = points.shape[1:-1], points.flatten(1, -2)
        for layer in self.pts_linears:
            hidden = _film(layer, hidden, latents)
        features = _film(self.views_linears, torch.cat([hidden, directions.flatten(1, -2)], dim=-1), latents)
        found = SirenOutput(self.rgb_linear(features), self.sigma_linear(hidden)[..., 0], features)
        return SirenOutput(*(values.unflatten(1, axes) for values in found))

    def with_gradient(self, points: Tensor, directions: Tensor, latents: Tensor) -> tuple[SirenOutput, Tensor]:
        """The same, and the gradient of the distance, with its graph."""
        points = points.detach().requires_grad_()
        found = self(points, directions, latents)
        return found, torch.autograd.grad(found.sdf.sum(), points, create_graph=True)[0]


def _film(layer: Any, values: Tensor, latents: Tensor) -> Tensor:
    gamma, beta = layer.gamma(latents)[:, None], layer.beta(latents)[:, None]
    return torch.sin(gamma * linear(values, layer.weight, layer.bias) + beta)


class Shapes(nn.Module):
    """A generator without its decoder."""

    def __init__(self, config: RendererConfig) -> None:
        super().__init__()
        self.style = RendererMapping(config.width)
        self.renderer = SdfRenderer(config, config.width)


def compared(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, Cost]:
    """The fastest of `repeats` runs of each call, which take turns."""
    runs: dict[str, list[Cost]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            start, processor = time.perf_counter(), time.process_time()
            call()
            runs[name].append((time.perf_counter() - start, time.process_time() - processor))
    return {name: (min(run[0] for run in found), min(run[1] for run in found)) for name, found in runs.items()}


def show(title: str, costs: dict[str, Cost], notes: dict[str, str] | None = None) -> None:
    """Print a table."""
    table = Table("", "s", "s of processor", "times faster", "", title=title, title_justify="left")
    first = next(iter(costs.values()))[1]
    for name, (clock, processor) in costs.items():
        note = (notes or {}).get(name, "")
        table.add_row(name, f"{clock:.2f}", f"{processor:.2f}", f"{first / processor:.2f}", note)
    CONSOLE.print(table)


def pictures(repeats: int) -> None:
    """Thumbnail and features of one latent at the official size: 64 x 64 rays of 24 samples."""
    torch.manual_seed(0)
    folded, plain = SdfRenderer(OFFICIAL, OFFICIAL.width).eval(), SdfRenderer(OFFICIAL, OFFICIAL.width).eval()
    plain.network = PlainSiren(OFFICIAL, OFFICIAL.width)
    plain.load_state_dict(folded.state_dict())
    latent, cameras = torch.randn(1, OFFICIAL.width), cameras_at(torch.tensor([[0.2, 0.1]]), CAMERA)
    whole = replace(OFFICIAL, chunk_points=2**26)
    draw = partial(folded, latent, cameras, 64, extras=("features",))
    draw_plainly = partial(plain, latent, cameras, 64, extras=("features",), options=whole)
    with torch.no_grad():
        apart = (draw().features - draw_plainly().features).abs()
        costs = compared({"plain": draw_plainly, "folded": draw}, repeats)
    show(
        "a picture of 64 x 64 x 24",
        costs,
        {"folded": f"features differ by {apart.mean():.0e}, at most {apart.max():.0e}"},
    )


def training_steps(repeats: int) -> None:
    """Forward and backward of thumbnails with the gradient of the distance, as the small recipe has them."""
    torch.manual_seed(0)
    config = RendererConfig(depth=4, width=64, N_samples=12, perturb=False)
    folded, plain = SdfRenderer(config, config.width), SdfRenderer(config, config.width)
    plain.network = PlainSiren(config, config.width)
    plain.load_state_dict(folded.state_dict())
    latents, cameras = torch.randn(8, config.width), cameras_at(angles_from(torch.randn(8, 2), CAMERA), CAMERA)

    def step(renderer: SdfRenderer) -> None:
        out = renderer(latents, cameras, 32, extras=("sdf", "gradient"))
        assert out.gradient is not None and out.sdf is not None
        eikonal = (out.gradient.norm(dim=-1) - 1).square().mean()
        (out.rgb.mean() + 0.1 * eikonal + 0.05 * (-100 * out.sdf.abs()).exp().mean()).backward()

    costs = compared({"plain": partial(step, plain), "folded": partial(step, folded)}, repeats)
    show("a training step: 8 x 32 x 32 x 12, 4 layers of 64", costs)


def sphere(steps: int) -> tuple[Shapes, Tensor]:
    """A network of the official size that knows a sphere for one code, and that code: quickly learnt."""
    torch.manual_seed(0)
    shapes, code = Shapes(OFFICIAL), torch.randn(1, OFFICIAL.width)
    optimizer = torch.optim.Adam(shapes.parameters(), lr=1e-4, betas=(0.0, 0.9))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-4, steps, pct_start=0.05, cycle_momentum=False)
    for _ in track(range(steps), description="learning a sphere", console=CONSOLE, transient=True):
        cameras = cameras_at(angles_from(torch.randn(1, 2), CAMERA), CAMERA)
        loss = sphere_loss(shapes, code, cameras, torch.rand(1, 64, 12))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    CONSOLE.print(f"a network of the official size: {loss.item():.4f} from a sphere's distances after {steps} steps")
    return shapes.eval().requires_grad_(False), code


def surfaces(shapes: Shapes, code: Tensor, side: int = 128) -> None:
    """Along the rays of a front view, as published, against grids of the same number of points."""
    latent, front = shapes.style(code), cameras_at(torch.zeros(1, 2), CAMERA)
    options = replace(OFFICIAL, N_samples=side)
    notes = {"along rays, all outputs": f"{side**3:,} points"}

    def distance(points: Tensor) -> Tensor:
        return shapes.renderer.sdf(latent, points[None], CAMERA.dist_radius)[0]

    def along_rays() -> None:
        shapes.renderer(latent, front, side, options=options, extras=("sdf", "xyz"))

    def distances_along_rays() -> None:
        rays = front.rays(side)
        depths = torch.linspace(front.near, front.far, side).expand(1, side * side, side)
        shapes.renderer.sdf(latent, rays.at(depths).flatten(1, 2), CAMERA.dist_radius)

    def on_grid(name: str, slope: float | None) -> None:
        samples = evaluate_grid(distance, side, CAMERA.dist_radius, slope=slope)
        mesh = marching_cubes(samples.values, CAMERA.dist_radius, inside="negative")
        radius = np.linalg.norm(mesh.vertices, axis=1)
        notes[name] = f"{samples.evaluations:,} points; {len(mesh.faces):,} faces, radius {radius.mean():.4f}"

    calls: dict[str, Callable[[], Any]] = {
        "along rays, all outputs": along_rays,
        "along rays, distances alone": distances_along_rays,
    }
    for name, slope in (("grid and mesh, by slope", 2.0), ("grid and mesh, by crossings", None)):
        calls[name] = partial(on_grid, name, slope)
    with torch.no_grad():
        show(f"a surface of {side}³", compared(calls, 1), notes)


def main() -> None:
    """Print the tables for each number of threads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sphere-steps", type=int, default=800)
    options = parser.parse_args()
    torch.set_num_threads(options.threads[0])
    shapes, code = sphere(options.sphere_steps)
    for threads in options.threads:
        torch.set_num_threads(threads)
        CONSOLE.rule(f"threads: {threads}")
        pictures(options.repeats)
        training_steps(options.repeats)
        surfaces(shapes, code)


if __name__ == "__main__":
    main()
