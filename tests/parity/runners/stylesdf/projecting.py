"""The runner of noise that is fixed to a surface."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from framework.geometry.cleaning import subdivided
from framework.renderers.torch_rasterizer import TorchRasterizer
from methods.stylesdf.cameras import ViewCameras
from methods.stylesdf.noise_projection import project
from tests.parity import fill
from tests.parity.comparison import Judged
from tests.parity.fixture import Fixture, FixtureError
from tests.parity.runners.rules import stated

EXACT, NEAREST = "soft, exact blend of the spec (5.7)", "soft, plain nearest-face z-buffer"


def noise_projection(fixture: Fixture) -> dict[str, Any]:
    """Family noise_projection: noise at the vertices of a stored mesh over a map, at each side that `outputs` name.

    `config` has azim_rad, elev_rad, full_fov_deg; `<side>.soft` tells `every <n> pixel(s)`. Where a mesh
    `input.vertices<side>` is stored, it must be ours after subdivision but for the order of its vertices.
    """
    sides = sorted({int(name.partition(".")[0]) for name in fixture.facts["outputs"]})
    found: dict[str, Any] = {}
    for side in sides:
        found |= _projected(fixture, side)
    return found


def _projected(fixture: Fixture, side: int) -> dict[str, Any]:
    """The outputs of one side, exact and nearest."""
    positions, faces = _mesh(fixture, side)
    count = len(positions)
    values = _noise(fixture, "vertex noise", side, (1, count, 1))[0]
    background = _noise(fixture, "2-D noise", side, (1, 1, side, side))[0, 0]
    step = _step(fixture, side)
    soft, covered = {}, {}
    for blending in ("exact", "nearest"):
        drawn, seen = project(positions, faces, values, _camera(fixture), side, TorchRasterizer(), blending)
        soft[blending] = torch.where(seen, drawn[..., 0], background)[::step, ::step]
        covered[blending] = seen[::step, ::step]
    stored = torch.from_numpy(fixture.expected[f"{side}.soft"])
    mask = torch.from_numpy(fixture.expected[f"{side}.covered"]).bool()
    exact = (soft["exact"] - stored).abs().max()
    both = mask & covered["nearest"]
    plain = (soft["nearest"] - stored)[both].abs().mean()
    agreeing = [(seen == mask).double().mean() for seen in covered.values()]
    allowed = fixture.facts["tolerance"][EXACT]["atol"]
    return {
        f"{side}.soft": Judged({"exact": (exact, allowed), "nearest, mean": (plain, stated(fixture, NEAREST))}),
        f"{side}.covered": Judged({"pixels that differ": (1.0 - min(agreeing), 1.0 - stated(fixture, "covered"))}),
        f"{side}.counts": torch.tensor([count, len(faces)]),
    }


def _mesh(fixture: Fixture, side: int) -> tuple[Tensor, Tensor]:
    """The stored mesh, or its stored subdivision where there is one for this side."""
    positions, faces = fixture.tensor("vertices"), fixture.tensor("faces").long()
    if f"input.vertices{side}" not in fixture.expected:
        return positions, faces
    stored, stored_faces = fixture.tensor(f"vertices{side}"), fixture.tensor(f"faces{side}").long()
    ours = positions, faces
    while len(ours[0]) < len(stored):
        ours = subdivided(*ours)
    if len(ours[1]) != len(stored_faces) or _distance(ours[0], stored) > 1e-6:
        raise FixtureError(f"the subdivision for {side} pixels has other vertices or faces than ours")
    return stored, stored_faces


def _distance(ours: Tensor, theirs: Tensor) -> float:
    """Largest distance from a vertex of either to the nearest of the other."""
    between = torch.cdist(ours.double(), theirs.double())
    return float(torch.maximum(between.amin(0).max(), between.amin(1).max()))


def _noise(fixture: Fixture, name: str, side: int, shape: tuple[int, ...]) -> Tensor:
    """The formula of an input, whose name has the side for `<H>`."""
    sentence = str(fixture.descriptions[name])
    call = re.match(r"inputs\('([^']+)',\(([^)]*)\),(\d+)\)", sentence)
    if call is None:
        raise FixtureError(f"inputs.{name} is not understood: {sentence!r}")
    return torch.from_numpy(fill.inputs(call[1].replace("<H>", str(side)), shape, int(call[3])))


def _camera(fixture: Fixture) -> Any:
    config = fixture.config
    if config.get("dist", 1) != 1:
        raise FixtureError("config.dist is not 1: cameras stand on the unit sphere")
    angles = torch.tensor([[config["azim_rad"], config["elev_rad"]]], dtype=torch.float32)
    return ViewCameras(angles, torch.tensor([config["full_fov_deg"] / 2.0]), 0.12).to_camera()


def _step(fixture: Fixture, side: int) -> int:
    found = re.search(r"every (\d+) pixel", fixture.facts["outputs"][f"{side}.soft"]["what"])
    if found is None:
        raise FixtureError(f"outputs.{side}.soft is not understood")
    return int(found[1])
