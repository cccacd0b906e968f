"""Runners of remeshing and its optimiser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from framework.geometry.normals import area_normals, smooth_normals
from framework.geometry.remeshing.collapse import collapse_edges, collapse_priorities, nominated_edges
from framework.geometry.remeshing.connectivity import edges_of, packed, proper_faces
from framework.geometry.remeshing.flip import flip_edges
from framework.geometry.remeshing.optimizer import RemeshingOptimizer
from framework.geometry.remeshing.remesh import remesh
from framework.geometry.remeshing.split import longer_than_allowed, split_edges
from tests.parity.comparison import Judged
from tests.parity.fixture import Fixture
from tests.parity.runners.remeshing_layout import edge_tables, headed_faces, headed_rows, optimizer_config
from tests.parity.runners.rules import stated


def remesh_ops(fixture: Fixture) -> dict[str, Any]:
    """Family remesh_ops: every step of remeshing on one stored mesh, with columns `extra` carried along.

    `config.min_edge` and `max_edge` are sentences with the length in brackets, or numbers.
    """
    positions, faces = fixture.tensor("vertices"), fixture.tensor("faces").long()
    columns = torch.cat([positions, fixture.tensor("extra", V=len(positions))], 1)
    shortest, longest = (_length(fixture.config[name]).expand(len(positions)) for name in ("min_edge", "max_edge"))
    seed = seed_in(str(fixture.facts["outputs"]))
    edges = edges_of(faces, len(positions))
    certain = nominated_edges(positions, faces, edges, shortest, torch.full((len(faces),), 2))
    random = nominated_edges(positions, faces, edges, shortest, seeded_picks(len(faces), seed))
    priority = collapse_priorities(positions, edges, shortest, certain)
    collapsed, collapsed_faces = collapse_edges(columns, faces, edges, priority)
    split, split_faces = _split(collapsed, proper_faces(collapsed_faces), longest)
    packed_columns, packed_faces = packed(split, split_faces)
    flipped = headed_faces(flip_edges(packed_columns[:, :3], packed_faces))
    final, final_faces = remesh(columns, faces, shortest, longest, seeded_picks(len(faces), seed), stable=False)
    return edge_tables(faces, edges) | {
        "edge_length": headed_rows(edges.lengths(positions), torch.nan),
        "face_normals": headed_rows(area_normals(positions, faces), torch.nan),
        "vertex_normals": headed_rows(smooth_normals(positions, faces), torch.nan),
        "face_collapses": headed_rows(certain, 0),
        "face_collapses_random": headed_rows(random, 0),
        "priority": headed_rows(priority, 0),
        "collapsed_vertices": headed_rows(collapsed, 0),
        "collapsed_faces": headed_faces(collapsed_faces),
        "packed_vertices": headed_rows(packed_columns, 0),
        "packed_faces": headed_faces(packed_faces),
        "flipped_faces": flipped,
        "flipped_faces_border": flipped,
        "remesh_vertices": final,
        "remesh_faces": final_faces,
    }


def seeded_picks(faces: int, seed: int) -> Tensor:
    """What the faces draw right behind `torch.manual_seed(seed)`; the first draw belongs to the face at index 0."""
    return torch.randint(0, 10, (faces + 1,), generator=torch.Generator().manual_seed(seed))[1:].clamp(max=2)


def seed_in(sentence: str) -> int:
    """The number in `torch.manual_seed(7)`, or the first one of a sum."""
    return int(re.search(r"manual_seed\((\d+)", sentence)[1])


def _length(described: str | float) -> Tensor:
    """A length given as a number, or behind a sentence in brackets."""
    match = re.search(r"\(([\d.e-]+)\)", str(described))
    return torch.tensor(float(match[1] if match else described))


def _split(columns: Tensor, faces: Tensor, longest: Tensor) -> tuple[Tensor, Tensor]:
    edges = edges_of(faces, len(columns))
    return split_edges(columns, faces, edges, longer_than_allowed(columns[:, :3], edges, longest))


def mesh_optimizer(fixture: Fixture) -> dict[str, Any]:
    """Family mesh_optimizer: steps towards an ellipsoid, remeshed with torch seeded anew in each step.

    The outputs say how many steps are compared whole, and how long the `history` is. The tolerances of both are words:
    `steps 1..3` has an atol, the end of the history is held to per cents.
    """
    optimizer = RemeshingOptimizer(
        fixture.tensor("vertices"), fixture.tensor("faces").long(), optimizer_config(fixture.config, stable=False)
    )
    loss_of, outputs, history = _ellipsoid_loss(fixture), {}, []
    seed = seed_in(fixture.descriptions["seed"])
    for step in range(1, len(fixture.expected["history"]) + 1):
        loss = loss_of(optimizer.positions)
        loss.backward()
        optimizer.step(adapt_length=step % adaptation_interval(step) == 0)
        outputs[f"step{step}_state"] = optimizer.state.columns[:, :9]
        outputs[f"step{step}_vertices_before_remesh"] = optimizer.positions
        optimizer.remesh(partial(seeded_picks, seed=seed + step))
        outputs[f"step{step}_vertices"], outputs[f"step{step}_faces"] = optimizer.positions, optimizer.faces
        state = optimizer.state
        sizes = len(optimizer.positions), len(optimizer.faces)
        history.append([loss.item(), *sizes, state.edge_length.mean().item(), state.speed.mean().item()])
    return _steps_and_end(fixture, outputs, history)


def adaptation_interval(step: int) -> int:
    """Steps between two adaptations of the edge lengths: the schedule that all of the method's runs have."""
    return 4 if step < 500 else 2 if step < 800 else 1


def _ellipsoid_loss(fixture: Fixture) -> Callable[[Tensor], Tensor]:
    """`1e-3 * sum_v (|v / axes| - 1)^2, axes = [...]`."""
    sentence = fixture.config["loss"]
    factor = float(sentence.split("*")[0])
    axes = torch.tensor(json.loads(sentence.partition("axes = ")[2]))
    return lambda positions: factor * ((positions / axes).norm(dim=1) - 1).square().sum()


def _steps_and_end(fixture: Fixture, outputs: dict[str, Tensor], history: list[list[float]]) -> dict[str, Any]:
    """The stored steps within their atol, and the last entry of the history: sizes within 3 %, loss within 5 %."""
    (atol,) = (stated(fixture, rule) for rule in fixture.facts["tolerance"] if rule.startswith("steps"))
    stored = {name: expected for name, expected in fixture.expected.items() if name.startswith("step")}
    judged = {
        name: Judged({"difference": (_difference(outputs[name], expected), 0 if expected.dtype.kind in "iu" else atol)})
        for name, expected in stored.items()
    }
    sizes, loss = (float(share) / 100 for share in re.findall(r"([\d.]+) ?%", fixture.facts["tolerance"]["history"]))
    columns = {"loss": (0, loss), "vertices": (1, sizes), "faces": (2, sizes)}
    last, wanted = history[-1], fixture.expected["history"][-1]
    off = {name: (abs(last[i] / float(wanted[i]) - 1), share) for name, (i, share) in columns.items()}
    return judged | {"history": Judged(off)}


def _difference(value: Tensor, expected: np.ndarray) -> float:
    """Largest difference, infinite where the shapes differ."""
    if tuple(value.shape) != expected.shape:
        return float("inf")
    return float((value.detach() - torch.from_numpy(expected)).abs().max())
