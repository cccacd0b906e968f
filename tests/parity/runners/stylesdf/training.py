"""Runners of the losses and of one step of each training."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from methods.stylesdf.adversarial import chunks, share, update_average
from methods.stylesdf.cameras import cameras_at
from methods.stylesdf.config import (
    CameraConfig,
    FullConfig,
    FullLossConfig,
    GeneratorConfig,
    RendererConfig,
    VolumeConfig,
    VolumeLossConfig,
    VolumeOptimConfig,
)
from methods.stylesdf.fakes import Drawn
from methods.stylesdf.losses import (
    discriminator_loss,
    eikonal_loss,
    generator_loss,
    gradient_penalty,
    minimal_surface_loss,
    path_length,
    viewpoint_loss,
)
from methods.stylesdf.systems import FullSystem, VolumeSystem
from tests.parity.comparison import Judged
from tests.parity.fixture import Fixture, FixtureError
from tests.parity.runners.stylesdf.sentences import called, named

FEW = 0.005
"""Share of updated weights that may differ: Adam's first step is a sign, and tiny gradients flip."""


def losses(fixture: Fixture) -> dict[str, Tensor]:
    """Family losses: every loss on the inputs that the sentences call for, in the order in which they name them."""

    def read(name: str) -> list[Tensor]:
        return called(fixture, fixture.descriptions[name])

    predicted, target = read("viewpoint")
    gradient, sdf = read("eikonal")
    real, fake = read("gan")
    images, weights = read("r1")
    images.requires_grad_()
    codes, matrix = read("path")
    path = _path(fixture, codes.requires_grad_(), matrix)
    beta = _stated(fixture.descriptions["eikonal"], r"beta ([\d.]+)")
    surface = _stated(fixture.descriptions["eikonal"], r"sdf=([\d.]+)") * sdf
    eikonal = eikonal_loss(gradient)
    return {
        "viewpoint": viewpoint_loss(predicted, _stated(fixture.descriptions["viewpoint"], r"target=([\d.]+)") * target),
        "eikonal": eikonal,
        "minimal_surface": minimal_surface_loss(surface, beta),
        "minimal_surface_none": eikonal.new_zeros(()),
        "d_logistic": discriminator_loss(real, fake),
        "g_nonsaturating": generator_loss(fake),
        "r1": gradient_penalty((weights[:, None, None] * images.square()).sum(dim=(1, 2, 3))[:, None], images),
    } | path


def _path(fixture: Fixture, codes: Tensor, matrix: Tensor) -> dict[str, Tensor]:
    sentence = str(fixture.descriptions["path"])
    noise = fixture.tensor("path_noise")
    flat = codes.mean(dim=1).square() @ matrix
    images = flat.view(noise.shape) + codes.sum(dim=(1, 2))[:, None, None, None]
    before, decay = _stated(sentence, r"running mean ([\d.]+)"), _stated(sentence, r"decay ([\d.]+)")
    found = path_length(images, codes, noise, torch.tensor(before), decay)
    return {"path.penalty": found.penalty, "path.mean": found.mean, "path.lengths": found.lengths}


def train_step_volume(fixture: Fixture) -> dict[str, Any]:
    """Family train_step_volume: a step of the discriminator, one of the generator in summed chunks, the average."""
    given = fixture.config
    system = _volume_system(fixture)
    generator_steps, discriminator_steps = system.configure_optimizers()
    cameras = cameras_at(torch.as_tensor(fixture.input("locations"), dtype=torch.float32), system.config.camera)
    loss, terms = system.discriminator_terms(named(fixture, "real"), None, Drawn((named(fixture, "z"),), cameras))
    with torch.no_grad():
        fake = system.rendered(Drawn((named(fixture, "z"),), cameras)).rgb
    norms_d = _step(loss, system.discriminator, discriminator_steps)
    parts = _summed(
        system,
        Drawn((named(fixture, "z2"),), cameras),
        lambda found: [
            found["generator"],
            given["view_lambda"] * found["g_viewpoint"],
            given["eikonal_lambda"] * found["g_eikonal"],
            given["min_surf_lambda"] * found["g_minimal_surface"],
        ],
    )
    norms_g = _norms(system.generator)
    generator_steps.step()
    update_average(system.generator_average, system.generator, given["ema_decay"])
    return {
        "fake": fake,
        "d_gan": terms["discriminator"],
        "grad_penalty": terms["r1"],
        "d_view": given["view_lambda"] * terms["d_viewpoint"],
        "g_parts": parts,
        "grad_norms_d": _judged_norms(fixture, "grad_norms_d", norms_d),
        "grad_norms_g": _judged_norms(fixture, "grad_norms_g", norms_g),
        "sigmoid_beta_after": _judged_after(fixture, "sigmoid_beta_after", system.generator.renderer.sigmoid_beta),
        "rgb_linear_after": _judged_after(
            fixture, "rgb_linear_after", system.generator.renderer.network.rgb_linear.weight
        ),
        "rgb_linear_ema": _judged_after(
            fixture, "rgb_linear_ema", system.generator_average.renderer.network.rgb_linear.weight
        ),
        "d_final_after": _judged_after(fixture, "d_final_after", system.discriminator.final_conv.conv.weight),
    }


