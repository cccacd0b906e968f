"""Options of noise schedules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(kw_only=True)
class NoiseScheduleConfig:
    """How noise grows with the timestep, and what the network predicts of it."""

    train_steps: int = 1000
    """Timesteps of the forward process."""
    beta_start: float = 0.00085
    """Variance added by the first timestep."""
    beta_end: float = 0.012
    """Variance added by the last timestep."""
    beta_schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2"] = "scaled_linear"
    """Curve between the two, by its name in diffusers."""
    prediction: Literal["epsilon", "v_prediction", "sample"] = "epsilon"
    """What the network predicts: the noise, the velocity, or the clean latents."""
    zero_terminal_snr: bool = False
    """Rescale so that the last timestep is pure noise (Lin et al. 2024)."""
