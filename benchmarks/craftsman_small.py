"""The small CraftsMan against nearest-neighbour retrieval, on unseen objects of the procedural set.

    python benchmarks/craftsman_small.py [--weights ckpts/craftsman-small] [--output outputs/benchmarks/craftsman-small]

Volume IoU on 100,000 uniform points per object: of the autoencoder's reconstruction, of one shape sampled from the
front picture alone (in the camera's frame, and refitted as a user's picture is), and of the training object whose true
front silhouette and depth are closest. Writes `table.md` and `scores.json`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from framework.data.config import ProceduralConfig
from framework.data.procedural.catalogue import FAMILIES, generate, object_list
from framework.data.procedural.module import ProceduralData
from framework.evaluation.retrieval import front_depth, nearest_by_depth
from framework.evaluation.shape_metrics import volume_iou, volume_points
from methods.craftsman.nets.shape_vae import ShapeVAE
from methods.craftsman.systems import AutoencoderSystem, DiffusionSystem
from methods.craftsman.view_sets import refitted

TEST_OBJECTS = 8 * len(FAMILIES)
BATCH = 8


@dataclass
class Setup:
    """What every measurement needs."""

    vae: ShapeVAE
    diffusion: DiffusionSystem | None
    data: ProceduralData
    points: np.ndarray
    truth: np.ndarray


@torch.no_grad()
def occupancy(vae: ShapeVAE, latents: Tensor, points: np.ndarray, chunk: int = 20_000) -> np.ndarray:
    """(B, P) bool: the decoded fields of latent sets (B, L, E) at points (P, 3)."""
    field = vae.field(vae.decode(latents))
    queries = torch.from_numpy(points)[None].expand(len(latents), -1, -1)
    parts = [vae.query(part, field) >= 0 for part in queries.split(chunk, dim=1)]
    return torch.cat(parts, dim=1).numpy()


def by_latents(setup: Setup, latents_of: Callable[[list[dict[str, Tensor]], int], Tensor], title: str) -> list[float]:
    """IoU per test object of the fields that `latents_of` (items, first index) gives."""
    dataset, scores = setup.data.dataset("test"), []
    for start in track(range(0, len(dataset), BATCH), description=title):
        items = [dataset[(0, row)] for row in range(start, min(start + BATCH, len(dataset)))]
        found = occupancy(setup.vae, latents_of(items, start), setup.points)
        scores += [volume_iou(*pair) for pair in zip(found, setup.truth[start:], strict=False)]
    return scores


def reconstruction(setup: Setup) -> list[float]:
    """The autoencoder: surface points in, posterior mean decoded."""

    @torch.no_grad()
    def encode(items: list[dict[str, Tensor]], _: int) -> Tensor:
        return setup.vae.encode(torch.stack([item["surface"] for item in items]))[0].mean

    return by_latents(setup, encode, "autoencoder")


def from_front_picture(setup: Setup, steps: int, guidance: float, refit: bool) -> list[float]:
    """One sample per object from its front view alone."""
    system = setup.diffusion
    assert system is not None

    def sample(items: list[dict[str, Tensor]], first: int) -> Tensor:
        views = torch.stack([item["views"][:1] for item in items])
        cameras = torch.stack([item["world_from_camera"][:1] for item in items])
        views = refitted(views, system.config.view_fill) if refit else views
        generator = torch.Generator().manual_seed(first)
        return system.sample(views, cameras, steps=steps, guidance=guidance, generator=generator)

    return by_latents(setup, sample, "picture, refitted" if refit else "picture")


def depth_maps(data: ProceduralData, split: str) -> np.ndarray:
    """True front depth of every object of a split, from its surface points."""
    store = data.dataset(split).store
    rows = track(range(len(store.ids)), description=f"depth maps, {split}")
    return np.stack([front_depth(store.arrays(row).surface[:, :3].astype(np.float32)) for row in rows])


def retrieval(setup: Setup) -> list[float]:
    """The training object with the closest true front depth map, scored at the same points.

    Of several weights of silhouette against depth the one that does best on these very objects is taken.
    """
    queries, database = depth_maps(setup.data, "test"), depth_maps(setup.data, "train")
    objects = object_list("train", setup.data.procedural.train, setup.data.procedural.seed)
    best: list[float] = [0.0]
    for weight in (0.25, 0.5, 1.0, 2.0):
        chosen = nearest_by_depth(queries, database, weight)
        found = [generate(*objects[row]).occupancy(setup.points) for row in chosen]
        best = max(best, [volume_iou(*pair) for pair in zip(found, setup.truth, strict=True)], key=np.mean)
    return best


def table(columns: Mapping[str, Sequence[float]]) -> str:
    """Markdown: a row per family, a column per method, and the mean over all objects."""
    lines = ["| family | " + " | ".join(columns) + " |", "| --- |" + " --: |" * len(columns)]
    for offset, family in enumerate(FAMILIES):
        values = (f"{np.mean(scores[offset :: len(FAMILIES)]):.3f}" for scores in columns.values())
        lines.append(f"| {family} | " + " | ".join(values) + " |")
    lines.append("| **all** | " + " | ".join(f"**{np.mean(scores):.3f}**" for scores in columns.values()) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="ckpts/craftsman-small", help="folder with autoencoder/ and diffusion/")
    parser.add_argument("--output", default="outputs/benchmarks/craftsman-small")
    parser.add_argument("--train", type=int, default=2800, help="training objects that retrieval may choose from")
    parser.add_argument("--surface-points", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--guidance", type=float, default=1.0)
    options = parser.parse_args()

    weights = Path(options.weights)
    config = ProceduralConfig(
        train=options.train, val=56, test=TEST_OBJECTS, views=1, surface_points=options.surface_points
    )
    data = ProceduralData(config)
    data.prepare_data()
    points = volume_points()
    truth = np.stack([generate(*name).occupancy(points) for name in object_list("test", TEST_OBJECTS)])
    vae = AutoencoderSystem.load(weights / "autoencoder").shape_model
    diffusion = DiffusionSystem.load(weights / "diffusion") if (weights / "diffusion").is_dir() else None
    setup = Setup(vae, diffusion, data, points, truth)

    columns = {"autoencoder": reconstruction(setup)}
    if diffusion is not None:
        for refit, name in ((False, "front picture"), (True, "front picture, refitted")):
            columns[name] = from_front_picture(setup, options.steps, options.guidance, refit)
    columns["retrieval"] = retrieval(setup)

    output = Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    (output / "table.md").write_text(table(columns) + "\n", encoding="utf-8")
    (output / "scores.json").write_text(json.dumps({name: list(scores) for name, scores in columns.items()}))
    Console().print(table(columns), highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
