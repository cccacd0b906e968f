"""Meshes, points and views of procedural objects, with nothing lost to a grid.

The grid is evaluated coarse to fine: a block whose centre value exceeds its half diagonal cannot hold surface (values
are lower bounds of the distance), so only blocks near the surface are split. Vertices and surface samples are then
brought onto the zero set by Newton steps. Volume points are rounded to the precision of the files before their
occupancy is computed, so that the stored occupancy is exact for the stored point.

Legend: P points, V vertices, F faces, K views, H and W pixels, R cells per axis of the grid.
"""

from __future__ import annotations

import zlib

import numpy as np

from framework.data.procedural.parts import ProceduralObject
from framework.data.procedural.solid import Array
from framework.geometry.isosurface import marching_cubes
from framework.geometry.mesh import Mesh
from framework.geometry.sampling import sample_surface

# Half extent of the grid: the objects' 0.9 and room for the outermost cell.
GRID_EXTENT = 0.96
VOLUME_EXTENT = 1.1
VIEW_EXTENT = 1.2
NEAR_NOISE = (0.02, 0.08)

_COARSE, _MIDDLE = 4, 2
# A Newton step never leaves the neighbourhood of its start, where the field is smooth.
_LONGEST_STEP = 0.03


def build_mesh(item: ProceduralObject, resolution: int = 96) -> Mesh:
    """Closed mesh of the object's outer surface, vertices on the zero set, with vertex colours.

    resolution: grid cells per axis over [-0.96, 0.96], rounded up to a multiple of four.
    """
    cells = -(-resolution // _COARSE) * _COARSE
    mesh = marching_cubes(_field_grid(item, cells), GRID_EXTENT, inside="negative")
    vertices, _ = project(item, mesh.vertices, steps=2)
    return Mesh(vertices, mesh.faces, vertex_colors=item.colors(vertices))


def project(item: ProceduralObject, points: Array, steps: int) -> tuple[Array, Array]:
    """`points` (P, 3) moved onto the zero set by Newton steps along the gradient, and unit normals (P, 3) there.

    One step takes the values at four corners of a small tetrahedron: their mean is the value, their differences the
    gradient. Dividing by its square makes steps right where the field grows slower than the distance.
    """
    size = np.float32(5e-4)
    corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], dtype=np.float32)
    points = np.asarray(points, dtype=np.float32)
    gradient = np.zeros_like(points)
    for step in range(steps + 1):
        around = points[None] + size * corners[:, None]
        values = item.distance(around.reshape(-1, 3)).reshape(4, -1)
        gradient = values.T @ corners / (4.0 * size)
        squared = np.maximum((gradient * gradient).sum(axis=1), 1e-4)
        if step < steps:
            length = np.clip(values.mean(axis=0) / squared, -_LONGEST_STEP, _LONGEST_STEP)
            points = points - length[:, None] * gradient
    return points, gradient / np.sqrt(squared)[:, None]


