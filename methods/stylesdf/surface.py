"""Surfaces of a latent: its zero level as a mesh, and sheets through what a camera sees.

World units: the object lies in [-0.12, 0.12]^3, +Y up, front +Z. Dimension letters: R rows and columns, N samples of a
ray, P points, V views.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from framework.geometry.depth_sheet import box_of_frustum, sheet_mesh
from framework.geometry.grid import evaluate_grid
from framework.geometry.isosurface import EmptySurface, marching_cubes
from framework.geometry.mesh import Mesh, MeshError
from framework.renderers.volume.fields import Field, FieldSamples
from methods.stylesdf.cameras import ViewCameras, cameras_at
from methods.stylesdf.config import CameraConfig, RendererConfig
from methods.stylesdf.nets.renderer import Rendered, SdfRenderer

OFFICIAL_HALF_WIDTH = 0.12
OFFICIAL_NEAR, OFFICIAL_FAR = 0.88, 1.12
"""What the published extraction takes for granted, whatever the cameras are."""
FRONTAL = (0.0, 0.0, -1.0)
"""Direction of view of the frontal camera."""
SLOPE = 2.0
"""How much a learnt distance may change per unit of length at most, where a mesh must lose no thin part."""
CUT = 0.5
"""Colour of where a solid is cut: what the field says there was never seen in training."""
BACKGROUND = 0.5
"""Share of the last sample from which on a point counts as background."""


class DistanceField(Field, Protocol):
    """A field that can be asked for its signed distance alone."""

    def distance(self, points: Tensor) -> Tensor:
        """(B, ...) signed distances at points (B, ..., 3)."""
        ...


@dataclass(frozen=True, eq=False)
class FrontalSolid:
    """What the frontal camera can see of a field: the solid, cut where the view ends. A field itself."""

    field: DistanceField
    """Of one latent."""

    tangent: float
    """Of half the angle of view."""

    dist_radius: float
    """Depths reach from 1 - this to 1 + this."""

    def query(self, points: Tensor, directions: Tensor) -> FieldSamples:
        """Colour and signed distance of points (P, 3)."""
        found = self.field.query(points[None], directions[None])
        assert found.sdf is not None and found.colour is not None
        return FieldSamples(sdf=torch.maximum(found.sdf[0], self.beyond(points)), colour=found.colour[0])

    def distance(self, points: Tensor) -> Tensor:
        """(P,) signed distances of points (P, 3) to the cut solid."""
        return torch.maximum(self.uncut(points), self.beyond(points))

    def uncut(self, points: Tensor) -> Tensor:
        """(P,) signed distances as the field gives them."""
        return self.field.distance(points[None])[0]

    def beyond(self, points: Tensor) -> Tensor:
        """(P,) distances to the frustum, negative inside."""
        x, y, z = points.unbind(dim=-1)
        cosine = 1.0 / math.sqrt(1.0 + self.tangent**2)
        sides = (torch.maximum(x.abs(), y.abs()) - (1.0 - z) * self.tangent) * cosine
        return torch.maximum(sides, z.abs() - self.dist_radius)


def grid_mesh(renderer: SdfRenderer, latents: Tensor, camera: CameraConfig, resolution: int) -> Mesh:
    """The zero level of latents (1, D) in the frontal frustum, on a grid of `resolution` cells per axis, closed.

    Found coarse to fine. Vertices have the colours that the frontal camera sees, those of the cut ends grey, and
    normals from the field. Raises EmptySurface where the distance does not change its sign.
    """
    field = renderer.field(latents, camera.dist_radius)
    if not field.signed:
        raise EmptySurface("no surface: these weights tell densities (system.renderer.sdf=false), no distances")
    solid = FrontalSolid(field, math.tan(math.radians(camera.fov)), camera.dist_radius)
    return frontal_mesh(solid, resolution, renderer.config.chunk_points, latents.device)


def frontal_mesh(solid: FrontalSolid, resolution: int, chunk: int, device: torch.device) -> Mesh:
    """The surface of a solid, asked `chunk` points at a time; see `grid_mesh`."""
    any_outside = False

    def distance(points: Tensor) -> Tensor:
        nonlocal any_outside
        uncut, beyond = solid.uncut(points), solid.beyond(points)
        any_outside = any_outside or bool(((uncut > 0) & (beyond < 0)).any())
        return torch.maximum(uncut, beyond)

    # A cell more on each side, so that the cut ends lie inside the grid.
    half = solid.dist_radius * resolution / (resolution - 2)
    values = evaluate_grid(distance, resolution, half, chunk=chunk, device=device, slope=SLOPE).values
    if not any_outside:
        raise EmptySurface("no surface: the signed distance is negative everywhere in view")
    return _coloured(marching_cubes(values, half, inside="negative"), solid, chunk, device)


def _coloured(mesh: Mesh, solid: FrontalSolid, chunk: int, device: torch.device) -> Mesh:
    colours, normals = [], []
    for start in range(0, len(mesh.vertices), chunk):
        points = torch.from_numpy(mesh.vertices[start : start + chunk]).to(device).requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(solid.distance(points).sum(), points)
        with torch.no_grad():
            seen = solid.query(points, points.new_tensor(FRONTAL).expand_as(points))
            on_cut = solid.beyond(points) > solid.uncut(points)
        assert seen.colour is not None
        colours.append(torch.where(on_cut[:, None], CUT, seen.colour.clamp(0.0, 1.0)).cpu().numpy())
        normals.append(torch.nn.functional.normalize(gradient, dim=1).cpu().numpy())
    return replace(mesh, vertex_colors=np.concatenate(colours), vertex_normals=np.concatenate(normals))


def frustum_volume(sdf: Tensor, near: float = OFFICIAL_NEAR, far: float = OFFICIAL_FAR) -> Tensor:
    """(R, R, N) the distances (R, R, N) along a camera's rays on a box as wide as the far plane, as published.

    The original widens linearly from slice to slice, and marks as empty (+1) what lies outside of the view.
    """
    widening = torch.linspace(far / near, 1.0, sdf.shape[2], device=sdf.device, dtype=sdf.dtype)
    return box_of_frustum(sdf, widening, outside=1.0)


def frustum_mesh(sdf: Tensor, near: float = OFFICIAL_NEAR, far: float = OFFICIAL_FAR) -> Mesh:
    """The published mesh of distances (R, R, N), in the axes of their view: x right, y up, z towards the camera.

    It is about 2 % too wide, and shifted by half a sample. EmptySurface where nothing changes its sign.
    """
    values = frustum_volume(sdf, near, far).permute(1, 0, 2).cpu().numpy()
    mesh = marching_cubes(values, OFFICIAL_HALF_WIDTH, inside="negative", grid_mapping="official")
    return mesh.transformed(np.diag([1.0, -1.0, -1.0, 1.0]))


def surface_pass(
    renderer: SdfRenderer, latents: Tensor, cameras: ViewCameras, options: RendererConfig, resolution: int
) -> Rendered:
    """What one camera sees of the surface of latents (1, D): positions, background and distances, densely sampled."""
    dense = replace(options, N_samples=resolution)
    return renderer(latents, cameras, resolution, options=dense, extras=("xyz", "mask", "sdf"))


def depth_mesh(seen: Rendered, drop_background: bool = False, max_stretch: float = 0.0) -> Mesh | None:
    """A sheet through what a camera sees, in the world; none where all of it is left out.

    `drop_background` leaves out background, `max_stretch` cells with an edge that many times longer than usual.
    """
    assert seen.xyz is not None and seen.mask is not None
    points = seen.xyz[0].permute(1, 2, 0).cpu().numpy()
    if not drop_background and not max_stretch:
        return sheet_mesh(points)
    keep = (seen.mask[0, 0] < BACKGROUND).cpu().numpy() if drop_background else None
    try:
        mesh = sheet_mesh(points, keep)
        return without_stretched(mesh, max_stretch) if max_stretch else mesh
    except MeshError:
        return None


def without_stretched(mesh: Mesh, most: float) -> Mesh:
    """The mesh without faces whose longest edge has more than `most` times the median of all longest edges."""
    corners = mesh.triangles
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    return mesh.subset(longest <= most * np.median(longest))


def frontal_camera(camera: CameraConfig, device: torch.device) -> ViewCameras:
    """The camera at azimuth and elevation 0."""
    return cameras_at(torch.zeros(1, 2, device=device), camera)


def sheet_names(cameras: ViewCameras) -> list[str]:
    """`depth_mesh_view03_azim+17.2_elev-8.6`: the number of each view and its angles in degrees."""
    angles = [(a + 0.0, e + 0.0) for a, e in cameras.angles.rad2deg().round(decimals=1).tolist()]
    return [f"depth_mesh_view{number:02d}_azim{a:+.1f}_elev{e:+.1f}" for number, (a, e) in enumerate(angles)]


def official_sheet_names(cameras: ViewCameras, identity: int) -> list[str]:
    """The published names; whole degrees, so they need not differ."""
    degrees = cameras.angles.double().rad2deg().tolist()
    return [f"sample_{identity:07d}_depth_mesh_azim{int(a)}_elev{int(e)}" for a, e in degrees]
