"""Runners of the SDF network, of its renderer and of the sphere that a training begins with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import l1_loss, normalize

from methods.stylesdf.cameras import ViewCameras, cameras_at
from methods.stylesdf.config import CameraConfig, RendererConfig
from methods.stylesdf.nets.film_siren import FilmSiren
from methods.stylesdf.sphere import sphere_points, sphere_targets
from methods.stylesdf.weights import load_part, renderer_from_official
from tests.parity.comparison import Judged
from tests.parity.fixture import Fixture, FixtureError

OUTPUTS = {"rgb": "rgb", "features": "features", "xyz": "xyz", "mask": "mask", "sdf": "sdf", "eikonal": "gradient"}
"""The fixtures' names of what is rendered, and ours."""


def siren_mlp(fixture: Fixture) -> dict[str, Tensor]:
    """Family siren_mlp: `config` has D layers, W channels, style_dim; inputs `points`, `dirs`, `style`.

    Directions are made unit vectors. Features are thinned as the stored ones are.
    """
    network = FilmSiren(
        RendererConfig(depth=fixture.config["D"], width=fixture.config["W"]), fixture.config["style_dim"]
    )
    load_part(network, fixture.weights(), fixture.facts["prefix"])
    points, style = fixture.tensor("points"), fixture.tensor("style")
    directions = normalize(fixture.tensor("dirs"), dim=-1)
    with torch.no_grad():
        found = network(points, directions, style)
    _, gradient = network.with_gradient(points, directions, style)
    outputs = {
        "rgb_raw": found.rgb,
        "sdf": found.sdf[..., None],
        "features": found.features,
        "sdf_grad": gradient.detach(),
    }
    return {name: thinned(fixture, name, value) for name, value in outputs.items()}


def volume_render(fixture: Fixture) -> dict[str, Tensor]:
    """Family volume_render: one picture per location with the flags of `config`, under their published names.

    Without `perturb`, else with the stored `t_rand`. Outputs are thinned as the stored ones are.
    """
    return rendered(fixture, fixture.config)


def volume_render_variants(fixture: Fixture) -> dict[str, Tensor]:
    """Family volume_render_variants: each of `config.variants` is a set of flags on top of `config`.

    Outputs are `<variant>.<output>`; `<variant>.t_rand` is stored where it perturbs.
    """
    found = {}
    for variant, flags in fixture.config["variants"].items():
        found |= rendered(fixture, fixture.config | flags, f"{variant}.")
    return found


def rendered(fixture: Fixture, flags: Mapping[str, Any], prefix: str = "") -> dict[str, Tensor]:
    """The stored outputs that begin with `prefix`, as the renderer gives them with `flags`."""
    renderer, cameras = renderer_from_official(fixture.weights(), {"perturb": 0} | flags), cameras_of(fixture, flags)
    moves = None
    if renderer.config.perturb:
        moves = torch.from_numpy(fixture.stored(f"{prefix}t_rand")).reshape(len(cameras), flags["out_im_res"] ** 2, -1)
    stored = {name: f"{prefix}{name}" for name in OUTPUTS if f"{prefix}{name}" in fixture.expected}
    with torch.no_grad():
        extras = {OUTPUTS[name] for name in stored} - {"rgb"}
        out = renderer(fixture.tensor("style"), cameras, flags["out_im_res"], jitter=moves, extras=extras)
    return {key: thinned(fixture, key, getattr(out, OUTPUTS[name])) for name, key in stored.items()}


def cameras_of(fixture: Fixture, flags: Mapping[str, Any]) -> ViewCameras:
    """The cameras at the input `locations` (azimuth, elevation) with the flags' lens."""
    named = [value for name, value in fixture.descriptions.items() if name.startswith("locations")]
    if len(named) != 1:
        raise FixtureError("inputs hold no `locations`")
    lens = {name: flags[name] for name in ("fov", "dist_radius") if name in flags}
    return cameras_at(torch.tensor(named[0], dtype=torch.float32), CameraConfig(**lens))


def thinned(fixture: Fixture, name: str, value: Tensor) -> Tensor:
    """`value`, every n-th entry along each axis, so that it has the stored shape; FixtureError where no n does."""
    shape = fixture.expected[name].shape
    if value.ndim != len(shape):
        raise FixtureError(f"{name} has shape {tuple(value.shape)}, stored is {shape}")
    for axis, (size, wanted) in enumerate(zip(value.shape, shape, strict=True)):
        steps = [step for step in range(1, size + 1) if len(range(0, size, step)) == wanted]
        if not steps:
            raise FixtureError(f"{name} has shape {tuple(value.shape)}, stored is {shape}")
        value = value.index_select(axis, torch.arange(0, size, steps[0]))
    return value


def sphere_init(fixture: Fixture) -> dict[str, Any]:
    """Family sphere_init: signed distances at the points of the stored `t_rand`, their targets, loss, gradients.

    `grad_norms` holds the norm of each parameter's gradient, null or 0 where it has none.
    """
    config = fixture.config
    renderer = renderer_from_official(fixture.weights(), {"perturb": 0} | config)
    cameras, jitter = cameras_of(fixture, config), fixture.tensor("t_rand")
    points = sphere_points(renderer, cameras, jitter.flatten(1, 2))
    found = renderer.sdf(fixture.tensor("style"), points.flatten(1, 2), cameras.dist_radius)
    targets = sphere_targets(points, cameras).flatten(1)
    loss = l1_loss(found, targets)
    loss.backward()
    shape = jitter.shape
    return {
        "sdf": found.detach().reshape(shape),
        "target": targets.reshape(shape),
        "loss": loss.detach(),
        "grad_norms": gradient_norms(fixture, renderer),
    }


def gradient_norms(fixture: Fixture, module: Module) -> Judged:
    """Norms of the parameters' gradients held against `grad_norms`: the worst difference as a share of what may be."""
    tolerance, prefix = fixture.facts["tolerance"]["grad_norms"], fixture.facts.get("prefix", "")
    worst, named = 0.0, dict(module.named_parameters())
    for key, wanted in fixture.facts["grad_norms"].items():
        gradient = named.pop(key.removeprefix(prefix)).grad
        found, wanted = 0.0 if gradient is None else float(gradient.norm()), wanted or 0.0
        worst = max(worst, abs(found - wanted) / (tolerance["atol"] + tolerance["rtol"] * abs(wanted)))
    if named:
        raise FixtureError(f"grad_norms says nothing about {', '.join(named)}")
    return Judged({"share of what may be": (worst, 1.0)})
