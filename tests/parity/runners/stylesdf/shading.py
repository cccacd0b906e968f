"""Runner of a frame of the surface video."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch

from framework.geometry.camera import Camera, orbit
from framework.renderers.shading import PointLight
from framework.renderers.surface import Surface
from framework.renderers.torch_rasterizer import TorchRasterizer
from framework.renderers.views import render_surface
from tests.parity.comparison import Judged
from tests.parity.fixture import Fixture, FixtureError


def surface_frame(fixture: Fixture) -> dict[str, Any]:
    """Family surface_frame: a stored mesh in the light of one lamp, white on white, and its depth.

    `config` has `image_size`, `full_fov_deg`, `dist`, `azim_rad`, `elev_rad`; the light is the default one. `image` is
    judged by the two numbers of its tolerance (mean difference; share of pixels within a bound), `zbuf` where both see
    something.
    """
    config, size = fixture.config, fixture.config["image_size"]
    positions, normals = fixture.tensor("vertices"), fixture.tensor("normals")
    faces = fixture.tensor("faces").long()
    surface = Surface(positions, faces, faces, normals, colors=torch.ones_like(positions))
    angles = (float(np.rad2deg(config[name])) for name in ("azim_rad", "elev_rad"))
    pose = orbit(*([angle] for angle in angles), config["dist"])
    camera = Camera.perspective(pose, np.deg2rad(config["full_fov_deg"]), near=0.01, far=10.0)
    drawn = render_surface(surface, camera, size, TorchRasterizer(), ("phong", "depth", "mask"), light=PointLight())
    color, covered = drawn["phong"][0], drawn["mask"][0, ..., 0] > 0
    image = torch.where(covered, color[..., 0], 1.0)
    depth = torch.where(covered, drawn["depth"][0, ..., 0], -1.0)
    return {"image": _judged_image(fixture, image.numpy()), "zbuf": _judged_depth(fixture, depth.numpy())}


def _judged_image(fixture: Fixture, image: np.ndarray) -> Judged:
    found = re.search(
        r"mean abs < ([\d.e-]+), ([\d.]+)% of pixels within ([\d.e-]+)", fixture.facts["tolerance"]["image"]
    )
    if not found:
        raise FixtureError("states no mean and share for the tolerance 'image'")
    mean, share, bound = map(float, found.groups())
    difference = np.abs(image - fixture.expected["image"])
    return Judged({"mean": (difference.mean(), mean), "share beyond": ((difference > bound).mean(), 1 - share / 100)})


def _judged_depth(fixture: Fixture, depth: np.ndarray) -> Judged:
    expected = fixture.expected["zbuf"]
    both = (depth >= 0) & (expected >= 0)
    largest = float(np.abs(depth - expected)[both].max(initial=0.0))
    return Judged({"largest": (largest, fixture.facts["tolerance"]["zbuf"]["atol"])})
