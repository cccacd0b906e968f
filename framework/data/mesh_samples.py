"""From a mesh to what a shape set stores of it: surface points, points with occupancy, rendered views.

Follows the preparation of CraftsMan (arXiv 2405.14979, section 3.1): normalise, decide inside by the winding number
(open meshes too), sample. Points are rounded to the precision of the files before their occupancy is decided, so that
what is stored is right for the stored point.

Legend: N surface points, M volume points, K near points, G groups of four views, S side of a view.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from framework.data.shape_files import FILE_SCALE, GROUP, ShapeArrays
from framework.data.view_cameras import rotated_cameras
from framework.geometry.camera import Camera
from framework.geometry.mesh import Mesh, MeshError, normalize
from framework.geometry.occupancy import inside, is_closed, winding_number
from framework.geometry.sampling import sample_surface
from framework.renderers.rasterizer import Rasterizer
from framework.renderers.views import render_mesh

VOLUME_EXTENT = 1.1
"""Volume points reach a little beyond the box, as far as meshes are extracted."""

NEAR_NOISE = (0.02, 0.08)
"""Standard deviations of the distance to the surface, half of the near points each."""

LEVEL_EXTENT, TURNED_EXTENT = 1.2, 1.6
"""Half sides of the orthographic windows: level cameras, and turned ones, which may see the box across its diagonal."""

MIN_INSIDE = 1e-4
"""Share of volume points that must lie inside; below it a mesh encloses nothing that training could see."""

TURN_DEGREES = (-22.0, 38.0), (-7.0, 10.0)
"""Ranges of the rotations of further view groups, about the vertical and the sideways axis."""


@dataclass(frozen=True, kw_only=True)
class SampleCounts:
    """How much is stored of an object."""

    surface: int
    volume: int
    near: int


def prepared_mesh(mesh: Mesh, half_extent: float) -> tuple[Mesh, tuple[float, float, float], float, list[str]]:
    """`mesh` in the box with its faces outwards, then loc and scale with original = new * scale + loc, and remarks.

    MeshError when it has no size.
    """
    ready, scale, offset = normalize(mesh, half_extent)
    remarks = [] if is_closed(ready) else ["open: inside decided by winding number"]
    if looks_inwards(ready):
        ready, remarks = ready.flipped(), [*remarks, "inside out: faces turned"]
    x, y, z = (-offset / scale).tolist()
    return ready, (x, y, z), 1.0 / scale, remarks


def looks_inwards(mesh: Mesh) -> bool:
    """Whether the faces look inwards: by the volume of a closed mesh, by the winding numbers inside an open one."""
    if is_closed(mesh):
        return mesh.volume < 0
    probes = np.random.default_rng(0).uniform(-1.0, 1.0, (2000, 3))
    winding = winding_number(mesh, probes)
    enclosed = winding[np.abs(winding) > 0.5]
    return len(enclosed) > 0 and float(enclosed.mean()) < 0


def occupied(mesh: Mesh, points: Float[np.ndarray, "M 3"]) -> Bool[np.ndarray, " M"]:
    """Whether points lie inside: by winding number, so that overlapping closed parts make a union and holes close.

    Only a closed mesh whose faces look in different directions is decided by ray parity.
    """
    mixed = is_closed(mesh) and not _is_oriented(mesh)
    return inside(mesh, points, method="parity" if mixed else "winding")


def sample_mesh(mesh: Mesh, counts: SampleCounts, seed: int) -> ShapeArrays:
    """Samples of a mesh that was made ready by `prepared_mesh`; the same seed gives the same samples.

    MeshError when the mesh encloses no volume.
    """
    random = np.random.default_rng(seed)
    start, face_normals, _ = sample_surface(mesh, counts.surface + counts.near, int(random.integers(2**31)))
    surface = np.concatenate([stored(start[: counts.surface]), face_normals[: counts.surface]], axis=1)
    volume = stored(random.uniform(-VOLUME_EXTENT, VOLUME_EXTENT, (counts.volume, 3)))
    spread = np.repeat(NEAR_NOISE, (counts.near - counts.near // 2, counts.near // 2))
    near = start[counts.surface :] + spread[:, None] * random.standard_normal((counts.near, 3))
    near = stored(near.clip(-VOLUME_EXTENT, VOLUME_EXTENT))
    solid = occupied(mesh, np.concatenate([volume, near]))
    count = int(solid[: counts.volume].sum())
    if count < max(1, MIN_INSIDE * counts.volume):
        problem = f"encloses no volume: {count} of {counts.volume} points lie inside"
        raise MeshError(f"{problem}. It is a sheet, or so open that nothing is inside; close it or give it thickness")
    return ShapeArrays(
        surface=surface.astype(np.float16),
        points=volume.astype(np.float16),
        occupancy=np.packbits(solid[: counts.volume]),
        near_points=near.astype(np.float16) if counts.near else None,
        near_occupancy=np.packbits(solid[counts.volume :]) if counts.near else None,
    )


def stored(points: Float[np.ndarray, "M 3"]) -> Float[np.ndarray, "M 3"]:
    """Points as they come back from the files, float32."""
    return (points / FILE_SCALE).astype(np.float16).astype(np.float32) * np.float32(FILE_SCALE)


def view_rotations(groups: int, seed: int) -> Float[np.ndarray, "G*4 4 4"]:
    """Rotation of each view's camera in a z-up world, as `rots.npy` holds them: none for the first four.

    Further groups turn all four cameras together by Rz(a) Rx(b) with random angles: a model that is trained on them
    forgives views that don't fit exactly.
    """
    random = np.random.default_rng(seed)
    rotations = np.tile(np.eye(4), (groups, 1, 1))
    for group in range(1, groups):
        around, tilt = (np.deg2rad(random.uniform(low, high)) for low, high in TURN_DEGREES)
        turn = np.array([[np.cos(around), -np.sin(around), 0], [np.sin(around), np.cos(around), 0], [0, 0, 1]])
        lean = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
        rotations[group, :3, :3] = turn @ lean
    return np.repeat(rotations, GROUP, axis=0)


@torch.no_grad()
def render_views(
    mesh: Mesh, rotations: Float[np.ndarray, "G*4 4 4"], size: int, rasterizer: Rasterizer
) -> UInt8[np.ndarray, "G*4 S S 4"]:
    """Shaded views, straight alpha, four per group in the order front, right, back, left."""
    pictures = []
    for group in range(0, len(rotations), GROUP):
        poses = torch.from_numpy(rotated_cameras(rotations[group])).float()
        cameras = Camera.orthographic(poses, TURNED_EXTENT if group else LEVEL_EXTENT)
        shaded = render_mesh(mesh, cameras, size, rasterizer, ("shaded",), supersample=2, crease_degrees=60.0)["shaded"]
        pictures.append((shaded.clamp(0.0, 1.0) * 255.0 + 0.5).to(torch.uint8).numpy())
    return np.concatenate(pictures)


def _is_oriented(mesh: Mesh) -> bool:
    """Whether no two faces run along an edge in the same direction."""
    faces = mesh.welded_faces()
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    edges = edges[edges[:, 0] != edges[:, 1]]
    return len(np.unique(edges[:, 0] * len(mesh.vertices) + edges[:, 1])) == len(edges)
