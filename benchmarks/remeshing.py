"""What one pass of remeshing costs, against the same pass with edges found as unique rows.

python benchmarks/remeshing.py [--vertices 50000] [--repeats 5]

The usual formulation in plain torch lists the sides of all faces as rows of two vertices and asks `torch.unique` for
the different rows; ours packs a side into one number. CPU seconds of one core, both in one run, one after the other in
every repeat; the ratio is what counts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import trimesh
from rich.console import Console
from torch import Tensor

from framework.geometry.remeshing import flip, remesh
from framework.geometry.remeshing.collapse import random_picks
from framework.geometry.remeshing.connectivity import Edges, edges_of

MODULES = (flip, remesh)


def edges_by_rows(faces: Tensor, vertices: int) -> Edges:
    """The edges of `faces` (F, 3) as unique rows."""
    sides = torch.stack([faces, faces.roll(-1, 1)], 2).view(-1, 2).sort(1).values
    rows, of_side = sides.unique(dim=0, return_inverse=True)
    return Edges(rows[:, 0], rows[:, 1], of_side.view(-1, 3))


@contextmanager
def formulation(function: Callable[[Tensor, int], Edges]) -> Iterator[None]:
    """Inside of the block remeshing finds its edges by `function`."""
    for module in MODULES:
        module.edges_of = function  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in MODULES:
            module.edges_of = edges_of  # type: ignore[attr-defined]


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of one call."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def crumpled_ring(vertices: int) -> tuple[Tensor, Tensor]:
    """A torus of about so many vertices, whose edges have many lengths."""
    rings = 2 * round((vertices / 2) ** 0.5)
    mesh = trimesh.creation.torus(0.6, 0.3, major_sections=rings, minor_sections=rings // 2)
    positions = torch.tensor(mesh.vertices, dtype=torch.float32)
    noise = torch.randn(positions.shape, generator=torch.Generator().manual_seed(0))
    return positions + noise * 0.3 / len(positions) ** 0.5, torch.tensor(mesh.faces.tolist())


def main() -> None:
    """Print both times of a whole pass and of finding the edges alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vertices", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    positions, faces = crumpled_ring(given.vertices)
    lengths = edges_of(faces, len(positions)).lengths(positions).mean().expand(len(positions))
    picks = random_picks(len(faces), torch.Generator().manual_seed(0))
    formulations = {"packed": edges_of, "unique rows": edges_by_rows}
    least = {(name, part): float("inf") for name in formulations for part in ("pass", "edges")}
    for _ in range(given.repeats):
        for name, function in formulations.items():
            with formulation(function):
                spent = cpu_seconds(lambda: remesh.remesh(positions, faces, lengths * 0.75, lengths * 1.25, picks))
            least[name, "pass"] = min(least[name, "pass"], spent)
            spent = cpu_seconds(lambda function=function: function(faces, len(positions)))  # type: ignore[misc]
            least[name, "edges"] = min(least[name, "edges"], spent)
    console = Console()
    console.print(f"{len(positions):,} vertices, {len(faces):,} faces", highlight=False)
    for part in ("pass", "edges"):
        ours, rows = (least[name, part] * 1e3 for name in formulations)
        console.print(
            f"{part}: packed {ours:.0f} ms, unique rows {rows:.0f} ms, {rows / ours:.1f} times", highlight=False
        )


if __name__ == "__main__":
    main()
