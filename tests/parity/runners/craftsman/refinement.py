"""Runner of the refinement's optimiser."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from framework.geometry.remeshing.optimizer import RemeshingOptimizer
from tests.parity.expressions import evaluate
from tests.parity.fixture import Fixture
from tests.parity.runners.remeshing_layout import optimizer_config


def refine_optimizer(fixture: Fixture) -> dict[str, Any]:
    """Family refine_optimizer: steps without remeshing and at a fixed edge length, with both Laplacians.

    `grad at step s` is an expression of s = 1, 2, ... and V; as many steps as the outputs hold.
    """
    return {"plain": _positions(fixture, False), "relative": _positions(fixture, True)}


def _positions(fixture: Fixture, keep_shape: bool) -> Tensor:
    config = fixture.config
    optimizer = RemeshingOptimizer(
        torch.from_numpy(fixture.stored("vertices0")),
        torch.from_numpy(fixture.stored("faces")).long(),
        optimizer_config(config, longest_edge=config["reference edge length"], keep_shape=keep_shape),
    )
    gradient = fixture.descriptions["grad at step s"].partition(", s=")[0]
    steps = []
    for step in range(1, len(fixture.expected["plain"]) + 1):
        names = {"s": step, "V": len(optimizer.positions)}
        optimizer.positions.grad = torch.from_numpy(evaluate(gradient, fixture.salt, names)).float()
        optimizer.step(adapt_length=False)
        steps.append(optimizer.positions.detach())
    return torch.stack(steps)