def _volume_system(fixture: Fixture) -> VolumeSystem:
    given = fixture.config
    (g_lr, betas), (d_lr, _) = _adam(given["adam_g"]), _adam(given["adam_d"])
    weights = {name: given[name] for name in ("r1", "view_lambda", "eikonal_lambda", "min_surf_lambda")}
    config = VolumeConfig(
        camera=_camera(given),
        renderer=_renderer(given),
        generator=_generator(given),
        loss=VolumeLossConfig(**weights, min_surf_beta=given["min_surf_beta"], accumulate="sum"),
        optim=VolumeOptimConfig(g_lr=g_lr, d_lr=d_lr, betas=betas),
        chunk=given["chunk"],
    )
    system = VolumeSystem(config)
    _load(system, fixture)
    return system


def train_step_full(fixture: Fixture) -> dict[str, Any]:
    """Family train_step_full: a step of the discriminator with R1, one of the decoder, one for the path length."""
    given = fixture.config
    system = _full_system(fixture)
    decoder_steps, discriminator_steps = system.configure_optimizers()
    cameras = cameras_at(torch.as_tensor(fixture.input("locations"), dtype=torch.float32), system.config.camera)
    first, second = (Drawn((named(fixture, name),), cameras) for name in ("z", "z2"))
    real, count, parts_d = named(fixture, "real"), len(cameras), []
    for rows in chunks(count, given["chunk"]):
        loss, found = system.discriminator_terms(real[rows], None, first.part(rows), regularize=True)
        loss.backward()
        parts_d.append(torch.stack([found["discriminator"], found["r1"]]).detach())
    norms_d = _norms(system.discriminator)
    discriminator_steps.step()
    parts_g = _summed(system, second, lambda found: [found["generator"]])[:, 0]
    norms_g = _norms(system.generator)
    decoder_steps.step()
    decoder_steps.zero_grad()
    after = system.generator.decoder.to_rgb1.conv.weight.detach().clone()
    path = system.path_terms(second.part(slice(0, given["path_batch"])), fixture.tensor("path_noise"), torch.zeros(()))
    (given["path_regularize"] * given["g_reg_every"] * path.penalty).backward()
    return {
        "d_parts": torch.stack(parts_d),
        "g_parts": parts_g,
        "to_rgb1_after": _judged_after(fixture, "to_rgb1_after", after),
        "path.penalty": path.penalty,
        "path.mean": path.mean,
        "path.lengths": path.lengths,
        "grad_norms_d": _judged_norms(fixture, "grad_norms_d", norms_d),
        "grad_norms_g": _judged_norms(fixture, "grad_norms_g", norms_g),
        "grad_norms_path": _judged_norms(fixture, "grad_norms_path", _norms(system.generator)),
    }


def _full_system(fixture: Fixture) -> FullSystem:
    given = fixture.config
    config = FullConfig(
        camera=_camera(given),
        renderer=_renderer(given),
        generator=_generator(given),
        loss=FullLossConfig(
            **{name: given[name] for name in ("r1", "d_reg_every", "g_reg_every", "path_regularize")},
            accumulate="sum",
        ),
        chunk=given["chunk"],
    )
    system = FullSystem(config)
    _load(system, fixture)
    return system


def _camera(given: Mapping[str, Any]) -> CameraConfig:
    return CameraConfig(fov=given.get("fov", 6.0), dist_radius=given.get("dist_radius", 0.12))


