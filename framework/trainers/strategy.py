"""How several processes share a training, and what of it this machine can't do."""

from __future__ import annotations

import os
from typing import Any

import torch
from pytorch_lightning.strategies import DDPStrategy, ModelParallelStrategy

from framework.trainers.config import TrainerConfig

DEVICES = {"auto": "auto", "cpu": "cpu", "cuda": "gpu", "gpu": "gpu", "mps": "mps"}
"""Our names of devices, and Lightning's."""


def build_strategy(config: TrainerConfig, device: str, *, own_steps: bool = False) -> Any:
    """Return Lightning's strategy for `trainer.strategy`; on the CPU processes talk by gloo.

    `own_steps`: the system has several optimisers, so that no backward pass reaches all weights.
    """
    backend = None if on_gpu(device) else "gloo"
    if config.strategy == "fsdp":
        return ModelParallelStrategy(
            data_parallel_size=process_count(config),
            tensor_parallel_size=1,
            save_distributed_checkpoint=False,  # one file, as of any other training, so that either can go on with it
            process_group_backend=backend,
        )
    if config.strategy == "ddp" or (own_steps and config.strategy == "auto" and process_count(config) > 1):
        return DDPStrategy(process_group_backend=backend, find_unused_parameters=own_steps)
    return config.strategy


def process_count(config: TrainerConfig) -> int:
    """Processes of a training on all machines."""
    return config.num_nodes * (torch.cuda.device_count() if config.devices == -1 else config.devices)


def on_gpu(device: str) -> bool:
    """Whether `device` means a CUDA device here."""
    return device in ("auto", "cuda", "gpu") and torch.cuda.is_available()


def check(config: TrainerConfig, device: str) -> None:
    """Fail with the option's name before Lightning fails with its own words: ValueError."""
    if device not in DEVICES:
        raise ValueError(f"device: '{device}' is unknown. Give one of {', '.join(DEVICES)}")
    if DEVICES[device] == "gpu" and not torch.cuda.is_available():
        raise ValueError("device: no CUDA device is available here. Use device=cpu or device=auto")
    if device == "mps" and not torch.backends.mps.is_available():
        raise ValueError("device: no Apple GPU is available here. Use device=cpu or device=auto")
    if config.precision == "16-mixed" and not on_gpu(device) and device != "mps":
        raise ValueError("trainer.precision: 16-mixed needs a GPU. Use trainer.precision=bf16-mixed or 32 on the CPU")


def check_own_steps(config: TrainerConfig) -> None:
    """The same for a system that takes its optimisers' steps itself, as one with a discriminator does."""
    for name, value, default in (("accumulate", config.accumulate, 1), ("gradient_clip", config.gradient_clip, 0)):
        if value != default:
            raise ValueError(
                f"trainer.{name}: is {value}, but this system takes its steps itself. Leave it at {default}; "
                "where memory is short, give a smaller system.chunk"
            )
    if config.strategy == "fsdp" or config.precision == "16-mixed":
        name = "strategy" if config.strategy == "fsdp" else "precision"
        raise ValueError(
            f"trainer.{name}: {getattr(config, name)} does not go with second derivatives, which this system needs. "
            f"Use trainer.{name}={'ddp' if name == 'strategy' else '32'}"
        )


def check_processes(config: TrainerConfig, device: str) -> None:
    """The same for what several processes need."""
    if config.devices == -1 and not on_gpu(device):
        raise ValueError("trainer.devices: -1 takes all GPUs. On the CPU say how many processes: trainer.devices=2")
    count = process_count(config)
    if config.strategy == "fsdp" and count < 2:
        raise ValueError(
            "trainer.strategy: fsdp shares weights among several processes, but there is one. "
            "Use trainer.devices=2 or more, or trainer.strategy=auto"
        )
    if config.strategy == "fsdp" and config.precision == "16-mixed":
        raise ValueError("trainer.precision: 16-mixed does not go with fsdp. Use trainer.precision=bf16-mixed or 32")
    started = int(os.environ.get("WORLD_SIZE", count)) if "TORCHELASTIC_RUN_ID" in os.environ else count
    if started != count:
        raise ValueError(
            f"trainer.devices: torchrun started {started} processes, but trainer.devices x trainer.num_nodes is "
            f"{count}. Give trainer.devices the number behind --nproc_per_node"
        )
