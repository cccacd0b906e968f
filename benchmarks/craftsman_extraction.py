"""What a mesh costs with CraftsMan's networks: points that are asked, seconds, memory; ratios measured in one run.

python benchmarks/craftsman_extraction.py [--dense 128] [--shapes 20] [--weights ckpts/craftsman-small/autoencoder]

Networks of the official size have random weights, whose field has no surface worth the name. So that the grids are
refined where a real shape is, the network is asked and paid for at every point, and a procedural house answers.
"""

from __future__ import annotations

import argparse
import gc
import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from framework.config.choice import Choice
from framework.data.config import ProceduralConfig
from framework.data.procedural.catalogue import FAMILIES, generate
from framework.data.procedural.module import ProceduralData
from framework.geometry.grid import Query, evaluate_grid
from framework.nets.config import ClipTextConfig
from methods.craftsman.config import ClipViewsConfig, DiffusionConfig, ShapeVAEConfig
from methods.craftsman.nets.shape_vae import ShapeVAE
from methods.craftsman.systems import AutoencoderSystem, DiffusionSystem

BOUNDS = 1.05
SOME_FAMILIES = ("mug", "chair", "house", "car", "character", "airplane")
SHAPE = "house"  # in the middle of these
Timed = TypeVar("Timed")
CONSOLE = Console()


