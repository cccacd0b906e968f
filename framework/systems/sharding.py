"""FSDP2: the weights, gradients and optimiser state of a system in shards, one on each process.

Rajbhandari et al. 2020 (ZeRO, stage 3), as `torch.distributed.fsdp.fully_shard` does it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytorch_lightning as pl
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

ENTRANCES = ("training_step", "validation_step", "test_step", "images")
"""What the trainer calls of a system, with whole weights."""


def shard(system: pl.LightningModule, mesh: DeviceMesh) -> None:
    """Split the weights of `system` over the processes of `mesh`, in place; a second call changes nothing.

    A block's weights are whole while it runs, all others during the whole of a step. Outside of the calls of
    `ENTRANCES` a process has its own shards only, as DTensors.
    """
    if isinstance(system, FSDPModule):
        return
    for block in blocks(system):
        fully_shard(block, mesh=mesh, reshard_after_forward=True)
    # Also what belongs to no block is given back after each call: averages are swapped in between two of them.
    fully_shard(system, mesh=mesh, reshard_after_forward=True)
    for name in ENTRANCES:
        register_fsdp_forward_method(system, name)


def blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules with parts that stand in a `ModuleList`, inner ones first: the layers of a deep network.

    They must be run by calling them, as PyTorch modules are: only so is it known when their weights are needed.
    """
    for child in module.children():
        yield from blocks(child)
        listed = isinstance(module, nn.ModuleList) and not isinstance(child, nn.ModuleList)
        if listed and any(True for _ in child.children()) and any(True for _ in child.parameters()):
            yield child
