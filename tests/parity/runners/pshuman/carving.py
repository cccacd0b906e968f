"""Runner of the whole carving loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from framework.evaluation.shape_metrics import chamfer_l1
from framework.geometry.camera import Camera, orbit
from framework.geometry.mesh import Mesh
from framework.geometry.normals import smooth_normals
from framework.geometry.remeshing.collapse import random_picks
from framework.geometry.remeshing.optimizer import Picks
from framework.geometry.sampling import sample_surface
from framework.renderers.carving import NormalTargets, carve, draw_vectors
from framework.renderers.config import CarvingConfig
from framework.renderers.torch_rasterizer import TorchRasterizer
from tests.parity.comparison import Judged
from tests.parity.fixture import Fixture
from tests.parity.runners.pshuman.remeshing import seed_in
from tests.parity.runners.remeshing_layout import optimizer_config
from tests.parity.runners.rules import stated

AZIMUTHS = (0.0, 45.0, 90.0, 180.0, 270.0, 315.0)
ADAPTATION = ((1, 4), (500, 2), (800, 1))
"""Steps between two adaptations of the edge lengths, which all of the method's runs have."""
SAMPLES = 20_000


def carving_loop(fixture: Fixture) -> dict[str, Any]:
    """Family carving_loop: from `start_*` to the six pictures of `target_*`, by the method's constants.

    `config` has `resolution`, `iters`, `edge_len_lims`, `view_weights` and `scale` (the frame's width). The first
    losses and sizes are held to the stored ones; the last losses and the Chamfer distance may exceed them by a factor.
    """
    config, rasterizer = fixture.config, TorchRasterizer()
    start, faces, goal, goal_faces = (
        fixture.tensor(name) for name in ("start_vertices", "start_faces", "target_vertices", "target_faces")
    )
    targets = _targets(fixture, goal, goal_faces.long(), rasterizer)
    history: list[list[float]] = []

    def loss_of(positions: Tensor, faces: Tensor) -> Tensor:
        parts = targets.losses(positions, faces, rasterizer)
        history.append([*(part.item() for part in parts), len(positions), len(faces)])
        return parts[0] + parts[1]

    carved = carve(start, faces.long(), loss_of, _config(config), _picks(fixture))
    distance = chamfer_l1(_samples(carved.positions, carved.faces), _samples(goal, goal_faces))
    normal_loss, mask_loss, _, _ = history[0]
    _, _, vertices, faces_then = history[1] if len(history) > 1 else [0, 0, len(carved.positions), len(carved.faces)]
    first = [normal_loss, mask_loss, vertices, faces_then]  # sizes are counted behind the step
    return _judged(fixture, first, [*history[-1][:2], distance])


def _targets(fixture: Fixture, positions: Tensor, faces: Tensor, rasterizer: TorchRasterizer) -> NormalTargets:
    """The pictures of the goal; normals are multiplied by whether a pixel is more than half covered."""
    size = fixture.config["resolution"]
    camera = Camera.orthographic(orbit(AZIMUTHS, 0.0, 1.5), fixture.config["scale"] / 2, near=0.1, far=100.0)
    clip_from_world = camera.clip_from_world
    picture = draw_vectors(
        smooth_normals(positions, faces), positions, faces, clip_from_world, (size, size), rasterizer
    )
    mask = (picture[..., 3] > 0.5).float()
    weights = torch.tensor(fixture.config["view_weights"])
    return NormalTargets(picture[..., :3] * mask[..., None], mask, clip_from_world, weights)


def _config(config: dict[str, Any]) -> CarvingConfig:
    return CarvingConfig(
        steps=config["iters"], remeshing=optimizer_config(config, stable=False), adapt_every=ADAPTATION
    )


def _picks(fixture: Fixture) -> Picks:
    """What faces draw from torch, seeded before the loop; the first draw belongs to the face at index 0."""
    generator = torch.Generator().manual_seed(seed_in(fixture.descriptions["seed"]))
    return lambda faces: random_picks(faces + 1, generator)[1:]


def _samples(positions: Tensor, faces: Tensor) -> np.ndarray:
    return sample_surface(Mesh(positions, faces), SAMPLES, 0)[0]


def _judged(fixture: Fixture, first: list[float], last: list[float]) -> dict[str, Any]:
    expected = fixture.facts["expected"]
    names = ("normal_loss_last", "alpha_loss_last", "chamfer_end")
    factor = stated(fixture, "end")
    start = {
        f"first {name}": (abs(found / float(wanted) - 1), stated(fixture, "history[0]"))
        for name, found, wanted in zip(
            ("normal loss", "alpha loss", "vertices", "faces"), first, fixture.expected["history"][0], strict=True
        )
    }
    end = {name: (found, factor * expected[name]) for name, found in zip(names, last, strict=True)}
    return {"history": Judged(start | end)}
