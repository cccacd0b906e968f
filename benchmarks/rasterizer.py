"""The rasterizer's time against the number of faces and pixels, as ratios measured in one run.

python benchmarks/rasterizer.py
"""

from __future__ import annotations

import time

import torch
from rich.console import Console
from rich.table import Table

from framework.data.procedural.catalogue import generate
from framework.data.procedural.sampling import build_mesh
from framework.geometry.camera import Camera, homogeneous, orbit
from framework.renderers.config import TorchRasterizerConfig
from framework.renderers.torch_rasterizer import TorchRasterizer

REPEATS = 7


def seconds(resolution: int, views: int, size: int) -> tuple[int, float]:
    """Faces of a house meshed at `resolution`, and the best time of drawing it `views` times at `size` pixels."""
    mesh = build_mesh(generate("house", 0), resolution=resolution)
    positions, faces = torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.faces)
    camera = Camera.orthographic(orbit([360.0 / views * number for number in range(views)], 20.0, 3.0), 1.1)
    clip = homogeneous(positions) @ camera.clip_from_world.mT
    rasterizer, times = TorchRasterizer(TorchRasterizerConfig()), []
    for _ in range(REPEATS):
        start = time.perf_counter()
        rasterizer.rasterize(clip, faces, (size, size))
        times.append(time.perf_counter() - start)
    return len(faces), min(times)


def main() -> None:
    """Print a row per setting; the first one is the unit."""
    table = Table("faces", "views", "pixels", "ms", "ratio")
    unit = None
    for resolution, views, size in ((48, 4, 96), (96, 4, 96), (96, 1, 512), (160, 1, 512), (96, 1, 1024)):
        faces, best = seconds(resolution, views, size)
        unit = unit or best
        table.add_row(f"{faces:,}", str(views), str(size), f"{1000 * best:.1f}", f"{best / unit:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
