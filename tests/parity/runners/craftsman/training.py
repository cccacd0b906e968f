"""Runners of the diffusion loss and of learning rates."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from framework.diffusion.losses import diffusion_loss, diffusion_target
from framework.diffusion.schedules import training_scheduler
from framework.systems.config import ScheduleConfig
from framework.systems.optimizers import rate_factor
from tests.parity.fixture import Fixture, FixtureError
from tests.parity.runners.craftsman.schedules import noise_schedule

_LOSS = re.compile(r"(?P<prediction>\w+)_(?P<loss>[^_]+)_gamma(?P<gamma>[\d.]+)")
_NUMBER = r"([\d.]+(?:e[+-]?\d+)?)"


def diffusion_losses(fixture: Fixture) -> dict[str, Tensor]:
    """Family diffusion_loss: the loss of `pred` for `latents` * `config.z_scale_factor` under `noise` at `timesteps`.

    The outputs <prediction_type>_<loss_type>_gamma<g> tell which losses; `noisy_z` is what the network would read.
    `noise` and `pred` may leave their shape open: it is that of `latents`.
    """
    latents = fixture.tensor("latents")
    noise, prediction = (fixture.tensor(name, same=latents.shape) for name in ("noise", "pred"))
    clean, times = fixture.config.get("z_scale_factor", 1.0) * latents, fixture.tensor("timesteps").long()
    facts = fixture.config["scheduler"]
    outputs = {"timesteps": times, "noisy_z": training_scheduler(noise_schedule(facts)).add_noise(clean, noise, times)}
    for match in filter(None, map(_LOSS.fullmatch, fixture.expected)):
        scheduler = training_scheduler(noise_schedule(facts | {"prediction_type": match["prediction"]}))
        target = diffusion_target(scheduler, clean, noise, times)
        outputs[match[0]] = diffusion_loss(
            scheduler, prediction, target, times, gamma=float(match["gamma"]), kind=_loss_kind(match["loss"])
        )
    return outputs


def _loss_kind(name: str) -> Any:
    if name not in ("mse", "l1"):
        raise FixtureError(f"loss type {name!r} is not supported")
    return name


def learning_rates(fixture: Fixture) -> dict[str, Tensor]:
    """Family lr_schedules: for each output, the rate before iteration i * `config.stride`, by `config.<output>`.

    `values.config.<output>` = {"lr": full rate, "warmup_steps": 0, "start_factor": share of the rate at the first step
    of the warm-up, "T_max": steps from the highest rate to the lowest, "eta_min": lowest rate}. Without `values` the
    sentence is read: `lr <rate>`, `LinearLR <share>-><1> over <steps> steps`, `CosineAnnealingLR T_max <steps> eta
    <lowest>`. Steps count what the schedule is stepped by, be it iterations or epochs.
    """
    stride = fixture.config["stride"]
    return {name: _rates(_curve(fixture, name), stride, len(rates)) for name, rates in fixture.expected.items()}


def _rates(curve: dict[str, float], stride: int, count: int) -> Tensor:
    schedule = ScheduleConfig(
        kind="official",
        warmup_steps=int(curve.get("warmup_steps", 0)),
        warmup_start_factor=curve.get("start_factor", 1e-6),
        period=int(curve["T_max"]),
        floor=curve.get("eta_min", 0.0) / curve["lr"],
    )
    factor = rate_factor(schedule, float("inf"))
    return torch.tensor([curve["lr"] * factor(i * stride) for i in range(count)], dtype=torch.float64)


def _curve(fixture: Fixture, name: str) -> dict[str, float]:
    """The facts of a curve, from `values` or from its sentence."""
    facts = fixture.config.get(name)
    if isinstance(facts, dict):
        return facts
    sentence = str(facts)
    rate = re.search(rf"\blr {_NUMBER}", sentence)
    warmup = re.search(rf"LinearLR {_NUMBER}->1(?:\.0)? over (\d+) steps", sentence)
    cosine = re.search(rf"CosineAnnealingLR T_max (\d+) eta {_NUMBER}", sentence)
    if rate is None or cosine is None:
        raise FixtureError(f"config.{name} is not understood: {sentence!r}. Give values.config.{name}")
    curve = {"lr": float(rate[1]), "T_max": int(cosine[1]), "eta_min": float(cosine[2])}
    return curve | ({"start_factor": float(warmup[1]), "warmup_steps": int(warmup[2])} if warmup else {})
