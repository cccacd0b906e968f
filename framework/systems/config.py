"""Options of optimisers and learning-rate schedules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from framework.config.errors import ConfigError


@dataclass(kw_only=True)
class ScheduleConfig:
    """How the learning rate goes over the optimiser steps of a training."""

    kind: Literal["constant", "cosine", "official"] = "cosine"
    """After the warm-up: `constant`; `cosine`, half a wave that ends with the training; `official`, a wave that comes
    back up every `period` steps, as some published recipes had it."""
    warmup_steps: int = 0
    """Steps in which the rate grows linearly to its full value."""
    warmup_start_factor: float = 1e-6
    """Share of the full rate at the first step of the warm-up."""
    period: int = 5000
    """Only `official`: steps from the highest rate to the lowest."""
    floor: float = 0.0
    """Lowest rate of the cosine, as a share of the full one."""
    total_steps: int | None = None
    """Only `cosine`: the step at which the floor is reached; by default the training's `trainer.max_steps`."""
    hold_steps: int = 1
    """The schedule moves on once in this many steps. Give the steps of an epoch where a recipe counts epochs."""

    def __post_init__(self) -> None:
        for name in ("period", "hold_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(name, f"is {getattr(self, name)}, expected at least 1.")


@dataclass(kw_only=True)
class OptimizerConfig:
    """The optimiser of a system's trainable parameters."""

    name: Literal["adamw", "adam"] = "adamw"
    """Adam with decoupled weight decay, or plain Adam."""
    learning_rate: float = 1e-4
    """Full learning rate."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Decay of the running means of the gradient and of its square."""
    eps: float = 1e-6
    """Added to the denominator of an update."""
    weight_decay: float = 0.01
    """Pull of the weights towards zero."""
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """Learning rate over the steps."""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "eps", "weight_decay"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(name, f"is {getattr(self, name)}, expected a number from 0 on.")
