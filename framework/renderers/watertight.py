"""Any mesh made watertight: what no camera around it can see is inside, if the surface winds around it too.

Outside is what some camera sees: scanned and modelled shapes have holes, loose sheets and parts inside others, but from
outside they look right. What no camera reaches may also be a dent, and is asked for its winding number. (Li et al.,
"CraftsMan: high-fidelity mesh generation with 3D native generation and interactive geometry refiner", 2024, section on
data: 50 views, winding number above 0.75, truncated distances, marching cubes.)

Dimension letters: B cameras, P points, H rows, W columns.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from framework.geometry.camera import Camera, homogeneous, look_at
from framework.geometry.isosurface import EmptySurface, marching_cubes
from framework.geometry.mesh import Mesh, MeshError
from framework.geometry.occupancy import unsigned_distance, winding_number
from framework.renderers.occlusion import sphere_directions
from framework.renderers.rasterizer import Rasterizer

_BATCH = 5  # cameras drawn at once
_TRUNCATION = 3.0  # cells: distances beyond do not matter to the surface


def watertight(
    mesh: Mesh,
    rasterizer: Rasterizer,
    resolution: int = 128,
    cameras: int = 50,
    winding: float = 0.75,
    shell: float = 0.6,
    margin: float = 0.05,
) -> Mesh:
    """A closed surface of `mesh` on a grid of `resolution` cells along the longest side of its box and `margin` of it.

    cameras: how many look at it, spread over a sphere. winding: what no camera sees is inside above this winding number
    (faces must look outwards for it; 0 takes all of it). shell: what is too thin for the grid, such as cloth and
    sheets of wood, becomes a plate that reaches this many cells to both sides (0: it vanishes). Colours come from the
    nearest old vertex. Holes wider than a cell are looked into: fill them first (`framework.geometry.closing`).
    MeshError when nothing is inside.
    """
    centre, half = _box(mesh, resolution, margin, shell)
    line = np.linspace(-half, half, resolution + 1)
    points = np.stack(np.meshgrid(*(line + offset for offset in centre), indexing="ij"), axis=-1).reshape(-1, 3)
    cell = 2 * half / resolution
    enclosed = unseen(mesh, points, rasterizer, cameras, 2 * resolution, margin=cell)
    if winding > 0:
        hidden = np.flatnonzero(enclosed)
        enclosed[hidden] = winding_number(mesh, points[hidden]) > winding
    values = np.where(enclosed, -_TRUNCATION, _TRUNCATION)
    near, distance = _distances(mesh, points, cell, _TRUNCATION)
    values[near] = np.where(enclosed[near], -distance, distance)
    thin = _thin(mesh, enclosed.reshape((resolution + 1,) * 3), centre - half, cell)
    if shell > 0 and thin.any():
        near, distance = _distances(mesh.subset(thin), points, cell, _TRUNCATION + shell)
        values[near] = np.minimum(values[near], distance - shell)
    grid = values.clip(-_TRUNCATION, _TRUNCATION).reshape((resolution + 1,) * 3)
    try:
        closed = marching_cubes(grid, np.stack([centre - half, centre + half]), inside="negative")
    except EmptySurface as error:
        message = "watertight: nothing is inside at this resolution. Sheets need a shell, small parts a finer grid"
        raise MeshError(message) from error
    if mesh.vertex_colors is None:
        return closed
    from scipy.spatial import cKDTree

    return replace(closed, vertex_colors=mesh.vertex_colors[cKDTree(mesh.vertices).query(closed.vertices)[1]])


def _box(mesh: Mesh, resolution: int, margin: float, shell: float) -> tuple[np.ndarray, float]:
    """Centre and half side of the grid: with the margin, and room for the shell and a cell beyond it."""
    low, high = mesh.bounds.astype(np.float64)
    longest, room = float((high - low).max()), 2 * (shell + 1.5) / resolution
    if longest <= 0.0:
        raise MeshError("watertight: all vertices lie at one point, the mesh has no size")
    if room > 0.75:
        raise ValueError(f"watertight: a shell of {shell:g} cells does not fit into a grid of {resolution}")
    return (low + high) / 2, longest * max(0.5 + margin, 0.5 / (1 - room))


def unseen(
    mesh: Mesh,
    points: np.ndarray,
    rasterizer: Rasterizer,
    cameras: int = 50,
    resolution: int = 256,
    margin: float = 0.0,
) -> np.ndarray:
    """(P,) bool: the points (P, 3) that lie behind the surface for all cameras on a sphere around the mesh.

    resolution: pixels of a depth map's side. margin: how far before the surface a point must lie to count as seen;
    a pixel or more, since a slanting surface is deeper on one side of a pixel than in its middle.
    """
    vertices, faces = torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.faces)
    low, high = vertices.amin(0), vertices.amax(0)
    middle, radius = (low + high) / 2, float((high - low).norm()) / 2
    eyes = middle + 2 * radius * sphere_directions(cameras).to(vertices)
    up = torch.tensor([0.0, 1.0, 0.0]).expand_as(eyes).clone()
    up[((eyes - middle)[:, 1].abs() > 1.98 * radius)] = torch.tensor([0.0, 0.0, 1.0])
    views = Camera.orthographic(look_at(eyes, middle, up), radius * 1.01, near=0.0, far=4 * radius)
    clip_from_world = views.clip_from_world
    hidden = torch.ones(len(points), dtype=torch.bool)
    asked = torch.from_numpy(points).to(vertices)
    slack = margin / (2 * radius)  # depth runs from -1 to 1 over 4 radii
    for matrices in clip_from_world.split(_BATCH):
        fragments = rasterizer.rasterize(
            homogeneous(vertices) @ matrices.transpose(1, 2), faces, (resolution, resolution)
        )
        # The nearest depth around each pixel: beside an outline, a pixel's middle may see past what hides its rim.
        depths = -max_pool2d(-torch.where(fragments.mask, fragments.depth, 2.0), 3, 1, 1) - slack
        for matrix, depth in zip(matrices, depths, strict=True):
            rows = hidden.nonzero().squeeze(1)
            hidden[rows[_seen(asked[rows], matrix, depth)]] = False
    return hidden.numpy()


def _seen(points: Tensor, clip_from_world: Tensor, depth: Tensor) -> Tensor:
    """(P,) bool: whether points lie before the `depth` (H, W) of their pixel; outside the picture all are seen."""
    height, width = depth.shape
    ndc = points @ clip_from_world[:3, :3].t() + clip_from_world[:3, 3]
    column = ((ndc[:, 0] * 0.5 + 0.5) * width).floor().long()
    row = ((0.5 - ndc[:, 1] * 0.5) * height).floor().long()
    outside = (torch.minimum(column, row) < 0) | (column >= width) | (row >= height)
    flat = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
    return outside | (ndc[:, 2] < depth.flatten()[flat])


def _distances(mesh: Mesh, points: np.ndarray, cell: float, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the points within `reach` cells of the surface (and some more), and their distances in cells."""
    from scipy.spatial import cKDTree

    samples, _ = _dense_samples(mesh, reach * cell)
    bound = 2 * reach * cell  # every place of the surface has a sample within `reach`
    rows = np.flatnonzero(np.isfinite(cKDTree(samples).query(points, distance_upper_bound=bound)[0]))
    return rows, unsigned_distance(mesh, points[rows]) / cell


