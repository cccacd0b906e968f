"""Signed distances to a mesh by each library that gives them: ratios measured in one run, answers compared.

python benchmarks/mesh_distances.py [faces] [points]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from framework.data.procedural.catalogue import generate
from framework.data.procedural.sampling import build_mesh
from framework.geometry.mesh import Mesh
from framework.geometry.mesh_queries import MeshQueries
from framework.geometry.occupancy import inside, signed_distance, winding_number
from framework.geometry.simplify import simplify
from framework.optional import has

REPEATS = 3


def best(call: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """The answer, and the least seconds of several calls; the first one, which may compile, is not counted."""
    answer, times = call(), []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return answer, min(times)


def ways(mesh: Mesh, points: np.ndarray) -> dict[str, Callable[[], np.ndarray]]:
    """Name -> distances, or only signs for the ways that know no more."""
    found: dict[str, Callable[[], np.ndarray]] = {
        "libigl distance, embree sign": lambda: signed_distance(mesh, points),
        "libigl winding number alone": lambda: 0.5 - winding_number(mesh, points),
        "embree parity alone": lambda: np.where(inside(mesh, points, "parity"), -1.0, 1.0),
    }
    for device in ("cpu", "cuda") if has("warp") else ():
        if device == "cpu" or torch.cuda.is_available():
            asked = torch.from_numpy(points).to(device)
            found[f"warp on {device}, tree made before"] = partial(_by_warp, MeshQueries(mesh, device), asked)
            found[f"warp on {device}, with its tree"] = partial(_with_its_tree, mesh, asked)
    return found


def _by_warp(queries: MeshQueries, points: torch.Tensor) -> np.ndarray:
    return queries.signed_distance(points).cpu().numpy()


def _with_its_tree(mesh: Mesh, points: torch.Tensor) -> np.ndarray:
    return _by_warp(MeshQueries(mesh, points.device), points)


def main(faces: int = 50_000, count: int = 50_000) -> None:
    """Print a row per way; the first is the unit of time, and what signs are compared with."""
    mesh = simplify(build_mesh(generate("house", 0), resolution=192), faces)
    points = np.random.default_rng(0).uniform(-1, 1, (count, 3)).astype(np.float32)
    table = Table(f"{len(mesh.faces):,} faces, {count:,} points", "ms", "ratio", "same side", "largest difference")
    unit, reference = None, None
    for name, call in ways(mesh, points).items():
        answer, seconds = best(call)
        unit, reference = unit or seconds, answer if reference is None else reference
        same = f"{((answer < 0) == (reference < 0)).mean():.5f}"
        apart = f"{np.abs(np.abs(answer) - np.abs(reference)).max():.1e}" if "alone" not in name else "-"
        table.add_row(name, f"{1000 * seconds:.0f}", f"{seconds / unit:.2f}", same, apart)
    Console().print(table)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
