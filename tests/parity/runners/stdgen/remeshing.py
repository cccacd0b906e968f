"""Runners of remeshing and its optimiser."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from torch import Tensor

from framework.geometry.remeshing.collapse import collapse_edges, collapse_priorities, nominated_edges
from framework.geometry.remeshing.connectivity import edges_of
from framework.geometry.remeshing.flip import flip_edges
from framework.geometry.remeshing.optimizer import Picks, RemeshingOptimizer
from framework.geometry.remeshing.split import longer_than_allowed, split_edges
from tests.parity import fill
from tests.parity.expressions import evaluate
from tests.parity.fixture import Fixture
from tests.parity.runners.remeshing_layout import edge_tables, headed_faces, headed_pack, headed_rows, optimizer_config


def remesh(fixture: Fixture) -> dict[str, Any]:
    """Family remesh: the steps of remeshing with one edge length, then an optimiser with given gradients.

    `config.min_edge_length` and `split_above` are lengths, `config.optimizer` names options of the optimiser; the
    outputs say how many steps there are.
    """
    positions, faces = fixture.tensor("mesh_vertices"), fixture.tensor("mesh_faces").long()
    picks = numbered_picks(fixture.salt)
    return _operations(fixture, positions, faces, picks) | _steps(fixture, positions, faces, picks)


def numbered_picks(salt: int) -> Picks:
    """Which edge each of `faces` picks at the first call, the second, ...: the fixtures' rule for random integers.

    The first number of each call belongs to the face at index 0 of the original's table.
    """
    calls = iter(range(1_000_000))

    def picks(faces: int) -> Tensor:
        drawn = 10 * fill.uniform(f"ri_{next(calls)}", (faces + 1,), 0, 1, salt)
        return torch.from_numpy(np.floor(drawn[1:]).astype(np.int64)).clamp(max=2)

    return picks


def _operations(fixture: Fixture, positions: Tensor, faces: Tensor, picks: Picks) -> dict[str, Any]:
    config = fixture.config
    shortest, longest = (
        torch.tensor(config[name]).expand(len(positions)) for name in ("min_edge_length", "split_above")
    )
    edges = edges_of(faces, len(positions))
    nominated = nominated_edges(positions, faces, edges, shortest, picks(len(faces)))
    priority = collapse_priorities(positions, edges, shortest, nominated)
    collapsed = collapse_edges(positions, faces, edges, priority)
    split = split_edges(positions, faces, edges, longer_than_allowed(positions, edges, longest))
    collapsed_vertices, collapsed_faces = headed_pack(*collapsed, torch.nan)
    split_vertices, split_faces = headed_pack(*split, torch.nan)
    return edge_tables(faces, edges) | {
        "priority": headed_rows(priority, torch.nan),
        "collapsed_vertices": collapsed_vertices,
        "collapsed_faces": collapsed_faces,
        "split_vertices": split_vertices,
        "split_faces": split_faces,
        "flipped_faces": headed_faces(flip_edges(*split)),
    }


def _steps(fixture: Fixture, positions: Tensor, faces: Tensor, picks: Picks) -> dict[str, Any]:
    options = fixture.config["optimizer"]
    optimizer = RemeshingOptimizer(positions, faces, optimizer_config(options))
    steps = 1 + max(int(match[1]) for name in fixture.expected if (match := re.match(r"step_(\d+)_", name)))
    gradient, _, _ = fixture.descriptions["gradients"].removeprefix("step i: ").partition(" (")
    outputs: dict[str, Any] = {}
    for step in range(steps):
        names = {"i": step, "V_i": len(optimizer.positions)}
        optimizer.positions.grad = torch.from_numpy(evaluate(gradient, fixture.salt, names)).float()
        optimizer.learning_rate *= options["lr_decay_per_step"]
        optimizer.step((step + 1) % options["remesh_interval"] == 0)
        outputs[f"step_{step}_vertices"] = optimizer.positions
        outputs[f"step_{step}_ref_len"] = optimizer.state.edge_length[:, 0]
        outputs[f"step_{step}_nu_mean"] = optimizer.state.speed.mean()
        if step % options["remesh_interval"] == 0:
            optimizer.remesh(picks)
        outputs[f"remesh_{step}_vertices"], outputs[f"remesh_{step}_faces"] = optimizer.positions, optimizer.faces
    for name in (name for name in outputs if name.endswith("ref_len")):
        outputs[name] = outputs[name][: len(fixture.expected.get(name, []))]
    return outputs
