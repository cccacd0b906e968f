"""Runner of the camera matrices."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from framework.geometry.camera import Camera, orbit
from tests.parity.fixture import Fixture

_STAR = re.compile(r"az=\[(?P<azimuths>[^\]]*)\], *pol=\[(?P<polars>[^\]]*)\](?:, *scale=(?P<scale>[\d.]+))?")
_TURNTABLE_DISTANCE, _TURNTABLE_FRAMES = 1.8, 60


def cameras(fixture: Fixture) -> dict[str, Tensor]:
    """Family cameras: camera_from_world of the six views, of the mirrored turntable and of the star of views.

    `config` has `scale` (height of the picture in world units), `near`, `far`, `azimuths` or `views` (of eight),
    `distance`, and may have `round_distance` and `round_frames`. The star's azimuths, polar angles and scale stand in
    the sentence of its output. Projections have row 0 at the top, so their y is turned round.
    """
    config = fixture.config
    azimuths = config.get("azimuths") or [45.0 * view for view in config["views"]]
    frames = config.get("round_frames", _frames(fixture))
    distance = config.get("round_distance", _TURNTABLE_DISTANCE)
    turn = torch.arange(frames - 1, -1, -1) * (360.0 / frames)
    star_azimuths, star_polars, star_scale = _star(fixture)
    polars = star_polars.repeat_interleave(len(star_azimuths))
    return {
        "six_mv": camera_from_world(azimuths, 0.0, config["distance"]),
        "proj": _projection(fixture, config["scale"]),
        "round_mv": _mirrored(camera_from_world(turn, 0.0, distance)),
        "round_proj": _projection(fixture, config["scale"]),
        "star_mv": _mirrored(camera_from_world(star_azimuths.repeat(len(star_polars)), polars, distance)),
        "star_proj": _projection(fixture, star_scale),
    }


def camera_from_world(azimuths: Any, elevations: Any, distance: float) -> Tensor:
    """Inverse poses of cameras on a circle."""
    return torch.linalg.inv(orbit(azimuths, elevations, distance))


def _mirrored(matrices: Tensor) -> Tensor:
    """The published turntable exchanges left and right."""
    return torch.tensor([-1.0, 1.0, 1.0, 1.0])[:, None] * matrices


def _projection(fixture: Fixture, scale: float) -> Tensor:
    config = fixture.config
    camera = Camera.orthographic(torch.eye(4), scale / 2, config["near"], config["far"])
    return torch.tensor([1.0, -1.0, 1.0, 1.0])[:, None] * camera.clip_from_camera


def _frames(fixture: Fixture) -> int:
    stored = fixture.expected.get("round_mv")
    return _TURNTABLE_FRAMES if stored is None else len(stored)


def _star(fixture: Fixture) -> tuple[Tensor, Tensor, float]:
    """Azimuths, polar angles and scale that the output's sentence names; none of them: one camera in front."""
    found = _STAR.search(str((fixture.facts.get("outputs") or {}).get("star_mv", "")))
    if found is None:
        return torch.zeros(1), torch.zeros(1), fixture.config["scale"]
    azimuths, polars = ([float(value) for value in found[name].split(",")] for name in ("azimuths", "polars"))
    return torch.tensor(azimuths), torch.tensor(polars), float(found["scale"] or fixture.config["scale"])
