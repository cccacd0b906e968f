"""Optimisers and learning-rate schedules from their configs.

A schedule is a pure function of the number of optimiser steps taken, so that resuming needs no hidden state and a
curve can be drawn without training.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from framework.systems.config import OptimizerConfig, ScheduleConfig


def build_optimizer(parameters: Iterable[torch.nn.Parameter], config: OptimizerConfig) -> Optimizer:
    """Return the optimiser of those `parameters` that need gradients; ValueError when there are none."""
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    if not trainable:
        raise ValueError("the system has no trainable parameters: all of them are frozen")
    optimizer_class = {"adamw": AdamW, "adam": Adam}[config.name]
    return optimizer_class(
        trainable,
        lr=config.learning_rate,
        betas=(config.betas[0], config.betas[1]),
        eps=config.eps,
        weight_decay=config.weight_decay,
    )


def renew_options(checkpoint: dict[str, Any], config: OptimizerConfig) -> None:
    """Put the options of `config` in place of those that a checkpoint's optimiser and schedule were saved with.

    Restoring them brings the old ones back. The moments stay, and so does the place in the schedule.
    """
    rate = config.learning_rate
    for state in checkpoint.get("optimizer_states", []):
        for group in state["param_groups"]:
            before = group.get("initial_lr", group["lr"])
            group["lr"] = group["lr"] * (rate / before) if before else rate
            group |= {"initial_lr": rate, "betas": (config.betas[0], config.betas[1])}
            group |= {"eps": config.eps, "weight_decay": config.weight_decay}
    for state in checkpoint.get("lr_schedulers", []):
        state["base_lrs"] = [rate] * len(state["base_lrs"])


def build_schedule(optimizer: Optimizer, config: ScheduleConfig, total_steps: float) -> LambdaLR:
    """Return the schedule of `optimizer`, to be stepped once per optimiser step.

    `total_steps` is the length of the training; it may be infinite unless the kind is `cosine`.
    """
    return LambdaLR(optimizer, rate_factor(config, total_steps))


def rate_factor(config: ScheduleConfig, total_steps: float) -> Callable[[int], float]:
    """Return the function from steps taken to the share of the full learning rate, at least 0 and at most 1.

    Raises ValueError when a cosine has no end.
    """
    end = float(config.total_steps if config.total_steps is not None else total_steps)
    if config.kind == "cosine" and not 0 < end < math.inf:
        raise ValueError(
            "system.optimizer.schedule: a cosine needs an end. Set trainer.max_steps, or "
            "system.optimizer.schedule.total_steps, or system.optimizer.schedule.kind=constant"
        )

    def factor(step: int) -> float:
        step = step // config.hold_steps
        if step < config.warmup_steps:
            start = config.warmup_start_factor
            return start + (1 - start) * step / config.warmup_steps
        return _after_warmup(config, step - config.warmup_steps, end / config.hold_steps - config.warmup_steps)

    return factor


def _after_warmup(config: ScheduleConfig, step: int, length: float) -> float:
    if config.kind == "constant":
        return 1.0
    phase = step / config.period if config.kind == "official" else min(step / max(length, 1.0), 1.0)
    return config.floor + (1 - config.floor) * 0.5 * (1 + math.cos(math.pi * phase))