def sample_object(
    item: ProceduralObject,
    surface: int = 20_000,
    volume: int = 20_000,
    near: int = 20_000,
    views: int = 4,
    view_size: int = 96,
    resolution: int = 96,
) -> dict[str, Array]:
    """Everything that the files of one object hold, deterministic by family and seed.

    Returns
    surface          (surface, 3) float32 on the zero set, uniform by area; normals (surface, 3) unit;
    surface_labels   (surface,) uint8 part indices;
    volume           (volume, 3) float32 uniform in [-1.1, 1.1]^3, and volume_occupancy (volume,) bool;
    near             (near, 3) float32: surface points with noise 0.02 (first half) and 0.08, and near_occupancy;
    views            (views, H, W, 4) uint8 RGBA, straight alpha: front (+Z), right (+X), back, left; at most four.
    Positions are multiples of what float16 holds at half size, the precision of the files.
    """
    random = np.random.default_rng(zlib.crc32(f"{item.family}/{item.seed}/samples".encode()))
    mesh = build_mesh(item, resolution)
    start, _, _ = sample_surface(mesh, surface + near, int(random.integers(2**31)))
    on_surface, normals = project(item, start[:surface], steps=2)
    scales = np.repeat(np.asarray(NEAR_NOISE, dtype=np.float32), (near - near // 2, near // 2))
    near_points = start[surface:] + scales[:, None] * random.standard_normal((near, 3), dtype=np.float32)
    near_points = stored_precision(near_points.clip(-VOLUME_EXTENT, VOLUME_EXTENT))
    volume_points = stored_precision(random.uniform(-VOLUME_EXTENT, VOLUME_EXTENT, (volume, 3)))
    occupancy = item.occupancy(np.concatenate([volume_points, near_points]))
    return {
        "surface": stored_precision(on_surface),
        "normals": normals,
        "surface_labels": item.labels(on_surface).astype(np.uint8),
        "volume": volume_points,
        "volume_occupancy": occupancy[:volume],
        "near": near_points,
        "near_occupancy": occupancy[volume:],
        "views": render_views(mesh, views, view_size),
    }


def render_views(mesh: Mesh, views: int, view_size: int, supersample: int = 2) -> Array:
    """Shaded views (K, H, W, 4) uint8 by the framework's rasterizer: orthographic, half extent 1.2, 90 degrees apart.

    Raises ValueError when `views` is not 0 to 4.
    """
    # torch is imported here: geometry alone (a test, a mesh) shall not wait for it.
    import torch

    from framework.renderers.config import TorchRasterizerConfig
    from framework.renderers.torch_rasterizer import TorchRasterizer
    from framework.renderers.views import canonical_cameras, render_mesh

    if not 0 <= views <= 4:
        raise ValueError(f"views: expected 0 to 4 (front, right, back, left), got {views}")
    if views == 0:
        return np.zeros((0, view_size, view_size, 4), dtype=np.uint8)
    rasterizer = TorchRasterizer(TorchRasterizerConfig(cull_backfaces=True))
    with torch.no_grad():
        drawn = render_mesh(mesh, canonical_cameras(VIEW_EXTENT), view_size, rasterizer, ("shaded",), supersample)
    pictures = drawn["shaded"][:views]
    return (pictures.clamp(0.0, 1.0) * 255.0 + 0.5).to(torch.uint8).numpy()


def stored_precision(points: Array) -> Array:
    """`points` rounded to what a file keeps: half the position as float16, doubled on reading."""
    return (np.asarray(points) * 0.5).astype(np.float16).astype(np.float32) * np.float32(2.0)


def _field_grid(item: ProceduralObject, cells: int) -> Array:
    """Values (R+1, R+1, R+1) over the grid: evaluated at all corners of cells that may hold surface.

    Elsewhere the value of the enclosing block's centre stands, whose sign is right and whose size does not matter.
    """
    count = cells // _COARSE
    values = item.distance(_block_centers(_offsets(count).reshape(-1, 3), _COARSE, cells))
    filled = values.reshape((count,) * 3)
    for axis in range(3):
        filled = np.repeat(filled, _COARSE, axis=axis)
    grid = np.pad(filled, (0, 1), mode="edge")
    alive = _alive(values, _COARSE, cells)
    blocks = np.stack(np.unravel_index(alive, (count,) * 3), axis=-1)
    split = _COARSE // _MIDDLE
    blocks = (blocks[:, None] * split + _offsets(split)).reshape(-1, 3)
    values = item.distance(_block_centers(blocks, _MIDDLE, cells))
    inside = (blocks[:, None] * _MIDDLE + _offsets(_MIDDLE)).reshape(-1, 3)
    grid[tuple(inside.T)] = np.repeat(values, _MIDDLE**3)
    blocks = blocks[_alive(values, _MIDDLE, cells)]
    needed = np.zeros(grid.shape, dtype=bool)
    needed[tuple((blocks[:, None] * _MIDDLE + _offsets(_MIDDLE + 1)).reshape(-1, 3).T)] = True
    index = np.stack(np.nonzero(needed), axis=-1)
    grid[needed] = item.distance((index * (2.0 * GRID_EXTENT / cells) - GRID_EXTENT).astype(np.float32))
    # A sample exactly on the level would give triangles without area.
    grid[grid == 0.0] = np.float32(1e-6)
    return grid


def _block_centers(blocks: Array, size: int, cells: int) -> Array:
    return (((blocks + 0.5) * size) * (2.0 * GRID_EXTENT / cells) - GRID_EXTENT).astype(np.float32)


def _alive(values: Array, size: int, cells: int) -> Array:
    """Indices of the blocks of `size` cells that may hold surface, with a margin for rounding."""
    half_diagonal = 0.5 * np.sqrt(3.0) * size * 2.0 * GRID_EXTENT / cells
    return np.flatnonzero(np.abs(values) <= half_diagonal + 1e-5)


def _offsets(size: int) -> Array:
    return np.stack(np.meshgrid(*[np.arange(size)] * 3, indexing="ij"), axis=-1).reshape(1, -1, 3)
