"""What is put in shards, and that nothing but the memory changes. With several processes: `test_processes.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from framework.nets.attention import SelfAttentionStack
from framework.systems.sharding import ENTRANCES, blocks, shard
from framework.testing.tiny import TinyConfig, TinySystem
from methods.craftsman.nets.denoiser import SkipTransformer
from tests.methods.craftsman import tiny


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[DeviceMesh]:
    """A process group of this process alone."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    torch.distributed.destroy_process_group()


class Deep(TinySystem):
    """The tiny system with blocks in the middle."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        self.middle = SelfAttentionStack(2, config.width, 2, 1.0, qkv_bias=True)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        hidden = self.layers[1](self.layers[0](batch["x"]))
        return (self.layers[3](self.middle(hidden[:, None])[:, 0]) - batch["y"]).square().mean()


def test_blocks_are_the_modules_of_lists_that_have_parts() -> None:
    config = tiny.diffusion_config().denoiser
    backbone = SkipTransformer(config)  # its lists also hold lists, single layers and norms
    assert list(blocks(backbone)) == [backbone.encoder[0], backbone.decoder[0][0]]
    assert list(blocks(nn.Sequential(nn.Linear(2, 2)))) == []


def test_a_sharded_system_learns_the_same(mesh: DeviceMesh) -> None:
    systems = []
    for _ in range(2):
        torch.manual_seed(0)
        systems.append(Deep(TinyConfig(dropout=0)))
    whole, parts = systems
    shard(parts, mesh)
    shard(parts, mesh)
    assert isinstance(parts, FSDPModule)
    assert all(isinstance(block, FSDPModule) for block in parts.middle.resblocks)
    batch = {"x": torch.randn(6, 4), "y": torch.randn(6, 1)}
    for system in systems:
        system.training_step(batch, 0).backward()
    for name, value in parts.named_parameters():
        assert isinstance(value, DTensor), name
        torch.testing.assert_close(value.grad.full_tensor(), whole.get_parameter(name).grad)  # type: ignore[union-attr]


@pytest.mark.parametrize("entrance", [name for name in ENTRANCES if name != "training_step"])
def test_weights_are_whole_inside_a_call_and_in_shards_after_it(mesh: DeviceMesh, entrance: str) -> None:
    system = TinySystem(TinyConfig())
    system.log = lambda *args, **options: None  # type: ignore[method-assign]
    seen = []
    system.layers[0].register_forward_hook(lambda layer, *_: seen.append(isinstance(layer.weight, DTensor)))
    shard(system, mesh)
    batch = {"x": torch.randn(6, 4), "y": torch.randn(6, 1)}
    with torch.no_grad():
        getattr(system, entrance)(*[batch, 0][: 1 if entrance == "images" else 2])
    assert seen == [False]
    assert all(isinstance(value, DTensor) for value in system.parameters())
