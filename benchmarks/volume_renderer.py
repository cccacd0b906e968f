"""What volume rendering costs: seconds and memory of each operation, as ratios measured in one run.

python benchmarks/volume_renderer.py

Every operation runs in a process of its own, so that its peak memory is its own; memory counts from where the process
stood before the operation. Times are the best of a few. Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import torch
from memory import with_peak
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from framework.geometry.camera import Camera, orbit
from framework.optional import has
from framework.renderers.volume.densities import density_opacity, sigmoid_density
from framework.renderers.volume.fields import FieldSamples
from framework.renderers.volume.marched_renderer import MarchedRenderer
from framework.renderers.volume.marching import diagonal_step, fastest_walk, lattice_walk, march
from framework.renderers.volume.occupancy_grid import OccupancyGrid, all_cells, cell_centres, new_grid
from framework.renderers.volume.rays import Rays, between, camera_rays
from framework.renderers.volume.renderer import Placement, SampledRenderer, Stretches
from framework.renderers.volume.sampling import evenly, gaps

CELLS, STEPS = 128, 1024
REPEATS = 3


class Network(nn.Module):
    """Two layers of 128 behind points and directions; a ball of matter."""

    def __init__(self, features: int = 0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = features
        self.layers = nn.Sequential(nn.Linear(6, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU())
        self.last = nn.Linear(128, 4 + features)

    def query(self, points: Tensor, directions: Tensor) -> FieldSamples:
        """All answers that the cases use."""
        out = self.last(self.layers(torch.cat([points, directions], dim=-1)))
        sdf = points.norm(dim=-1) - 0.6 + 0.01 * out[..., 0]
        return FieldSamples(
            sdf=sdf,
            density=sigmoid_density(sdf, 0.005),
            colour=out[..., 1:4].sigmoid(),
            features=out[..., 4:] if self.features else None,
        )


def shell_grid() -> OccupancyGrid:
    """Full cells near a sphere and on a floor."""
    centres = cell_centres(all_cells(new_grid(CELLS)), CELLS).view(CELLS, CELLS, CELLS, 3)
    full = ((centres.norm(dim=-1) - 0.6).abs() < 0.05) | ((centres[..., 1] + 0.8).abs() < 0.03)
    return OccupancyGrid(full.float(), full)


def picture(size: int) -> Rays:
    """Rays of a view from the side."""
    return camera_rays(Camera.perspective(orbit(30.0, 10.0, 2.5), 0.8), size, size)


def marching(walk_name: str) -> Callable[[], object]:
    """The samples of 128 x 128 rays."""
    grid, rays = shell_grid(), picture(128)
    if walk_name == "every point":  # with no coarse cell known to be empty
        vars(grid)["coarse"] = torch.ones_like(grid.coarse)
    walk = fastest_walk() if walk_name == "Warp" else lattice_walk
    return lambda: march(rays, grid, diagonal_step(STEPS), STEPS, 0.2, walk=walk)


def marched_picture(wave: int) -> Callable[[], object]:
    """A picture of 64 x 64 pixels through the grid, without gradients."""
    renderer = MarchedRenderer(grid=shell_grid(), step=diagonal_step(STEPS), wave=wave)
    rays, network = picture(64), Network()
    return torch.no_grad()(lambda: renderer.render(network, rays))


def sampled(chunk: int, training: bool) -> Callable[[], object]:
    """64 x 64 rays of 24 samples with 64 features, and the backward pass in training."""
    rays, network = picture(64), Network(features=64)

    def place(rays: Rays) -> Placement:
        span = between(rays, 1.5, 3.5)
        return Placement(evenly(span, 24, ends=False), span.hit)

    def cut(answer: FieldSamples, rays: Rays, placement: Placement) -> Stretches:
        assert answer.sdf is not None
        opacity = density_opacity(sigmoid_density(answer.sdf, 0.05), gaps(placement.depths, 0.1))
        return Stretches(opacity, answer, placement.depths)

    renderer = SampledRenderer(place=place, cut=cut, extras=("features",), chunk=chunk)

    def train() -> None:
        out = renderer.render(network, rays)
        (out.colour.sum() + out.extras["features"].sum()).backward()

    return train if training else torch.no_grad()(lambda: renderer.render(network, rays))


CASES: dict[str, dict[str, Callable[[], Callable[[], object]]]] = {
    "samples of 128 x 128 rays, grid 128, 1024 steps": {
        "every lattice point": partial(marching, "every point"),
        "coarse cells first (default)": partial(marching, "lattice"),
        **({"Warp": partial(marching, "Warp")} if has("warp") else {}),
    },
    "64 x 64 pixels through the grid": {
        "all samples": partial(marched_picture, 10**9),
        "in waves, dark rays left (default)": partial(marched_picture, 16),
    },
    "64 x 64 rays of 24 samples, inference": {
        "all rays at once": partial(sampled, 10**9, False),
        "512 rays at a time": partial(sampled, 512, False),
    },
    "64 x 64 rays of 24 samples, training": {
        "all rays at once": partial(sampled, 10**9, True),
        "2048 rays at a time, computed again": partial(sampled, 2048, True),
        "512 rays at a time, computed again": partial(sampled, 512, True),
    },
}


def measured(operation: Callable[[], object], repeats: int) -> dict[str, float]:
    """Best seconds, and the peak in megabytes above what the process held before; a first run may compile."""
    operation()

    def timed() -> list[float]:
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            operation()
            times.append(time.perf_counter() - start)
        return times

    times, megabytes = with_peak(timed)
    return {"seconds": min(times), "megabytes": megabytes}


def in_own_process(group: str, case: str) -> dict[str, float]:
    """`measured` of a case."""
    done = subprocess.run([sys.executable, __file__, "--case", group, case], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Print a table; the first case of each group is the unit."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", nargs=2, help="one case, as JSON")
    case = parser.parse_args().case
    torch.set_num_threads(1)
    if case:
        sys.stdout.write(json.dumps(measured(CASES[case[0]][case[1]](), REPEATS)) + "\n")
        return
    table = Table("operation", "ms", "ratio", "peak MB", "ratio")
    for group, cases in CASES.items():
        table.add_row(group, style="bold")
        unit = None
        for name in cases:
            found = in_own_process(group, name)
            unit = unit or found
            ratios = [found[key] / max(unit[key], 1e-9) for key in ("seconds", "megabytes")]
            milliseconds, megabytes = f"{1000 * found['seconds']:.0f}", f"{found['megabytes']:.0f}"
            table.add_row(f"  {name}", milliseconds, f"{ratios[0]:.2f}", megabytes, f"{ratios[1]:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