def _renderer(given: Mapping[str, Any]) -> RendererConfig:
    return RendererConfig(
        depth=given["depth"],
        width=given["width"],
        N_samples=given["N_samples"],
        perturb=bool(given["perturb"]),
        offset_sampling=not given.get("no_offset_sampling", False),
        z_normalize=not given.get("no_z_normalize", False),
        static_viewdirs=given.get("static_viewdirs", False),
        force_background=given.get("force_background", False),
    )


def _generator(given: Mapping[str, Any]) -> GeneratorConfig:
    return GeneratorConfig(
        size=given.get("size", 256),
        style_dim=given["style_dim"],
        channel_multiplier=given.get("channel_multiplier", 2),
        channel_max=given.get("channel_max"),
        renderer_resolution=given["renderer_spatial_output_dim"],
    )


def _load(system: VolumeSystem | FullSystem, fixture: Fixture) -> None:
    """Both networks' weights; kernels follow from the rest, and the average begins as the generator."""
    weights = fixture.weights() | fixture.weights("state_d")
    for network, listed in (
        (system.generator, fixture.facts["state"]),
        (system.discriminator, fixture.facts["state_d"]),
    ):
        state = network.state_dict()
        if unknown := listed.keys() ^ state.keys():
            raise FixtureError(f"keys on one side only: {sorted(unknown)[:4]}")
        network.load_state_dict(state | {key: weights[key] for key in listed if key in weights})
    system.generator_average.load_state_dict(system.generator.state_dict())


def _summed(
    system: VolumeSystem | FullSystem, fakes: Drawn, wanted: Callable[[Mapping[str, Tensor]], list[Tensor]]
) -> Tensor:
    """Gradients of all chunks, and the wanted terms of each."""
    system.generator.zero_grad()
    found = []
    for rows in chunks(len(fakes.cameras), system.config.chunk):
        loss, terms = system.generator_terms(fakes.part(rows))
        (loss * share(rows, len(fakes.cameras), system.config.loss.accumulate)).backward()
        found.append(torch.stack(wanted(terms)).detach())
    return torch.stack(found)


def _step(loss: Tensor, network: nn.Module, optimizer: Optimizer) -> dict[str, float]:
    loss.backward()
    norms = _norms(network)
    optimizer.step()
    return norms


def _norms(network: nn.Module) -> dict[str, float]:
    gradients = {name: value.grad for name, value in network.named_parameters()}
    return {name: float(grad.norm()) for name, grad in gradients.items() if grad is not None}


def _judged_norms(fixture: Fixture, name: str, found: Mapping[str, float]) -> Judged:
    """Each norm's difference as a share of what is allowed; no gradient is one of length zero."""
    allowed, expected = fixture.facts["tolerance"]["grad_norms"], fixture.facts[name]
    return Judged(
        {
            key: (abs(found.get(key, 0.0) - value) / (allowed["atol"] + allowed["rtol"] * abs(value)), 1.0)
            for key, value in expected.items()
        }
    )


def _judged_after(fixture: Fixture, name: str, value: Tensor) -> Judged:
    """The share of updated weights, or of those evenly spread ones that are stored, that differ too much."""
    stated = fixture.facts["tolerance"]
    allowed = stated.get(name) or stated.get("*_after/ema") or stated["others"]
    expected = fixture.expected[name]
    every = [slice(None, None, have // stored) for have, stored in zip(value.shape, expected.shape, strict=True)]
    difference = np.abs(value.detach().numpy()[tuple(every)] - expected)
    return Judged({"outside": ((difference > allowed["atol"] + allowed["rtol"] * np.abs(expected)).mean(), FEW)})


def _adam(sentence: str) -> tuple[float, tuple[float, float]]:
    found = re.search(r"lr ([\d.e-]+) betas \(([\d.]+), ?([\d.]+)\)", sentence)
    if found is None:
        raise FixtureError(f"optimiser not understood: {sentence!r}")
    return float(found[1]), (float(found[2]), float(found[3]))


def _stated(sentence: Any, pattern: str) -> float:
    found = re.search(pattern, str(sentence))
    if found is None:
        raise FixtureError(f"no {pattern!r} in {sentence!r}")
    return float(found[1])
