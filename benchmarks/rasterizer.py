"""What drawing costs: rasterize, interpolate, antialias, and their gradients, by each installed rasterizer.

python benchmarks/rasterizer.py [--renderers torch warp] [--repeats 5] [--write]

CPU seconds of one core, all rasterizers in one run, one after the other in every repeat; the ratios are what counts.
Memory is how far the process grows beyond what it holds before each operation. `--write` puts the ratios beside the
code (`list renderers` shows them) and the table into README.md.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import geometric_mean

import torch
import trimesh
from memory import with_peak
from rich.console import Console
from rich.table import Table
from torch import Tensor

from framework import registry
from framework.geometry.camera import Camera, homogeneous, orbit
from framework.renderers.backends import BACKENDS, MEASURED, table
from framework.renderers.rasterizer import Rasterizer

VIEWS = 6
SETTINGS = ((50, 512), (100, 512), (50, 1024), (100, 1024))
"""Thousands of faces, pixels of a side."""
OPERATIONS = ("rasterize", "interpolate", "antialias", "backward")
README = Path(__file__).parents[1] / "README.md"


def scene(thousands: int) -> tuple[Tensor, Tensor]:
    """Clip positions (6, V, 4) of a torus from six sides, and about so many faces."""
    rings = 2 * round((thousands * 1000 / 4) ** 0.5)
    mesh = trimesh.creation.torus(0.6, 0.25, major_sections=rings, minor_sections=rings // 2)
    positions = torch.tensor(mesh.vertices, dtype=torch.float32)
    camera = Camera.perspective(orbit([60.0 * number for number in range(VIEWS)], 20.0, 3.0), 0.7)
    return homogeneous(positions) @ camera.clip_from_world.mT, torch.tensor(mesh.faces.tolist())


def run(rasterizer: Rasterizer, clip: Tensor, faces: Tensor, size: int, measure: Callable) -> None:
    """One step of a fit: a picture and its gradients; `measure` is called with each operation and its name."""
    clip = clip.clone().requires_grad_()
    colors = torch.rand(1, clip.shape[1], 4, requires_grad=True)
    fragments = measure("rasterize", lambda: rasterizer.rasterize(clip, faces, (size, size)))
    image = measure("interpolate", lambda: rasterizer.interpolate(colors, fragments, faces))
    smooth = measure("antialias", lambda: rasterizer.antialias(image, fragments, clip, faces))
    given = torch.ones_like(smooth)
    measure("backward", lambda: torch.autograd.grad(smooth, (clip, colors), given))


def times(rasterizers: dict[str, Rasterizer], thousands: int, size: int, repeats: int) -> dict[str, dict[str, float]]:
    """Least CPU seconds of each operation by each rasterizer."""
    clip, faces = scene(thousands)
    best: dict[str, dict[str, float]] = {name: defaultdict(lambda: float("inf")) for name in rasterizers}
    for _ in range(repeats + 1):  # the first one compiles and fills caches, and is never the fastest
        for name, rasterizer in rasterizers.items():

            def measure(operation: str, call: Callable, name: str = name) -> object:
                start = time.process_time()
                result = call()
                best[name][operation] = min(best[name][operation], time.process_time() - start)
                return result

            run(rasterizer, clip, faces, size, measure)
    return best


def memory(rasterizer: Rasterizer, thousands: int, size: int) -> dict[str, float]:
    """MiB by which the process grows during each operation."""
    clip, faces = scene(thousands)
    grown: dict[str, float] = {}

    def measure(operation: str, call: Callable) -> object:
        result, grown[operation] = with_peak(call)
        return result

    run(rasterizer, clip, faces, size, measure)
    return grown


def main() -> None:
    """Print a row per setting and rasterizer; torch is the unit."""
    options = _parser().parse_args()
    torch.set_num_threads(1)
    console, ratios = Console(width=120), defaultdict(list)
    rasterizers = {name: _built(name) for name in options.renderers if BACKENDS[name].installed}
    for thousands, size in SETTINGS:
        found = times(rasterizers, thousands, size, options.repeats)
        rows = Table("renderer", *(f"{name}, ms" for name in OPERATIONS), "all", "x torch", "grows by, MiB")
        for name, by_operation in found.items():
            ratio = sum(found["torch"].values()) / sum(by_operation.values())
            ratios[name].append(ratio)
            grown = memory(rasterizers[name], thousands, size)
            spent = [f"{1000 * by_operation[operation]:.0f}" for operation in OPERATIONS]
            total, mebibytes = (
                1000 * sum(by_operation.values()),
                [f"{grown[operation]:.0f}" for operation in OPERATIONS],
            )
            rows.add_row(name, *spent, f"{total:.0f}", f"{ratio:.2f}", " + ".join(mebibytes))
        console.print(f"{VIEWS} views, {thousands},000 faces, {size} x {size} pixels, one core", rows)
    means = {name: round(geometric_mean(values), 2) for name, values in ratios.items()}
    console.print("times as fast as torch, geometric mean:", means)
    if options.write:
        write(means)


def write(means: dict[str, float]) -> None:
    """Put the ratios beside the code and the table into the README."""
    MEASURED.write_text(json.dumps({"times_as_fast": means}, indent=2) + "\n", encoding="utf-8")
    before, begin, rest = README.read_text(encoding="utf-8").partition("<!-- renderers -->\n")
    _, end, after = rest.partition("<!-- end of renderers -->\n")
    README.write_text(before + begin + table() + end + after, encoding="utf-8")


def _built(name: str) -> Rasterizer:
    rasterizer: Rasterizer = registry.load_class("renderer", name)(registry.config_class("renderer", name)())
    return rasterizer


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Rasterizers against each other.")
    parser.add_argument("--renderers", nargs="+", default=["torch", "warp"], choices=list(BACKENDS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="keep the ratios and the README's table")
    return parser


if __name__ == "__main__":
    main()
