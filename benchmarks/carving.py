"""How near carving comes: a mesh is carved out of an ellipsoid by six pictures of its own normals.

python benchmarks/carving.py [--mesh file.glb] [--pixels 512] [--steps 400] [--edges 0.007 0.05] [--picture carved.png]

Without a file a procedural character is carved. Distances are in units of half the frame, of which the mesh fills 0.9.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from framework.data.procedural.catalogue import generate
from framework.data.procedural.sampling import build_mesh
from framework.evaluation.shape_metrics import chamfer_l1
from framework.export.images import save_png
from framework.export.mesh_files import load_mesh
from framework.geometry.camera import Camera, orbit
from framework.geometry.icosphere import icosphere
from framework.geometry.mesh import Mesh, normalize
from framework.geometry.normals import smooth_normals
from framework.geometry.remeshing.collapse import random_picks
from framework.geometry.remeshing.config import RemeshingConfig
from framework.geometry.sampling import sample_surface
from framework.renderers.carving import NormalTargets, carve, draw_vectors
from framework.renderers.config import CarvingConfig
from framework.renderers.sheets import PAGE, Picture, contact_sheet
from framework.renderers.torch_rasterizer import TorchRasterizer
from framework.renderers.views import render_mesh

AZIMUTHS, WEIGHTS = (0.0, 45.0, 90.0, 180.0, 270.0, 315.0), (1.0, 0.4, 0.8, 1.0, 0.8, 0.4)
CONSOLE = Console()


def targets_of(mesh: Mesh, pixels: int, rasterizer: TorchRasterizer) -> NormalTargets:
    """Six pictures of the mesh's normals."""
    positions, faces = torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.faces)
    clip_from_world = Camera.orthographic(orbit(AZIMUTHS, 0.0, 5.0), 1.0).clip_from_world
    normals = smooth_normals(positions, faces)
    picture = draw_vectors(normals, positions, faces, clip_from_world, (pixels, pixels), rasterizer)
    return NormalTargets(picture[..., :3], picture[..., 3], clip_from_world, torch.tensor(WEIGHTS))


def ellipsoid_around(mesh: Mesh) -> tuple[Tensor, Tensor]:
    """Positions and faces of the ellipsoid in the mesh's box."""
    low, high = torch.from_numpy(mesh.bounds)
    positions, faces = icosphere(4)
    return positions * ((high - low) / 2) + (high + low) / 2, faces


def carved(mesh: Mesh, pixels: int, steps: int, edges: tuple[float, float]) -> tuple[Mesh, Mesh]:
    """The ellipsoid, and what is carved out of it."""
    rasterizer = TorchRasterizer()
    targets = targets_of(mesh, pixels, rasterizer)
    started, done = time.perf_counter(), 0

    def loss_of(positions: Tensor, faces: Tensor) -> Tensor:
        nonlocal done
        of_normals, of_mask = targets.losses(positions, faces, rasterizer)
        if done % 50 == 0:
            losses = f"normals {of_normals.item():.5f}, mask {of_mask.item():.5f}"
            CONSOLE.print(f"step {done}: {losses}, {len(positions):,} vertices, {time.perf_counter() - started:.0f} s")
        done += 1
        return of_normals + of_mask

    remeshing = RemeshingConfig(shortest_edge=edges[0], longest_edge=edges[1])
    picks = partial(random_picks, generator=torch.Generator().manual_seed(0))
    start = ellipsoid_around(mesh)
    result = carve(*start, loss_of, CarvingConfig(steps=steps, remeshing=remeshing, adapt_every=((1, 4),)), picks)
    return as_mesh(*start), as_mesh(result.positions, result.faces)


def as_mesh(positions: Tensor, faces: Tensor) -> Mesh:
    """The mesh of tensors."""
    return Mesh(positions.numpy(), faces.numpy())


def sheet(meshes: dict[str, Mesh]) -> Picture:
    """Four shaded views of each mesh."""
    cameras = Camera.orthographic(orbit((0.0, 45.0, 90.0, 180.0), 0.0, 5.0), 1.0)
    page = torch.tensor(PAGE) / 255
    pictures: list[Picture] = []
    for mesh in meshes.values():
        drawn = render_mesh(mesh, cameras, 480, TorchRasterizer(), supersample=2)["shaded"]
        shown = drawn[..., :3] * drawn[..., 3:] + page * (1 - drawn[..., 3:])
        pictures += list((shown * 255).round().byte().numpy())
    return contact_sheet(pictures, [name for name in meshes for _ in range(4)], columns=4)


def main() -> None:
    """Carve, measure, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mesh", type=Path)
    parser.add_argument("--pixels", type=int, default=512)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--edges", type=float, nargs=2, default=(0.007, 0.05), help="shortest and longest edge")
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    whole = load_mesh(options.mesh) if options.mesh else build_mesh(generate("character", 0), 160)
    wanted = replace(normalize(whole)[0].welded(), vertex_colors=None)
    start, found = carved(wanted, options.pixels, options.steps, tuple(options.edges))
    goal = sample_surface(wanted, 50_000, 1)[0]
    before, after = (chamfer_l1(sample_surface(mesh, 50_000, 0)[0], goal) for mesh in (start, found))
    CONSOLE.print(f"Chamfer-L1 {before:.5f} -> {after:.5f}; {len(found.vertices):,} vertices", end=", ")
    CONSOLE.print("closed" if found.is_watertight else "open")
    if options.picture:
        save_png(sheet({"start": start, "carved": found, "wanted": wanted}), options.picture)


if __name__ == "__main__":
    main()
