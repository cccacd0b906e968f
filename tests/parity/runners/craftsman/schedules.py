"""Noise schedules as fixtures write them: in the words of diffusers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.diffusion.config import NoiseScheduleConfig
from tests.parity.fixture import FixtureError

_NAMES = {
    "num_train_timesteps": "train_steps",
    "beta_start": "beta_start",
    "beta_end": "beta_end",
    "beta_schedule": "beta_schedule",
    "prediction_type": "prediction",
    "rescale_betas_zero_snr": "zero_terminal_snr",
    "timestep_spacing": "timestep_spacing",
    "steps_offset": "steps_offset",
    "set_alpha_to_one": "set_alpha_to_one",
}

_FIXED: dict[str, set[Any]] = {
    "variance_type": {"fixed_small"},
    "clip_sample": {False},
}
"""What our schedulers have only one value for."""


def noise_schedule(facts: Mapping[str, Any]) -> NoiseScheduleConfig:
    """The config of a scheduler section; absent values have our defaults. FixtureError for what we have not."""
    for key, value in facts.items():
        if key not in _NAMES and value not in _FIXED.get(key, set()):
            raise FixtureError(f"scheduler option {key}: {value!r} is not supported")
    return NoiseScheduleConfig(**{_NAMES[key]: value for key, value in facts.items() if key in _NAMES})
