"""Options of noise schedules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from framework.config.errors import ConfigError

MOST_STEPS = 1_000_000
"""Timesteps beyond which a schedule is a mistake."""


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
    timestep_spacing: Literal["leading", "trailing", "linspace"] | None = None
    """Which timesteps sampling visits, by its name in diffusers; null: `trailing` with `zero_terminal_snr`, since
    sampling must then start at the last timestep, else `leading`."""
    steps_offset: int = 1
    """What sampling adds to `leading` timesteps."""
    set_alpha_to_one: bool = False
    """Sampling's last step ends without any noise, instead of at the noise of timestep 0."""

    def __post_init__(self) -> None:
        if not 1 <= self.train_steps <= MOST_STEPS:
            raise ConfigError("train_steps", f"is {self.train_steps}, expected 1 to {MOST_STEPS}.")
        for name in ("beta_start", "beta_end"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(name, f"is {getattr(self, name)}, expected more than 0 and less than 1.")
