"""Runners of surfaces: a depth map's mesh, a frustum's mesh, a shaded frame."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import torch

from framework.geometry.camera import Camera, orbit
from framework.geometry.depth_sheet import box_of_frustum, sheet_mesh
from framework.geometry.isosurface import marching_cubes
from framework.geometry.mesh import Mesh
from framework.renderers.shading import PointLight
from framework.renderers.surface import Surface
from framework.renderers.torch_rasterizer import TorchRasterizer
from framework.renderers.views import render_surface
from tests.parity.fixture import Fixture, FixtureError

HALF_WIDTH = 0.12
"""Half of the cube into which the original puts every mesh."""


def depth_mesh(fixture: Fixture) -> dict[str, Any]:
    """Family depth_mesh: a sheet through `config.h` squared points; the surface is the one of `inputs.xyz`.

    Diagonals of cells are arbitrary, so stored faces are only counted, and stored normals held against ours loosely.
    """
    points = _sheet(fixture)
    mesh = sheet_mesh(points)
    faces, normals = fixture.stored("faces"), fixture.stored("vertex_normals")
    if len(mesh.faces) != len(faces):
        raise FixtureError(f"{len(mesh.faces)} faces, expected {len(faces)}")
    if not (mesh.face_normals()[:, 2] > 0).all():
        raise FixtureError("some faces turn their back to the camera")
    cosine = np.sum(angle_normals(mesh) * normals, axis=1).clip(-1, 1)
    if np.degrees(np.arccos(cosine)).mean() > 1.0:
        raise FixtureError("vertex normals are more than a degree off on average")
    return {"vertices": mesh.vertices, "area": mesh.area}


def _sheet(fixture: Fixture) -> np.ndarray:
    """z = a exp(-(x^2+y^2)/b) - c over a square of half side s, y falling along rows."""
    sentence, size = str(fixture.descriptions["xyz"]), fixture.config["h"]
    number = r"(-?\d*\.\d+)"
    sides = re.search(rf"linspace\(-\.\d+,{number},\d+\) along columns", sentence)
    found = re.search(rf"z = {number}\*exp\(-\(x\^2\+y\^2\)/{number}\)-{number}", sentence)
    if sides is None or found is None:
        raise FixtureError(f"inputs.xyz is not understood: {sentence!r}")
    axis = np.linspace(-float(sides[1]), float(sides[1]), size)
    y, x = np.meshgrid(-axis, axis, indexing="ij")
    height, spread, lower = map(float, found.groups())
    return np.stack([x, y, height * np.exp(-(x**2 + y**2) / spread) - lower], axis=-1).astype(np.float32)


def angle_normals(mesh: Mesh) -> np.ndarray:
    """(V, 3) unit normals, incident faces weighted by the angle of their corner."""
    triangles = mesh.triangles.astype(np.float64)
    normals, sums = mesh.face_normals().astype(np.float64), np.zeros((len(mesh.vertices), 3))
    for corner in range(3):
        first, second = (triangles[:, (corner + turn) % 3] - triangles[:, corner] for turn in (1, 2))
        cosine = np.sum(first * second, axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
        np.add.at(sums, mesh.faces[:, corner], np.arccos(cosine.clip(-1, 1))[:, None] * normals)
    return sums / np.linalg.norm(sums, axis=1, keepdims=True)


def mesh_extraction(fixture: Fixture) -> dict[str, Any]:
    """Family mesh_extraction: a frustum's stored signed distances on a box, and the zero level.

    `config` has near and far; `outputs.aligned_b` tells the other pair; both tell `every <n>nd voxel`. The mesh is in
    the axes of the view: x right, y up, z towards the camera.
    """
    volume = torch.from_numpy(fixture.stored("sdf"))[0, ..., 0]
    aligned = _aligned(volume, fixture.config["near"], fixture.config["far"])
    mesh = marching_cubes(
        aligned.permute(1, 0, 2).numpy(), HALF_WIDTH, inside="negative", grid_mapping="official"
    ).transformed(np.diag([1.0, -1.0, -1.0, 1.0]))
    stated = fixture.facts["outputs"]
    other = re.search(r"near ([\d.]+), far ([\d.]+)", stated["aligned_b"]["what"])
    step = re.search(r"every (\d+)\w* voxel", stated["aligned"]["what"])
    if other is None or step is None:
        raise FixtureError("outputs.aligned and outputs.aligned_b are not understood")
    part = (slice(None, None, int(step[1])),) * 3
    return {
        "aligned": aligned[part],
        "aligned_b": _aligned(volume, float(other[1]), float(other[2]))[part],
        "vertices": mesh.vertices,
        "faces": mesh.faces,
    }


def _aligned(volume: torch.Tensor, near: float, far: float) -> torch.Tensor:
    """The original widens linearly from slice to slice."""
    return box_of_frustum(volume, torch.linspace(far / near, 1.0, volume.shape[2]), outside=1.0)


def surface_frame(fixture: Fixture) -> dict[str, Any]:
    """Family surface_frame: a stored mesh with a point light, and its depth.

    `config` has image_size, full_fov_deg, dist, azim_rad, elev_rad and the sentence `light`.
    """
    config, size = fixture.config, fixture.config["image_size"]
    positions, normals, faces = fixture.tensor("vertices"), fixture.tensor("normals"), fixture.tensor("faces").long()
    surface = Surface(positions, faces, faces, normals, colors=torch.ones_like(positions))
    pose = orbit(math.degrees(config["azim_rad"]), math.degrees(config["elev_rad"]), config["dist"])
    camera = Camera.perspective(pose[None], math.radians(config["full_fov_deg"]), near=0.01, far=10.0)
    light = _light(config["light"])
    drawn = render_surface(surface, camera, size, TorchRasterizer(), ("phong", "depth", "mask"), light=light)
    mask = drawn["mask"][0, ..., 0] > 0
    color, depth = drawn["phong"][0, ..., 0], drawn["depth"][0, ..., 0]
    return {"image": torch.where(mask, color, 1.0), "zbuf": torch.where(mask, depth, -1.0)}


def _light(sentence: str) -> PointLight:
    number = r"(-?\d*\.?\d+)"
    place = re.search(rf"world \({number}, ?{number}, ?{number}\)", sentence)
    named = {name: re.search(rf"{name} {number}", sentence) for name in ("ambient", "diffuse", "specular", "shininess")}
    if place is None or None in named.values():
        raise FixtureError(f"config.light is not understood: {sentence!r}")
    values = {name: float(match[1]) for name, match in named.items() if match}
    return PointLight(position=(float(place[1]), float(place[2]), float(place[3])), **values)
