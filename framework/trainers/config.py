"""Options of the trainer and its loggers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from framework.config.errors import ConfigError


@dataclass(kw_only=True)
class TrainerConfig:
    """How long, where and how precisely a system is trained, and what is kept on the way."""

    max_steps: int = 100_000
    """Optimiser steps after which the training is finished."""
    max_time: str | None = None
    """Wall-clock limit of this leg as `HH:MM:SS` or `D:HH:MM:SS`: it stops cleanly and `run=<id>` continues."""
    devices: int = 1
    """Devices (or CPU processes) per machine, a process for each; -1 takes all GPUs. A step takes `data.batch_size` x
    all processes x `accumulate` items."""
    num_nodes: int = 1
    """Machines."""
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true", "fsdp"] = "auto"
    """How several devices share the work: `ddp`, each with all weights; `fsdp` (FSDP2), each with a share of weights,
    averages and optimiser state. On the CPU they use gloo."""
    precision: Literal["32", "bf16-mixed", "16-mixed"] = "32"
    """Numbers in forward and backward passes; the weights themselves stay float32."""
    accumulate: int = 1
    """Batches whose gradients make one optimiser step: as one batch that is so many times as large."""
    gradient_clip: float = 0.0
    """Largest norm of the gradient; 0 does not clip."""
    val_interval: int = 1000
    """Optimiser steps between validations; 0 never validates."""
    val_batches: int | None = None
    """Batches per validation; by default all."""
    checkpoint_interval: int = 1000
    """Optimiser steps between writes of `last.ckpt`."""
    keep_interval: int = 0
    """Keep a checkpoint of its own every so many steps; 0 keeps only the best and the last."""
    log_interval: int = 10
    """Optimiser steps between rows of training metrics, and between progress lines when there is no terminal."""
    image_interval: int = 1
    """Write the system's pictures at every so many validations; 0 never."""
    ema_decay: float = 0.0
    """Decay of the running average of the weights, used for validation and saved weights; 0 keeps none."""
    ema_warmup: bool = True
    """Average over fewer steps in the beginning: the decay is at most (1 + n) / (10 + n) after n steps."""
    weights: Literal["best", "last"] = "best"
    """Which checkpoint the run's `weights` folder is written from."""
    deterministic: bool = False
    """Use only algorithms that give the same result every time: slower on a GPU."""
    matmul_precision: Literal["highest", "high", "medium"] = "high"
    """Float32 matrix products on a GPU: `high` allows TF32."""

    def __post_init__(self) -> None:
        for name in ("max_steps", "accumulate", "log_interval", "checkpoint_interval"):
            if getattr(self, name) < 1:
                raise ConfigError(name, f"is {getattr(self, name)}, expected at least 1.")
        for name in ("gradient_clip", "val_interval", "keep_interval", "image_interval"):
            if getattr(self, name) < 0:
                raise ConfigError(name, f"is {getattr(self, name)}, expected 0 (off) or more.")
        if not 0 <= self.ema_decay < 1:
            raise ConfigError("ema_decay", f"is {self.ema_decay}, expected 0 (off) or a number below 1.")
        if self.max_time is not None:
            parse_duration(self.max_time)


@dataclass(kw_only=True)
class LoggerConfig:
    """Where metrics go. `metrics.csv` in the run folder is written unless it is taken from the list."""

    kinds: list[Literal["csv", "tensorboard", "wandb"]] = field(default_factory=lambda: ["csv"])
    """Any of `csv`, `tensorboard`, `wandb`."""
    project: str = "atelier3d"
    """Project name for wandb."""
    offline: bool = False
    """Let wandb write to the run folder only; `wandb sync` uploads it later."""


def parse_duration(text: str) -> float:
    """Return the seconds of `HH:MM:SS` or `D:HH:MM:SS`; ConfigError for anything else."""
    parts = text.split(":")
    if len(parts) not in (3, 4) or not all(part.isdigit() for part in parts):
        raise ConfigError("max_time", f"is '{text}', expected HH:MM:SS or D:HH:MM:SS, e.g. '00:55:00' in quotes.")
    days, hours, minutes, seconds = ([0] * (4 - len(parts))) + [int(part) for part in parts]
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
