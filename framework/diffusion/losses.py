"""The denoising loss with min-SNR weights."""

from __future__ import annotations

from typing import Literal

from diffusers import DDPMScheduler
from jaxtyping import Float
from torch import Tensor, ones_like
from torch.nn.functional import l1_loss, mse_loss

from framework.diffusion.schedules import signal_to_noise


def diffusion_target(
    scheduler: DDPMScheduler, clean: Float[Tensor, "B *shape"], noise: Float[Tensor, "B *shape"], timesteps: Tensor
) -> Float[Tensor, "B *shape"]:
    """What the network should predict, by the scheduler's `prediction_type`."""
    kind = scheduler.config["prediction_type"]
    if kind == "epsilon":
        return noise
    return scheduler.get_velocity(clean, noise, timesteps) if kind == "v_prediction" else clean


def predicted_clean(
    scheduler: DDPMScheduler, prediction: Float[Tensor, "B *shape"], noisy: Float[Tensor, "B *shape"], timesteps: Tensor
) -> Float[Tensor, "B *shape"]:
    """The clean latents that a prediction at `noisy` implies (Ho et al. 2020, eq. 15; velocities: Salimans & Ho 2022).

    With x = a * clean + s * noise: (x - s * prediction) / a, a * x - s * prediction for velocities, or the prediction.
    The first divides by a, which is 0 at a timestep of pure noise: use one of the others there.
    """
    kind = scheduler.config["prediction_type"]
    if kind == "sample":
        return prediction
    alpha_bar = scheduler.alphas_cumprod.to(noisy.device)[timesteps].view(-1, *[1] * (noisy.ndim - 1))
    signal, spread = alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt()
    return signal * noisy - spread * prediction if kind == "v_prediction" else (noisy - spread * prediction) / signal


def min_snr_weights(scheduler: DDPMScheduler, timesteps: Tensor, gamma: float) -> Float[Tensor, " B"]:
    """Loss weights (Hang et al. 2023, "Efficient diffusion training via min-SNR weighting", eq. 8); ones for gamma 0.

    min(SNR, gamma) / SNR for noise prediction, / (SNR + 1) for velocity, and min(SNR, gamma) for clean latents.
    """
    snr = signal_to_noise(scheduler, timesteps)
    if gamma == 0:
        return ones_like(snr)
    capped = snr.clamp(max=gamma)
    divisor = {"epsilon": snr, "v_prediction": snr + 1.0, "sample": ones_like(snr)}
    return capped / divisor[scheduler.config["prediction_type"]]


def diffusion_loss(
    scheduler: DDPMScheduler,
    prediction: Float[Tensor, "B *shape"],
    target: Float[Tensor, "B *shape"],
    timesteps: Tensor,
    *,
    gamma: float = 5.0,
    kind: Literal["mse", "l1"] = "mse",
) -> Float[Tensor, ""]:
    """Error averaged per item, weighted by min-SNR, averaged over the batch."""
    measure = mse_loss if kind == "mse" else l1_loss
    per_item = measure(prediction.float(), target.float(), reduction="none").flatten(1).mean(dim=1)
    return (per_item * min_snr_weights(scheduler, timesteps, gamma)).mean()
