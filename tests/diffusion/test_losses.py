"""What a prediction of the network says about the clean latents."""

from __future__ import annotations

from typing import Literal

import pytest
import torch

from framework.diffusion.config import NoiseScheduleConfig
from framework.diffusion.losses import diffusion_target, predicted_clean
from framework.diffusion.schedules import training_scheduler


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_a_true_prediction_gives_the_clean_latents_back(
    prediction: Literal["epsilon", "v_prediction", "sample"],
) -> None:
    scheduler = training_scheduler(NoiseScheduleConfig(prediction=prediction))
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 5, 8, 4, generator=generator).double()
    timesteps = torch.tensor([0, 10, 400, 700, 999])
    noisy = scheduler.add_noise(clean, noise, timesteps)
    target = diffusion_target(scheduler, clean, noise, timesteps)
    torch.testing.assert_close(predicted_clean(scheduler, target, noisy, timesteps), clean, atol=1e-5, rtol=1e-5)


def test_pure_noise_leaves_all_to_a_predicted_velocity() -> None:
    scheduler = training_scheduler(NoiseScheduleConfig(prediction="v_prediction", zero_terminal_snr=True))
    noisy, velocity = torch.randn(2, 3, 8, 4)
    timesteps = torch.full((3,), 999)
    torch.testing.assert_close(predicted_clean(scheduler, velocity, noisy, timesteps), -velocity, atol=1e-4, rtol=1e-4)
