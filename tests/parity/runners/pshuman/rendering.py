"""Runner of the six-view pictures of normals."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from framework.geometry.camera import Camera, homogeneous, orbit
from framework.geometry.normals import smooth_normals
from framework.renderers.torch_rasterizer import TorchRasterizer
from tests.parity.comparison import Judged
from tests.parity.fixture import Fixture
from tests.parity.runners.rules import stated


def render_normals(fixture: Fixture) -> dict[str, Any]:
    """Family render_normals: normals or colours of a stored mesh from views 45 degrees apart, plain and antialiased.

    `config` has `resolution`, `scale` (the frame's width) and `views`; `colors` are one for each vertex. Pictures are
    judged by the three rules of the tolerance: `interior`, `coverage`, and for the smooth ones `silhouette`.
    """
    size = fixture.config["resolution"]
    vertices, faces = fixture.tensor("vertices"), fixture.tensor("faces").long()
    poses = orbit([45.0 * view for view in fixture.config["views"]], 0.0, 1.5)
    camera = Camera.orthographic(poses, fixture.config["scale"] / 2, near=0.1, far=100.0)
    rasterizer, clip = TorchRasterizer(), homogeneous(vertices) @ camera.clip_from_world.mT
    fragments = rasterizer.rasterize(clip, faces, (size, size))
    normals, colors = smooth_normals(vertices, faces), fixture.tensor("colors", V=len(vertices))
    attributes = torch.stack([normals * 0.5 + 0.5, colors])
    drawn = [rasterizer.interpolate(values[None], fragments, faces) for values in attributes]
    hard, hard_colors = (torch.cat([picture, fragments.mask[..., None].float()], 3) for picture in drawn)
    antialiased, colors_antialiased = (
        rasterizer.antialias(picture, fragments, clip, faces) for picture in (hard, hard_colors)
    )
    return {
        "vertex_normals": Judged({"difference": (_difference(fixture, normals), 1e-6)}),
        "hard": _judged(fixture, "hard", hard, hard, False),
        "antialiased": _judged(fixture, "antialiased", antialiased, hard, True),
        "colors_antialiased": _judged(fixture, "colors_antialiased", colors_antialiased[[0, 2]], hard[[0, 2]], True),
    }


def _difference(fixture: Fixture, normals: Tensor) -> float:
    return float((normals - torch.from_numpy(fixture.expected["vertex_normals"])).abs().max())


def _judged(fixture: Fixture, output: str, picture: Tensor, hard: Tensor, smooth: bool) -> Judged:
    """A picture (N, H, W, 4) in [0, 1] under the rules; `hard` tells what it covers."""
    expected = torch.from_numpy(fixture.expected[output]).float() / 255
    difference = ((picture * 255).round() / 255 - expected).abs().amax(3)
    covered = hard[..., 3]
    # Silhouette: where the 3 x 3 neighbourhood holds both covered pixels and empty ones.
    mixed = (_widest(covered) - -_widest(-covered)) > 0
    measures = {"interior": (_largest(difference[~mixed]), stated(fixture, "interior"))}
    if smooth:
        return Judged(measures | {"silhouette": (float(difference[mixed].mean()), stated(fixture, "silhouette"))})
    other = (covered != expected[..., 3]).float().mean()
    return Judged(measures | {"coverage": (float(other), stated(fixture, "coverage"))})


def _widest(values: Tensor) -> Tensor:
    return max_pool2d(values[:, None], 3, stride=1, padding=1)[:, 0]


def _largest(values: Tensor) -> float:
    return float(values.max()) if values.numel() else 0.0
