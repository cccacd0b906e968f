"""Runners of surfaces: a depth map's mesh, a frustum's mesh, a shaded frame."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import torch

from framework.geometry.camera import Camera, orbit
from framework.renderers.shading import PointLight
from framework.renderers.surface import Surface
from framework.renderers.torch_rasterizer import TorchRasterizer
from framework.renderers.views import render_surface
from methods.stylesdf.nets.renderer import Rendered
from methods.stylesdf.surface import depth_mesh as depth_mesh_of
from methods.stylesdf.surface import frustum_mesh, frustum_volume
from methods.stylesdf.video import mesh_surface, shaded
from tests.parity.fixture import Fixture, FixtureError


def depth_mesh(fixture: Fixture) -> dict[str, Any]:
    """Family depth_mesh: a sheet through `config.h` squared points; the surface is the one of `inputs.xyz`.

    Diagonals of cells are arbitrary, so stored faces are only counted, and stored normals held against ours loosely.
    """
    points = torch.from_numpy(_sheet(fixture)).permute(2, 0, 1)[None]
    mesh = depth_mesh_of(Rendered(rgb=points, xyz=points, mask=torch.ones_like(points[:, :1])))
    assert mesh is not None
    faces, normals = fixture.stored("faces"), fixture.stored("vertex_normals")
    if len(mesh.faces) != len(faces):
        raise FixtureError(f"{len(mesh.faces)} faces, expected {len(faces)}")
    if not (mesh.face_normals()[:, 2] > 0).all():
        raise FixtureError("some faces turn their back to the camera")
    ours = mesh_surface(mesh, torch.device("cpu")).normals.numpy()
    cosine = np.sum(ours * normals, axis=1).clip(-1, 1)
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


def mesh_extraction(fixture: Fixture) -> dict[str, Any]:
    """Family mesh_extraction: a frustum's stored signed distances on a box, and the zero level.

    `config` has near and far; `outputs.aligned_b` tells the other pair; both tell `every <n>nd voxel`. The mesh is in
    the axes of the view: x right, y up, z towards the camera.
    """
    volume = torch.from_numpy(fixture.stored("sdf"))[0, ..., 0]
    near, far = fixture.config["near"], fixture.config["far"]
    mesh = frustum_mesh(volume, near, far)
    stated = fixture.facts["outputs"]
    other = re.search(r"near ([\d.]+), far ([\d.]+)", stated["aligned_b"]["what"])
    step = re.search(r"every (\d+)\w* voxel", stated["aligned"]["what"])
    if other is None or step is None:
        raise FixtureError("outputs.aligned and outputs.aligned_b are not understood")
    part = (slice(None, None, int(step[1])),) * 3
    return {
        "aligned": frustum_volume(volume, near, far)[part],
        "aligned_b": frustum_volume(volume, float(other[1]), float(other[2]))[part],
        "vertices": mesh.vertices,
        "faces": mesh.faces,
    }


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
    drawn = render_surface(surface, camera, size, TorchRasterizer(), ("depth", "mask"))
    depth = torch.where(drawn["mask"] > 0, drawn["depth"], -1.0)[0, ..., 0]
    return {"image": shaded(surface, camera, size, TorchRasterizer(), light)[0], "zbuf": depth}


def _light(sentence: str) -> PointLight:
    number = r"(-?\d*\.?\d+)"
    place = re.search(rf"world \({number}, ?{number}, ?{number}\)", sentence)
    named = {name: re.search(rf"{name} {number}", sentence) for name in ("ambient", "diffuse", "specular", "shininess")}
    if place is None or None in named.values():
        raise FixtureError(f"config.light is not understood: {sentence!r}")
    values = {name: float(match[1]) for name, match in named.items() if match}
    return PointLight(position=(float(place[1]), float(place[2]), float(place[3])), **values)