def _thin(mesh: Mesh, enclosed: np.ndarray, low: np.ndarray, cell: float) -> np.ndarray:
    """(F,) bool: the faces that have, at most of their places, no inside grid point within about a cell."""
    samples, face = _dense_samples(mesh, cell)
    normals = mesh.face_normals()[face].astype(np.float64)
    solid = np.zeros(len(samples), dtype=bool)
    for side in (-cell, cell):
        place = np.rint((samples + side * normals - low) / cell).astype(np.int64).clip(0, len(enclosed) - 1)
        solid |= enclosed[tuple(place.T)]
    count = len(mesh.faces)
    return np.bincount(face, solid, count) < 0.5 * np.bincount(face, minlength=count)


def _dense_samples(mesh: Mesh, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) on all faces, so that every place of the surface has one within `spacing`, and their faces (N,)."""
    triangles = mesh.triangles.astype(np.float64)
    sides = np.linalg.norm(triangles - np.roll(triangles, 1, axis=1), axis=2).max(axis=1)
    pieces = np.maximum(1, np.ceil(sides / spacing)).astype(np.int64)
    samples, faces = [triangles.mean(axis=1)], [np.arange(len(triangles))]
    for count in np.unique(pieces):
        chosen = np.flatnonzero(pieces == count)
        first, second = np.meshgrid(np.arange(count + 1), np.arange(count + 1), indexing="ij")
        kept = first + second <= count
        weights = np.stack([first, second, count - first - second], axis=-1)[kept] / count
        samples.append(np.einsum("pc,fcx->fpx", weights, triangles[chosen]).reshape(-1, 3))
        faces.append(np.repeat(chosen, len(weights)))
    return np.concatenate(samples), np.concatenate(faces)