def show(title: str, header: list[str], rows: list[list[str]]) -> None:
    """Print a table."""
    table = Table(*header, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    CONSOLE.print(table)


def timed(call: Callable[[], Timed]) -> tuple[Timed, float]:
    """What `call` returns, and its wall time in seconds."""
    start = time.perf_counter()
    return call(), time.perf_counter() - start


def official_query() -> tuple[Query, Query]:
    """The field with keys and values computed once, and the same with latents decoded into them at every call."""
    vae = ShapeVAE(ShapeVAEConfig()).eval().requires_grad_(False)
    tokens = vae.decode(torch.randn(1, 256, 64))
    field, shape = vae.field(tokens), generate(SHAPE, 0)

    def answer(points: Tensor, logits: Tensor) -> Tensor:
        return torch.from_numpy(-shape.distance(points.numpy())).float() + 0.0 * logits

    return (
        lambda points: answer(points, vae.query(points[None], field)[0]),
        lambda points: answer(points, vae.query(points[None], vae.field(tokens))[0]),
    )


def speed(query: Query, dense: int) -> None:
    """Coarse to fine against the dense chunked query, in seconds at one resolution and in points at the next."""
    few, fast = timed(lambda: evaluate_grid(query, dense, BOUNDS).evaluations)
    many, slow = timed(lambda: evaluate_grid(query, dense, BOUNDS, "dense").evaluations)
    double, taken = timed(lambda: evaluate_grid(query, 2 * dense, BOUNDS).evaluations)
    rows = [
        [
            f"{dense + 1}³",
            f"{many:,}",
            f"{few:,}",
            f"{many / few:.1f}",
            f"{slow:.1f}",
            f"{fast:.1f}",
            f"{slow / fast:.1f}",
        ],
        [
            f"{2 * dense + 1}³",
            f"{(2 * dense + 1) ** 3:,}",
            f"{double:,}",
            f"{(2 * dense + 1) ** 3 / double:.1f}",
            "not run",
            f"{taken:.1f}",
            "",
        ],
    ]
    show("official size", ["grid", "points", "asked", "ratio", "dense s", "coarse to fine s", "ratio"], rows)


def points_by_family(resolution: int) -> None:
    """How many fewer points are asked, for the true fields of some families; this needs no network."""
    rows = []
    for family in SOME_FAMILIES:
        shape = generate(family, 0)
        counts = [
            evaluate_grid(lambda points: torch.from_numpy(-shape.distance(points.numpy())).float(), size, BOUNDS)  # noqa: B023
            for size in (resolution, 2 * resolution)
        ]
        ratios = [f"{samples.values.size / samples.evaluations:.1f}" for samples in counts]
        rows.append([family, *ratios])
    show("points of a dense grid per point asked", ["family", *(f"{n * resolution + 1}³" for n in (1, 2))], rows)


def keys_and_values(once: Query, every_time: Query, chunk: int = 2048, calls: int = 8) -> None:
    """What it saves to compute the latents' keys and values once instead of in every chunk."""
    points = torch.rand(chunk, 3)
    with torch.no_grad():
        times = [min(timed(partial(query, points))[1] for _ in range(calls)) for query in (once, every_time)]
    rows = [[f"{chunk:,}", *(f"{1000 * value:.0f}" for value in times), f"{times[1] / times[0]:.2f}"]]
    show("keys and values of the latents", ["points", "once, ms", "in every chunk, ms", "ratio"], rows)


@torch.no_grad()
def differing_cells(weights: Path, count: int, resolution: int) -> None:
    """Cells whose corners' signs differ between both grids, for shapes that the small autoencoder reconstructs."""
    vae = AutoencoderSystem.load(weights).shape_model
    data = ProceduralData(ProceduralConfig(train=0, val=0, test=max(count, len(FAMILIES)), samples=10_000))
    data.prepare_data()
    dataset, rows = data.dataset("test"), []
    for row in track(range(count), description="differing cells"):
        item = dataset[(0, row)]
        field = vae.field(vae.decode(vae.encode(item["surface"][None])[0].mean))
        coarse, dense = (
            evaluate_grid(lambda points: vae.query(points[None], field)[0], resolution, BOUNDS, method)  # noqa: B023
            for method in ("coarse_to_fine", "dense")
        )
        wrong = touched((coarse.values >= 0) != (dense.values >= 0)).sum()
        rows.append(
            [
                item["id"],
                f"{crossed(dense.values >= 0).sum():,}",
                str(wrong),
                f"{dense.evaluations / coarse.evaluations:.1f}",
            ]
        )
    show(f"small weights at {resolution + 1}³", ["object", "surface cells", "differing cells", "points, ratio"], rows)


def touched(points: np.ndarray) -> np.ndarray:
    """Cells with at least one of `points` (N, N, N) at a corner."""
    return np.asarray(np.lib.stride_tricks.sliding_window_view(points, (2, 2, 2)).any(axis=(3, 4, 5)))


def crossed(inside: np.ndarray) -> np.ndarray:
    """Cells with corners on both sides."""
    return touched(inside) & touched(~inside)


def memory() -> None:
    """What inference holds, with and without the parts that it does not need."""
    text = ClipViewsConfig(text=ClipTextConfig())
    rows = []
    before = resident()
    diffusion = DiffusionSystem(DiffusionConfig(view_encoder=Choice("craftsman/clip", text)))
    vae = ShapeVAE(ShapeVAEConfig())
    for name, drop in (
        ("as in the published file", lambda: None),
        ("without the text tower", diffusion.view_encoder.drop_unused),
        ("nor the shape encoder", vae.drop_encoder),
    ):
        drop()
        gc.collect()
        weights = sum(value.numel() for part in (diffusion, vae) for value in part.parameters())
        rows.append([name, f"{weights:,}", f"{4 * weights / 2**20:,.0f}", f"{resident() - before:,.0f}"])
    show("memory of inference", ["parts", "weights", "MiB of weights", "MiB resident"], rows)


def resident() -> float:
    """Memory that the process holds, in MiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dense", type=int, default=128, help="intervals of the dense grid: 129³ points, minutes")
    parser.add_argument("--shapes", type=int, default=20)
    parser.add_argument("--resolution", type=int, default=128, help="intervals of the grids that are compared")
    parser.add_argument("--weights", type=Path, default=Path("ckpts/craftsman-small/autoencoder"))
    options = parser.parse_args()
    memory()
    once, every_time = official_query()
    keys_and_values(once, every_time)
    speed(once, options.dense)
    points_by_family(options.dense)
    if options.shapes:
        differing_cells(options.weights, options.shapes, options.resolution)


if __name__ == "__main__":
    main()
