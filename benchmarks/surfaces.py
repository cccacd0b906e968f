"""What surfaces cost: FlexiCubes, marching cubes, and one step of carving split into its parts.

python benchmarks/surfaces.py [--repeats 5]

Each operation is run a few times, of which the fastest counts, and once more for its memory. Seconds are those on the
clock and, since machines are shared, those of the processor. Memory is what an operation held at most above what was
held before it (Linux). Ratios are to the first row of each table.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from memory import with_peak
from rich.console import Console
from rich.table import Table
from torch import Tensor

from framework.data.procedural.catalogue import generate
from framework.data.procedural.sampling import build_mesh
from framework.geometry.camera import Camera, orbit
from framework.geometry.flexicubes.cubes import lattice_points, surface_cubes
from framework.geometry.flexicubes.surface import extract_surface
from framework.geometry.flexicubes.weights import activated_weights
from framework.geometry.isosurface import marching_cubes
from framework.geometry.normals import smooth_normals
from framework.geometry.remeshing.collapse import random_picks
from framework.geometry.remeshing.config import RemeshingConfig
from framework.geometry.remeshing.connectivity import edges_of
from framework.geometry.remeshing.optimizer import RemeshingOptimizer
from framework.renderers.carving import draw_vectors
from framework.renderers.torch_rasterizer import TorchRasterizer

VIEWS, PIXELS, VERTICES = (0.0, 45.0, 90.0, 180.0, 270.0, 315.0), 512, 20_000
CONSOLE = Console()
Cost = tuple[float, float, float]
"""Seconds on the clock, seconds of the processor, MiB."""


def measured(call: Callable[[], Any], repeats: int) -> tuple[Any, Cost]:
    """What `call` returned last, and its cost: seconds of the fastest of `repeats` runs, memory of one more."""
    runs = [run(call, trim=False)[1] for _ in range(repeats)]
    result, last = run(call, trim=True)
    return result, combined([*runs, last])


def run(call: Callable[[], Any], trim: bool) -> tuple[Any, Cost]:
    """What `call` returns, and the cost of this run. Memory is right, and seconds are not, if what was freed before is
    handed back first (`trim`): then it counts, and costs, when it is taken again."""

    def timed() -> tuple[Any, float, float]:
        start, processor = time.perf_counter(), time.process_time()
        result = call()
        return result, time.perf_counter() - start, time.process_time() - processor

    (result, *spent), mebibytes = with_peak(timed, trim)
    return result, (spent[0], spent[1], mebibytes)


def combined(runs: list[Cost]) -> Cost:
    """Seconds of the fastest run but the last, which is the one for memory."""
    return min(cost[0] for cost in runs[:-1]), min(cost[1] for cost in runs[:-1]), runs[-1][2]


def show(title: str, rows: list[tuple[str, Cost]]) -> None:
    """Print a table."""
    table = Table("operation", "s", "s of processor", "ratio", "MiB", title=title, title_justify="left")
    for name, (clock, processor, memory) in rows:
        ratio = processor / rows[0][1][1]
        table.add_row(name, f"{clock:.3f}", f"{processor:.3f}", f"{ratio:.2f}", f"{memory:,.0f}")
    CONSOLE.print(table)


def isosurfaces(repeats: int) -> None:
    """FlexiCubes with weights for training, forward and backward, against marching cubes."""
    rows = []
    for cubes in (64, 128):
        points = lattice_points((cubes,) * 3)
        values = (points.norm(dim=-1) - 0.4)[None].requires_grad_()
        moved = points[None].clone().requires_grad_()
        raw = torch.zeros(len(surface_cubes(values).cube), 21, requires_grad=True)
        forward = partial(_flexicubes, values, moved, raw)
        total, cost = measured(forward, repeats)
        rows.append((f"FlexiCubes {cubes}³ forward", cost))
        backward = partial(torch.autograd.grad, total, [values, moved, raw], retain_graph=True)
        rows.append((f"FlexiCubes {cubes}³ backward", measured(backward, repeats)[1]))
        del total, backward
    for cubes in (64, 128, 256):
        field = np.asarray(0.4 - lattice_points((cubes,) * 3).norm(dim=-1))
        rows.append((f"marching cubes {cubes}³", measured(partial(marching_cubes, field, 0.5), min(repeats, 3))[1]))
    show("a ball over 0.8 of the box", rows)


def _flexicubes(values: Tensor, points: Tensor, raw: Tensor) -> Tensor:
    cubes = surface_cubes(values)
    surface = extract_surface(cubes, points, values, activated_weights(raw), centred=True)
    return surface.vertices.square().sum() + surface.deviation.mean()


def carving_step(repeats: int) -> None:
    """One step at full size, towards pictures of a slightly thicker mesh; edges keep their length."""
    mesh = build_mesh(generate("character", 0), resolution=128)
    positions, faces = torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.faces)
    # As many vertices as wanted: their number falls with the square of the edge length.
    length = edges_of(faces, len(positions)).lengths(positions).mean().item() * (len(positions) / VERTICES) ** 0.5
    config = RemeshingConfig(shortest_edge=length, longest_edge=length)
    optimizer, picks = RemeshingOptimizer(positions, faces, config), partial(random_picks, generator=torch.Generator())
    for _ in range(20):
        optimizer.remesh(picks)
    clip_from_world = Camera.orthographic(orbit(VIEWS, 0.0, 5.0), 1.0).clip_from_world
    draw = partial(_drawn, TorchRasterizer(), clip_from_world)
    with torch.no_grad():
        normals = smooth_normals(optimizer.positions, optimizer.faces)
        target = draw(optimizer.positions + 0.01 * normals, optimizer.faces)
    parts: dict[str, list[Cost]] = {}

    def timed(name: str, call: Callable[[], Any]) -> Any:
        result, cost = run(call, trim=len(parts.get(name, [])) == repeats)
        parts.setdefault(name, []).append(cost)
        return result

    for _ in range(repeats + 1):
        picture = timed("rendering", partial(draw, optimizer.positions, optimizer.faces))
        loss = timed("loss", partial(_difference, picture, target))
        timed("backward", loss.backward)
        timed("optimiser", optimizer.step)
        timed("remeshing", partial(optimizer.remesh, picks))
    rows = [(name, combined(costs)) for name, costs in parts.items()]
    clock, processor = (sum(cost[i] for _, cost in rows) for i in (0, 1))
    rows.append(("whole step", (clock, processor, max(cost[2] for _, cost in rows))))
    show(f"a step of carving: {len(optimizer.positions):,} vertices, {len(VIEWS)} views of {PIXELS}² pixels", rows)


def _drawn(rasterizer: TorchRasterizer, clip_from_world: Tensor, positions: Tensor, faces: Tensor) -> Tensor:
    normals = smooth_normals(positions, faces)
    return draw_vectors(normals, positions, faces, clip_from_world, (PIXELS, PIXELS), rasterizer)


def _difference(picture: Tensor, target: Tensor) -> Tensor:
    return (picture - target).abs().mean()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    isosurfaces(options.repeats)
    carving_step(options.repeats)


if __name__ == "__main__":
    main()
