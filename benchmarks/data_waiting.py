"""How much of a training's time goes into waiting for data: the small autoencoder on sets in different layouts.

python benchmarks/data_waiting.py [--steps 40]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

from framework.data.config import ProceduralConfig, ShapesConfig
from framework.data.procedural.module import ProceduralData, shapes_config
from framework.data.shapes import ShapesData
from methods.craftsman.config import AutoencoderConfig, ShapeVAEConfig
from methods.craftsman.systems import AutoencoderSystem

LAUNCH = Path(__file__).parents[1] / "launch.py"
OBJECTS = 112
LOADERS: tuple[tuple[Literal["none", "memory"], int], ...] = (("none", 0), ("none", 1), ("memory", 0))


def make_sets(folder: Path) -> dict[str, ShapesConfig]:
    """A procedural set as one folder per object, and packed, with as many points of an object as real sets have."""
    made = ProceduralConfig(train=OBJECTS, val=0, test=0, root=str(folder / "objects"), samples=100_000)
    ProceduralData(made).prepare_data()
    plain, packed = shapes_config(made), folder / "packed"
    places = [f"source={plain.root}", f"data.geometry={plain.geometry}", f"data.images={plain.images}"]
    command = ["prepare", "data=shapes", *places, f"output={packed}", "data.prepare.pack=lmdb"]
    subprocess.run([sys.executable, str(LAUNCH), *command], check=True, capture_output=True)
    return {"one folder per object": plain, "packed": ShapesConfig(root=str(packed))}


def waiting(system: AutoencoderSystem, loader: DataLoader[dict[str, torch.Tensor]], steps: int) -> tuple[float, float]:
    """Seconds spent waiting for batches and spent on steps; the first two of each are not counted."""
    optimizer = torch.optim.AdamW(system.parameters(), lr=1e-4)
    batches, waited, worked = iter(loader), [], []
    for _ in range(steps + 2):
        start = time.perf_counter()
        batch = next(batches)
        middle = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            loss = system.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        waited.append(middle - start)
        worked.append(time.perf_counter() - middle)
    return sum(waited[2:]), sum(worked[2:])


def small_autoencoder() -> AutoencoderSystem:
    """The network of the recipe `craftsman/small-autoencoder`, untrained."""
    sizes = ShapeVAEConfig(
        num_latents=64, embed_dim=16, width=128, heads=2, encoder_layers=2, decoder_layers=4, qkv_bias=True
    )
    system = AutoencoderSystem(AutoencoderConfig(shape_model=sizes))
    system.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]
    return system


def main() -> None:
    """Print a row per layout and number of loader processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    table = Table("layout", "cache", "loaders", "waiting", "ms per step")
    with tempfile.TemporaryDirectory() as folder:
        for name, place in make_sets(Path(folder)).items():
            for cache, workers in LOADERS:
                config = replace(place, workers=workers, cache=cache, batch_size=32)
                config = replace(config, surface_points=768, supervision_points=576, near_fraction=0.125)
                loader = ShapesData(config).train_dataloader()
                warm = 2 if cache == "none" else OBJECTS // config.batch_size + 1
                for _, _batch in zip(range(warm), loader, strict=False):
                    pass
                waited, worked = waiting(small_autoencoder(), loader, options.steps)
                share, step = waited / (waited + worked), 1000 * (waited + worked) / options.steps
                table.add_row(name, cache, str(workers), f"{100 * share:.1f} %", f"{step:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
