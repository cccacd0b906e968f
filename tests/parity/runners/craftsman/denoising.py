"""Runners of the denoiser, of sampling and of the noise schedules."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from framework.diffusion.sampling import sample_latents
from framework.diffusion.schedules import sampling_scheduler, signal_to_noise, training_scheduler
from methods.craftsman.nets.denoiser import timestep_embedding
from methods.craftsman.weights import denoiser_from_official
from tests.parity.fixture import Fixture
from tests.parity.runners.craftsman.schedules import noise_schedule


@torch.inference_mode()
def denoiser(fixture: Fixture) -> dict[str, Tensor]:
    """Family v1_denoiser: one call of the network on `model_input` (B, L, E), `timestep` (B,), `context` (B, M, C).

    `config` is that of the published section `denoiser_model`. The statistics are those of `sample`.
    """
    model = denoiser_from_official(fixture.weights(), fixture.config)
    latents, context = fixture.tensor("model_input"), fixture.tensor("context")
    timestep = fixture.tensor("timestep").expand(len(latents))
    sample = model(latents, timestep, context)
    embedded = timestep_embedding(timestep, model.config.width, model.config.flip_sin_to_cos)
    return {"sample": sample, "stats": sample, "time_embed": embedded}


@torch.inference_mode()
def sampler(fixture: Fixture) -> dict[str, Tensor]:
    """Family v1_sampler: from `x_T` (B, L, E) under `cond` and `uncond` (B, M, C) in `steps` of DDIM.

    `config` has the sections `denoiser` and `scheduler`, `steps` and `guidance_scale`. `trajectory` holds the latents
    after every step, `no_guidance_final` the last ones under the condition alone.
    """
    config = fixture.config
    model = denoiser_from_official(fixture.weights(), config["denoiser"])
    schedule = noise_schedule(config["scheduler"])
    noise, condition, unconditional = (fixture.tensor(name) for name in ("x_T", "cond", "uncond"))

    def trajectory(guidance: float) -> Tensor:
        steps = config["steps"]
        latents = sample_latents(model, noise, condition, unconditional, schedule, steps=steps, guidance=guidance)
        return torch.stack(list(latents))

    return {"trajectory": trajectory(config["guidance_scale"]), "no_guidance_final": trajectory(1.0)[-1]}


def schedulers(fixture: Fixture) -> dict[str, Tensor]:
    """Family schedulers: the schedule `config.train` and what it does to `x`, `noise` at times `t`; `config.sample`.

    `steps_<S>` are single steps from `x` with the network's answer `eps`, at the first three and the last two
    timesteps of S; for which S is told by the names of the outputs.
    """
    x, answer, noise, times = (fixture.tensor(name) for name in ("x", "eps", "noise", "t"))
    training = training_scheduler(noise_schedule(fixture.config["train"]))
    sampling = sampling_scheduler(noise_schedule(fixture.config["sample"]))
    outputs = {
        "betas": training.betas,
        "alphas_cumprod": training.alphas_cumprod,
        "final_alpha_cumprod": sampling.final_alpha_cumprod,
        "snr": signal_to_noise(training, torch.arange(len(training.betas))),
        "add_noise": training.add_noise(x, noise, times),
        "velocity": training.get_velocity(x, noise, times),
    }
    for count in {
        int(match[1]) for match in map(re.compile(r"(?:time)?steps_(\d+)").fullmatch, fixture.expected) if match
    }:
        sampling.set_timesteps(count)
        chosen = [*sampling.timesteps[:3], *sampling.timesteps[-2:]]
        outputs[f"timesteps_{count}"] = sampling.timesteps
        outputs[f"steps_{count}"] = torch.stack(
            [sampling.step(answer, time, x, eta=0.0).prev_sample for time in chosen]
        )
    return outputs
