"""Deterministic and ancestral sampling with classifier-free guidance."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from framework.diffusion.config import NoiseScheduleConfig
from framework.diffusion.schedules import sampling_scheduler

Denoise = Callable[[Tensor, Tensor, Tensor], Tensor]


def sample_latents(
    denoise: Denoise,
    noise: Float[Tensor, "B *shape"],
    condition: Float[Tensor, "B M C"],
    unconditional: Float[Tensor, "B M C"],
    schedule: NoiseScheduleConfig,
    *,
    steps: int,
    guidance: float = 1.0,
    eta: float = 0.0,
    generator: torch.Generator | None = None,
) -> Iterator[Float[Tensor, "B *shape"]]:
    """Yield the latents after every denoising step, from `noise` to the clean ones.

    `denoise(latents, timesteps (B,), condition)` is the network. Guidance g combines both predictions as
    u + g (c - u) (Ho & Salimans 2022): 1 uses the condition alone, and 0 ignores it; in these two cases the network
    runs once per step. `eta` 0 is DDIM, 1 ancestral; its noise comes from `generator`, which must live on the CPU so
    that a seed means the same everywhere.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    scheduler = sampling_scheduler(schedule)
    scheduler.set_timesteps(steps)
    latents = noise * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        times = timestep.to(noise.device).expand(len(noise))
        prediction = _guided(denoise, latents, times, condition, unconditional, guidance)
        fresh = torch.randn(noise.shape, generator=generator).to(noise) if eta > 0 else None
        latents = scheduler.step(prediction, timestep, latents, eta=eta, variance_noise=fresh).prev_sample
        yield latents


def _guided(
    denoise: Denoise, latents: Tensor, times: Tensor, condition: Tensor, unconditional: Tensor, guidance: float
) -> Tensor:
    """The guided prediction; both branches go through the network as one batch [unconditional, conditional]."""
    if guidance == 1.0 or guidance == 0.0:
        return denoise(latents, times, condition if guidance else unconditional)
    both = denoise(torch.cat([latents] * 2), torch.cat([times] * 2), torch.cat([unconditional, condition]))
    without, given = both.chunk(2)
    return without + guidance * (given - without)
