"""How well a texture comes back from pictures: eight views baked onto a copy without colours, seen from eight others.

python benchmarks/texture_baking.py [mesh file ...]

Files are baked onto themselves (simplified first where they have more than FACES faces); without files three procedural
objects are. Prints the PSNR over the pixels that both pictures show, and over whole pictures before white.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from framework.data.procedural.catalogue import generate
from framework.data.procedural.sampling import build_mesh
from framework.export.mesh_files import load_mesh
from framework.geometry.camera import Camera, orbit
from framework.geometry.mesh import Mesh, normalize
from framework.geometry.simplify import simplify
from framework.geometry.unwrap import unwrap
from framework.renderers.baking import bake_views
from framework.renderers.torch_rasterizer import TorchRasterizer
from framework.renderers.views import render_mesh

FACES, TEXELS, PIXELS = 20_000, 1024, 1024
TRAINING = (0.0, 90.0, 180.0, 270.0, 45.0, 135.0, 225.0, 315.0), (0.0, 0.0, 0.0, 0.0, 20.0, -20.0, 20.0, -20.0)
TEST = (22.0, 67.0, 112.0, 157.0, 202.0, 247.0, 292.0, 337.0), (10.0, -10.0, 15.0, -15.0, 10.0, -10.0, 15.0, -15.0)
RASTERIZER = TorchRasterizer()


def pictures(
    mesh: Mesh, azimuths: tuple[float, ...], elevations: tuple[float, ...], size: int
) -> tuple[Camera, Tensor]:
    """Cameras, and (8, H, W, 4) colours without light."""
    cameras = Camera.orthographic(orbit(azimuths, torch.tensor(elevations), 5.0), 1.1)
    return cameras, render_mesh(mesh, cameras, size, RASTERIZER, ("color",), 2)["color"]


def psnr(found: Tensor, expected: Tensor) -> float:
    """In decibels, over all values."""
    return float(-10 * (found - expected).square().mean().log10())


def baked(original: Mesh) -> tuple[Mesh, float, float]:
    """The copy with its texture, and the seconds that laying flat and baking took."""
    start = time.perf_counter()
    bare = unwrap(simplify(replace(original, vertex_colors=None, appearance=None), FACES), TEXELS)
    flat = time.perf_counter()
    cameras, views = pictures(original, *TRAINING, PIXELS)
    ready = time.perf_counter()
    copy = bake_views(bare, cameras, views, RASTERIZER, TEXELS)
    return copy, flat - start, time.perf_counter() - ready


def main(files: list[str]) -> None:
    """Print a row per object."""
    table = Table("object", "faces", "lay flat, s", "bake, s", "PSNR, dB", "before white, dB")
    objects = {Path(file).stem: load_mesh(file) for file in files}
    objects = objects or {name: build_mesh(generate(name, 0), resolution=160) for name in ("house", "mug", "chair")}
    for name, mesh in objects.items():
        original = normalize(mesh)[0]
        copy, flat, bake = baked(original)
        truth, found = (pictures(shown, *TEST, 512)[1] for shown in (original, copy))
        both = (truth[..., 3] > 0.5) & (found[..., 3] > 0.5)
        white = [picture[..., :3] * picture[..., 3:] + 1 - picture[..., 3:] for picture in (truth, found)]
        values = psnr(found[both][:, :3], truth[both][:, :3]), psnr(white[1], white[0])
        table.add_row(name, f"{len(copy.faces):,}", f"{flat:.1f}", f"{bake:.1f}", *(f"{value:.1f}" for value in values))
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
