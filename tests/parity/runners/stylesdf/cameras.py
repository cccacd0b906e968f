"""Runners of cameras: poses, rays, depths, paths of videos."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from framework.renderers.volume.rays import Span
from framework.renderers.volume.sampling import evenly
from methods.stylesdf.cameras import ViewCameras, angles_from, cameras_at, sweep_angles, video_angles
from methods.stylesdf.config import CameraConfig
from tests.parity.fixture import Fixture, FixtureError

_NUMBER = r"(-?\d*\.?\d+)"


def camera(fixture: Fixture) -> dict[str, Tensor]:
    """Family camera: poses and lenses of groups of cameras, a sheet's sweep, random angles, rays and depths.

    Every input that is a mapping is a group of cameras: `locations` (azimuth, elevation), `resolution`,
    `fov_half_angle_deg`, `dist_radius`. Sentences, of which numbers behind names are read: `fovlist` (the first group's
    locations; `linspace(<first>, <last>, n)`, `resolution`), `sweep` (`batch=`, `azim_range`, `elev_range`; the stored
    `sweep.u`), `random_*` (`manual_seed(<seed>)`; as many as stored, spread as the sweep), `rays` (the first group's
    first locations, as many as stored; `resolution`, `fov`, `N_samples`).
    """
    groups = {name: group for name, group in fixture.descriptions.items() if isinstance(group, dict)}
    if not groups:
        raise FixtureError("inputs hold no group of cameras")
    found: dict[str, Tensor] = {}
    for name, group in groups.items():
        config = CameraConfig(fov=group["fov_half_angle_deg"], dist_radius=group["dist_radius"])
        cameras = cameras_at(torch.tensor(group["locations"], dtype=torch.float32), config)
        found |= _described(name, cameras, group["resolution"])
    locations = torch.tensor(next(iter(groups.values()))["locations"], dtype=torch.float32)
    return found | _fov_list(fixture, locations) | _sweep(fixture) | _random(fixture) | _rays(fixture, locations)


def _described(name: str, cameras: ViewCameras, resolution: int) -> dict[str, Tensor]:
    like = torch.ones(len(cameras), 1, 1)
    return {
        f"{name}.extrinsics": cameras.world_from_camera,
        f"{name}.focal": cameras.focal(resolution)[:, None, None],
        f"{name}.near": cameras.near * like,
        f"{name}.far": cameras.far * like,
        f"{name}.viewpoint": cameras.angles,
    }


def _fov_list(fixture: Fixture, locations: Tensor) -> dict[str, Tensor]:
    if "fovlist" not in fixture.descriptions:
        return {}
    sentence = str(fixture.descriptions["fovlist"])
    ends = re.search(rf"linspace\({_NUMBER}, ?{_NUMBER}, ?\w+\)", sentence)
    if ends is None:
        raise FixtureError(f"inputs.fovlist is not understood: {sentence!r}")
    half = torch.linspace(float(ends[1]), float(ends[2]), len(locations))
    return _described("fovlist", cameras_at(locations, CameraConfig(), half), int(_named(sentence, "resolution")))


def _sweep(fixture: Fixture) -> dict[str, Tensor]:
    if "sweep" not in fixture.descriptions:
        return {}
    config, shares = _spread(fixture), fixture.tensor("sweep.u").flatten()
    views = len(fixture.expected["sweep.viewpoint"]) // len(shares)
    # The sweep's pictures have the side of the first group.
    resolution = next(group["resolution"] for group in fixture.descriptions.values() if isinstance(group, dict))
    return _described("sweep", cameras_at(sweep_angles(shares, config, views), config), resolution)


def _spread(fixture: Fixture, uniform: bool = False) -> CameraConfig:
    sentence = str(fixture.descriptions.get("sweep", ""))
    spread = {
        name: _named(sentence, f"{name}_range") for name in ("azim", "elev") if re.search(f"{name}_range", sentence)
    }
    return CameraConfig(**spread, uniform=uniform)


def _random(fixture: Fixture) -> dict[str, Tensor]:
    """All azimuths are drawn before the elevations."""
    found = {}
    for name in [name for name in fixture.expected if name.startswith("random_")]:
        seed = re.search(r"manual_seed\((\d+)\)", str(fixture.descriptions.get("random_*", "")))
        if seed is None:
            raise FixtureError("inputs.random_* names no manual_seed")
        config = _spread(fixture, uniform="uniform" in name)
        draw, generator = torch.rand if config.uniform else torch.randn, torch.Generator().manual_seed(int(seed[1]))
        numbers = [draw(len(fixture.expected[name]), 1, generator=generator) for _ in range(2)]
        found[name] = angles_from(torch.cat(numbers, dim=1), config)
    return found


def _rays(fixture: Fixture, locations: Tensor) -> dict[str, Tensor]:
    if "rays" not in fixture.descriptions:
        return {}
    sentence, found = str(fixture.descriptions["rays"]), {}
    side, count = int(_named(sentence, "resolution")), int(_named(sentence, "N_samples"))
    for static in (0, 1):
        views = len(fixture.expected[f"rays.static{static}.o"])
        cameras = cameras_at(locations[:views], CameraConfig(fov=_named(sentence, "fov")))
        rays = cameras.rays(side, bool(static))
        named = {"o": rays.origins, "d": rays.directions, "viewdir": rays.view_directions}
        found |= {f"rays.static{static}.{name}": value.unflatten(1, (side, side)) for name, value in named.items()}
    whole = Span(torch.zeros(()), torch.ones(()), torch.ones((), dtype=torch.bool))
    depths = {"rays.t_vals": evenly(whole, count, ends=False), "rays.t_vals_stratified": evenly(whole, count)}
    return found | depths


def _named(sentence: str, name: str) -> float:
    """The number behind `name` in a sentence."""
    match = re.search(rf"\b{name}[ =]+{_NUMBER}", sentence)
    if match is None:
        raise FixtureError(f"{name!r} has no number in {sentence!r}")
    return float(match[1])


def trajectories(fixture: Fixture) -> dict[str, Any]:
    """Family trajectories: for each output `<azim|ellipsoid>.<gauss|uniform>` azimuth, elevation, half fov of frames.

    The input `azim, elev, fov` says how far; as many frames as stored.
    """
    azim, elev, fov = fixture.descriptions["azim, elev, fov"]
    found = {}
    for name, path in fixture.expected.items():
        kind, model = name.split(".")
        if kind not in ("azim", "ellipsoid") or model not in ("gauss", "uniform"):
            raise FixtureError(f"the output {name!r} does not follow <azim|ellipsoid>.<gauss|uniform>")
        config = CameraConfig(azim=azim, elev=elev, fov=fov, uniform=model == "uniform")
        cameras = cameras_at(video_angles(len(path), config, azim_video=kind == "azim"), config)
        found[name] = torch.cat([cameras.angles, cameras.half_fov[:, None]], dim=1)
    return found
