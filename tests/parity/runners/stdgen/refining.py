"""Runner of the refinement's two phases: towards maps of normals, then towards what they give to vertices."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from framework.geometry.camera import Camera, orbit
from framework.geometry.normals import smooth_normals
from framework.renderers.carving import Loss, carve, draw_vectors
from framework.renderers.config import CarvingConfig
from framework.renderers.projection import blended, gather_views, sample_views
from framework.renderers.torch_rasterizer import TorchRasterizer
from tests.parity.comparison import Judged
from tests.parity.fixture import Fixture
from tests.parity.runners.remeshing_layout import optimizer_config
from tests.parity.runners.stdgen.rasterizing import six_poses
from tests.parity.runners.stdgen.remeshing import numbered_picks

_LATER = ("cloth", "hair")
"""The layers that are refined over finished ones."""
_TURNED = torch.tensor([-1.0, 1.0, -1.0])
"""The maps' axes x and z point the other way than the mesh's."""
_AZIMUTHS = (180.0, 225.0, 270.0, 0.0, 90.0, 135.0)
_WEIGHTS = (2.0, 0.8, 0.8, 2.0, 0.8, 0.8)
_NEAR, _COLLISION, _MASKED_OUT = 0.05, 100.0, 10.0


def refine_optimise(fixture: Fixture) -> dict[str, Any]:
    """Family refine_optimise: a few steps of each of `config.variants` (cloth and hair over a fixed layer, hair with
    the mask of the front picture) and of `config.explicit`, the second phase.

    The first gradient and the vertices have a tolerance each; of faces, the number is compared.
    """
    outputs: dict[str, Any] = {}
    for name, options in fixture.config["variants"].items():
        scene = _Scene.of(fixture, fixed=name in _LATER, masked=name == "hair")
        outputs |= _run(fixture, name, scene.phase_one, _config(fixture, options))
    if "explicit" in fixture.config:
        outputs |= _phase_two(fixture)
    return {name: _judged(fixture, name, value) for name, value in outputs.items() if name in fixture.expected}


def _judged(fixture: Fixture, name: str, value: Tensor) -> Judged:
    expected = torch.from_numpy(fixture.expected[name])
    if name.endswith("_faces"):
        return Judged({"number": (abs(len(value) - len(expected)), 0)})
    kind = "grad0" if name.endswith("grad0") else "vertices"
    stated = dict(re.findall(r"\b(atol|rtol) ([\d.]+(?:e-?\d+)?)", fixture.facts["tolerance"][kind]))
    atol, rtol = (float(stated.get(part, 0)) for part in ("atol", "rtol"))
    if value.shape != expected.shape:
        return Judged({"excess": (float("inf"), atol)})
    excess = (value.detach() - expected).abs() - rtol * expected.abs()
    return Judged({"excess": (float(excess.max()), atol)})


def _phase_two(fixture: Fixture) -> dict[str, Any]:
    explicit = fixture.config["explicit"]
    scene = _Scene.of(fixture, fixed=False, masked=False)
    targets = _ProjectedTargets(scene, explicit["visibility_resolution"])
    options = {"lr": 0.03, "gain": 0.2, "remesh_interval": 1} | explicit
    config = _config(fixture, options, ramp=options["ramp"], smoothing=options["laplacian_weight"])
    outputs = _run(fixture, "explicit", targets.loss, config)
    return outputs | {"explicit_target_colors0": targets.first_colours}


def _config(fixture: Fixture, options: dict[str, Any], **further: Any) -> CarvingConfig:
    config = fixture.config
    limits = config["end_edge_len"], config["start_edge_len"]
    known = {
        "lr": options["lr"],
        "gain": options.get("gain", config["gain"]),
        "edge_len_lims": limits,
        "local_edgelen": False,
    }
    interval = options["remesh_interval"]
    return CarvingConfig(
        steps=len(options.get("lr_at_step", (0, 0))),
        remeshing=optimizer_config(known, **further),
        decay=options.get("decay", 0.995),
        remesh_every=interval,
        adapt_every=((1, interval),),
    )


def _run(fixture: Fixture, name: str, loss_of: Loss, config: CarvingConfig) -> dict[str, Any]:
    positions, faces = fixture.tensor("mesh_vertices"), fixture.tensor("mesh_faces").long()
    gradients: list[Tensor] = []

    def observed(positions: Tensor, faces: Tensor) -> Tensor:
        positions.register_hook(gradients.append)
        return loss_of(positions, faces)

    carved = carve(positions, faces, observed, config, numbered_picks(fixture.salt))
    return {
        f"{name}_grad0": gradients[0],
        f"{name}_vertices": carved.positions,
        f"{name}_faces": carved.faces,
    }


@dataclass
class _Scene:
    """What the losses look at."""

    pictures: Tensor
    """(6, H, W, 4) the maps as they stand."""
    targets: Tensor
    """(6, H, W, 4) the maps on black."""
    fixed: tuple[Tensor, Tensor] | None
    """Positions and faces of layers that are finished."""
    mask: Tensor | None
    """(H, W) bool, where the front picture should show this layer."""
    expansion: float
    """Weight of the push along the (turned) normals."""
    rasterizer: TorchRasterizer

    @staticmethod
    def of(fixture: Fixture, fixed: bool, masked: bool) -> _Scene:
        pictures = fixture.tensor("target_images").float() / 255
        layers = fixture.tensor("fixed_vertices"), fixture.tensor("fixed_faces").long()
        mask = _rectangle(fixture.descriptions["distract_mask"], pictures.shape[1:3]) if masked else None
        return _Scene(
            pictures,
            _freed(pictures),
            layers if fixed else None,
            mask,
            fixture.config["loss_expansion_weight"],
            TorchRasterizer(),
        )

    def phase_one(self, positions: Tensor, faces: Tensor) -> Tensor:
        everything, all_faces = self._with_fixed(positions, faces)
        normals = smooth_normals(everything, all_faces) * _TURNED
        picture = self.drawn(normals, everything, all_faces)
        loss = _seen(picture, self.targets, 4) + _outside(picture, self.targets)
        # The mean is over all layers, although only this one moves.
        loss = loss + self.expansion * 0.5 * ((everything + normals).detach() - everything).square().mean()
        if self.mask is not None:
            loss = loss + self._front_loss(normals, everything, all_faces, len(positions))
        return loss if self.fixed is None else loss + self._collision(positions)

    def _with_fixed(self, positions: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
        if self.fixed is None:
            return positions, faces
        return torch.cat([positions, self.fixed[0]]), torch.cat([faces, self.fixed[1] + len(positions)])

    def drawn(self, normals: Tensor, positions: Tensor, faces: Tensor) -> Tensor:
        height, width = self.targets.shape[1:3]
        clip_from_world = Camera.orthographic(six_poses(), 1.2, near=1.0, far=50.0).clip_from_world.float()
        return draw_vectors(normals, positions, faces, clip_from_world, (height, width), self.rasterizer)

    def _front_loss(self, normals: Tensor, positions: Tensor, faces: Tensor, own: int) -> Tensor:
        """With the finished layers in black: the front picture is the target in the mask and black elsewhere."""
        black = torch.cat([normals[:own], torch.full_like(normals[own:], -1.0)])
        front, mask = self.drawn(black, positions, faces)[0], self.mask
        inside = (front - self.targets[0]).square()[mask].mean()
        return inside + _MASKED_OUT * front[..., :3].square()[~mask].mean()

    def _collision(self, positions: Tensor) -> Tensor:
        """How deep vertices near the finished layers lie within them."""
        fixed, faces = self.fixed
        nearest = torch.cdist(positions.detach(), fixed).argmin(1)
        inwards = fixed[nearest] - positions
        near = inwards.detach().norm(dim=1) < _NEAR
        depth = (inwards * smooth_normals(fixed, faces)[nearest]).sum(1).clamp(min=0)[near]
        return _COLLISION * depth.pow(3).mean() if len(depth) else depth.sum()


def _freed(pictures: Tensor) -> Tensor:
    """Pictures (6, H, W, 4) without the background colour of their corners, black where they are empty."""
    alpha, background = pictures[..., 3:], pictures[:, :1, :1, :3]
    colours = (pictures[..., :3] - (1 - alpha) * background) / alpha.clamp(min=1e-6)
    return torch.cat([torch.where(alpha > 0.05, colours, 0.0).clamp(0, 1), alpha], 3)


def _seen(picture: Tensor, target: Tensor, channels: int) -> Tensor:
    return (picture - target)[..., :channels].square()[picture[..., 3] > 0.5].mean()


class _ProjectedTargets:
    """Phase two: pictures of the normals that the maps give to vertices, made anew in some of the steps."""

    def __init__(self, scene: _Scene, resolution: int) -> None:
        self.scene, self.resolution = scene, resolution
        self.step = 0
        self.first_colours: Tensor | None = None
        self.targets = scene.targets

    def loss(self, positions: Tensor, faces: Tensor) -> Tensor:
        normals = smooth_normals(positions, faces)
        if self.step < 5 or self.step % 20 == 0:
            with torch.no_grad():
                self._renew(positions, faces, normals)
        self.step += 1
        picture = self.scene.drawn(normals, positions, faces)
        return _seen(picture, self.targets, 3) + _outside(picture, self.scene.targets)

    def _renew(self, positions: Tensor, faces: Tensor, normals: Tensor) -> None:
        scene = self.scene
        cameras = Camera.orthographic(orbit(_AZIMUTHS, 0.0, 1.1), 1.2, -98.0, 100.0)
        samples = sample_views(positions, faces, cameras, scene.pictures, scene.rasterizer, self.resolution)
        gathered = gather_views(samples, _WEIGHTS, len(positions), power=1.0)
        colours = blended(gathered, normals * 0.5 + 0.5, 0.1, "original")
        if self.first_colours is None:
            self.first_colours = colours
        self.targets = scene.drawn(normalize(colours * 2 - 1, dim=1) * _TURNED, positions, faces)


def _outside(picture: Tensor, target: Tensor) -> Tensor:
    return (picture - target)[..., 3].square()[target[..., 3] < 0.5].mean()


def _rectangle(sentence: str, shape: torch.Size) -> Tensor:
    """`rows 14..39, columns 20..43 of the front view`, bounds included."""
    top, bottom, left, right = map(int, re.search(r"rows (\d+)\.\.(\d+), *columns (\d+)\.\.(\d+)", sentence).groups())
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[top : bottom + 1, left : right + 1] = True
    return mask
