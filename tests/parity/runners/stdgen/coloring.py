"""Runner of colours projected from several views to vertices, with and without a mask of what a view may colour."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from framework.geometry.camera import Camera, orbit
from framework.renderers import projection
from framework.renderers.torch_rasterizer import TorchRasterizer
from tests.parity.fixture import Fixture

_POWERS = {"linear": 1.0, "square": 2.0, "squared": 2.0}
_WEIGHTS = {
    "linear_original": [2, 0.8, 0.8, 2, 0.8, 0.8],
    "final": [2, 0.5, 0, 1, 0, 0.5],
    "final_masked": [2, 0, 0.5, 1, 0.5, 0],
}
_ERODED, _RINGS = 2, 2


def color_projection(fixture: Fixture) -> dict[str, Any]:
    """Family color_projection: one view, variants of the blend, and the completion alone.

    `config` has `azimuths` and `resolution` and may have `half_width`, `distance`, `near` and `far`. Inputs are
    `mesh_vertices`, `mesh_faces`, `images` (uint8 [B, H, W, 4]), `base colours` (an expression of V, in the manner
    `uniform('base',(V,3),0,1,0)`) and `distract_mask` (`rows a..b, columns c..d`). A variant's weights, cosine,
    threshold, first colours and what stands below the threshold are read from the sentence of its output and from that
    of `final` where it tells no threshold; so are `view <n>` of `visible_faces`, `every third vertex` of `completed`.
    """
    scene = _Scene(fixture)
    outputs: dict[str, Any] = {"completed": scene.completed_alone()}
    number = int(_found(r"view (\d+)", scene.sentence("visible_faces"), "1"))
    single = scene.views[number]
    size = (scene.resolution, scene.resolution)
    seen = projection.visible_faces(
        scene.positions, scene.faces, scene.cameras[number : number + 1], size, scene.rasterizer
    )
    outputs["visible_faces"] = seen[0].nonzero().squeeze(1)
    outputs["valid_verts"], outputs["valid_colors"] = single.vertices, single.colors
    outputs["valid_alpha"], outputs["cos_angles"] = single.alpha[:, None], single.cosine
    variants = {name for name in fixture.expected if name in _WEIGHTS or "weights" in scene.sentence(name)}
    return outputs | {name: scene.variant(name) for name in variants}


class _Scene:
    """The mesh, its views and the sentences about what to do with them."""

    def __init__(self, fixture: Fixture) -> None:
        config = fixture.config
        self.fixture = fixture
        self.positions, self.faces = fixture.tensor("mesh_vertices"), fixture.tensor("mesh_faces").long()
        poses = orbit(config["azimuths"], 0.0, config.get("distance", 1.1))
        planes = config.get("near", -98.0), config.get("far", 100.0)
        self.cameras = Camera.orthographic(poses, config.get("half_width", 1.2), *planes)
        self.pictures = fixture.tensor("images").float() / 255
        self.resolution = config.get("resolution", 1024)
        self.rasterizer = TorchRasterizer()
        self.views: list[projection.ViewSamples] = projection.sample_views(
            self.positions, self.faces, self.cameras, self.pictures, self.rasterizer, self.resolution
        )
        names = {"V": len(self.positions)}
        self.base = torch.from_numpy(np.asarray(fixture.input("base colours", **names), np.float32))

    def sentence(self, output: str) -> str:
        """What the fixture says of an output."""
        return str((self.fixture.facts.get("outputs") or {}).get(output, ""))

    def variant(self, name: str) -> Tensor:
        """The blend that the sentence of `name` tells; one that tells no threshold is like `final` in all it omits."""
        own = self.sentence(name)
        told = own if "threshold" in own else f"{own}; {self.sentence('final')}"
        power = _POWERS[_found(r"(linear|squared?)", told, "squared")]
        threshold = float(_found(r"threshold ([\d.]+)", told, "0.2"))
        stated = re.search(r"weights ([\d., ]+\d)", own)
        weights = [float(value) for value in stated[1].split(",")] if stated else _WEIGHTS[name]
        gathered = projection.gather_views(self.views, weights, len(self.positions), power)
        if "mask" in own:
            gathered = gathered.without(self._masked())
        initial = torch.zeros_like(self.base) if "from zero" in told else self.base
        colors = projection.blended(gathered, initial, threshold, "original" if "keep original" in told else "smooth")
        return projection.completed(colors, gathered.weight >= threshold, self.faces) if "completed" in told else colors

    def completed_alone(self) -> Tensor:
        """Every n-th vertex is known."""
        ordinals = {"second": 2, "third": 3, "fourth": 4, "fifth": 5}
        step = ordinals[_found(r"every (\w+) vertex", self.sentence("completed"), "third")]
        return projection.completed(self.base, torch.arange(len(self.base)) % step == 0, self.faces)

    def _masked(self) -> Tensor:
        """(V,) what the first view sees outside the eroded mask, and everything within two edges of it."""
        first = self.views[0]
        ndc = self.cameras[0].project(self.positions[first.vertices])
        outside = first.vertices[projection.sample_picture(self._mask(), ndc)[:, 0] <= 0.5]
        hidden = torch.zeros(len(self.positions), dtype=torch.bool)
        hidden[outside] = True
        return projection.grown(hidden, self.faces, _RINGS)

    def _mask(self) -> Tensor:
        """(H, W, 1) of the rectangle, eroded by the 3 x 3 neighbourhood."""
        sentence = str(self.fixture.descriptions.get("distract_mask", "stored"))
        place = re.search(r"rows (\d+)\.\.(\d+), *columns (\d+)\.\.(\d+)", sentence)
        if place is None:
            mask = self.fixture.tensor("distract_mask").float().reshape(1, 1, *self.pictures.shape[1:3])
            mask = mask / mask.max().clamp(min=1)
        else:
            top, bottom, left, right = map(int, place.groups())
            mask = torch.zeros(1, 1, *self.pictures.shape[1:3])
            mask[..., top : bottom + 1, left : right + 1] = 1
        for _ in range(_ERODED):
            mask = -max_pool2d(-mask, 3, stride=1, padding=1)
        return mask[0].permute(1, 2, 0)


def _found(pattern: str, sentence: str, otherwise: str) -> str:
    match = re.search(pattern, sentence)
    return match[1] if match else otherwise
