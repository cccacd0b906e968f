"""Noise schedules: diffusers' schedulers, built from one config for training and for sampling."""

from __future__ import annotations

from typing import Any

from diffusers import DDIMScheduler, DDPMScheduler
from jaxtyping import Float, Int
from torch import Tensor

from framework.diffusion.config import NoiseScheduleConfig


def scheduler_options(config: NoiseScheduleConfig) -> dict[str, Any]:
    """Return what the schedulers of training and of sampling share, under diffusers' names."""
    return {
        "num_train_timesteps": config.train_steps,
        "beta_start": config.beta_start,
        "beta_end": config.beta_end,
        "beta_schedule": config.beta_schedule,
        "prediction_type": config.prediction,
        "clip_sample": False,
        "rescale_betas_zero_snr": config.zero_terminal_snr,
    }


def training_scheduler(config: NoiseScheduleConfig) -> DDPMScheduler:
    """The forward process (Ho et al. 2020): `add_noise`, `get_velocity`, `alphas_cumprod`."""
    return DDPMScheduler(variance_type="fixed_small", **scheduler_options(config))


def sampling_options(config: NoiseScheduleConfig) -> dict[str, Any]:
    """Return the options of sampling under diffusers' names, those of training among them."""
    return scheduler_options(config) | {
        "set_alpha_to_one": config.set_alpha_to_one,
        "steps_offset": config.steps_offset,
        "timestep_spacing": config.timestep_spacing or ("trailing" if config.zero_terminal_snr else "leading"),
    }


def sampling_scheduler(config: NoiseScheduleConfig) -> DDIMScheduler:
    """The reverse process (Song et al. 2021), by default "leading" timesteps offset by one: 981, 961, ..., 1 for 50 of
    1000 steps, and "trailing" ones with zero terminal SNR (Lin et al. 2024).
    """
    return DDIMScheduler(**sampling_options(config))


def signal_to_noise(scheduler: DDPMScheduler, timesteps: Tensor) -> Tensor:
    """alpha_bar / (1 - alpha_bar) at integer `timesteps` (B,); the ratio of signal to noise variance."""
    alpha_bar = scheduler.alphas_cumprod.to(timesteps.device)[timesteps]
    return alpha_bar / (1.0 - alpha_bar)


def random_timesteps(uniform: Float[Tensor, " B"], train_steps: int, power: float) -> Int[Tensor, " B"]:
    """Training timesteps T * u^(1 / power) in [0, T) for `uniform` u in [0, 1): a power above 1 prefers noisy ones."""
    share = uniform ** (1.0 / power)
    return (share * train_steps).long().clamp(max=train_steps - 1)
