"""Runner of mesh extraction."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from framework.geometry.grid import Query, evaluate_grid, grid_axes
from framework.geometry.isosurface import EmptySurface, marching_cubes
from framework.geometry.mesh import Mesh
from tests.parity.expressions import evaluate
from tests.parity.fixture import Fixture


def mesh_extraction(fixture: Fixture) -> dict[str, Any]:
    """Family mesh_extraction: the zero level of the input `field`, dense grid, with the original's vertex mapping.

    `config` has `octree_depth`, `bounds` (half side, or six numbers: lowest corner, then highest) and `num_chunks`
    (points asked at once). `field` is an expression of x, y, z and p = (x, y, z), positive inside. `empty case` is
    extracted from a field that is negative everywhere: [no mesh, has a surface].
    """
    bounds = box(fixture)
    resolution = 2 ** fixture.config["octree_depth"]
    mesh = surface(fixture, field_of(fixture))
    points = np.stack(np.meshgrid(*grid_axes(resolution, bounds), indexing="ij"), axis=-1).reshape(-1, 3)
    ends = {name: len(fixture.expected.get(f"grid_points_{name}", points)) for name in ("head", "tail")}
    empty = surface(fixture, lambda asked: -torch.ones(len(asked))) is None
    outputs = {
        "grid_points_head": points[: ends["head"]],
        "grid_points_tail": points[len(points) - ends["tail"] :],
        "empty case": [empty, not empty],
    }
    return outputs if mesh is None else outputs | _measures(mesh)


def _measures(mesh: Mesh) -> dict[str, Any]:
    return {
        "vertices": mesh.vertices,
        "faces": mesh.faces,
        "n_vertices": len(mesh.vertices),
        "n_faces": len(mesh.faces),
        "signed_volume": mesh.volume,
        "area": mesh.area,
        "bounds": mesh.bounds,
        "watertight": mesh.is_watertight,
    }


def box(fixture: Fixture) -> np.ndarray:
    """`config.bounds` as our grids take it."""
    bounds = np.asarray(fixture.config["bounds"], np.float64)
    return bounds.reshape(2, 3) if bounds.size == 6 else bounds


def surface(fixture: Fixture, field: Query, method: Any = "dense", coarse: int = 32) -> Mesh | None:
    """The mesh of `field` under the fixture's grid; None where it has no surface."""
    resolution = 2 ** fixture.config["octree_depth"]
    chunk = fixture.config.get("num_chunks", 10000)
    samples = evaluate_grid(field, resolution, box(fixture), method=method, coarse=coarse, chunk=chunk)
    try:
        return marching_cubes(samples.values, box(fixture), grid_mapping="official")
    except EmptySurface:
        return None


def field_of(fixture: Fixture) -> Query:
    """The analytic field of the fixture."""
    sentence = fixture.descriptions["field"]

    def field(points: Tensor) -> Tensor:
        p = points.numpy()
        x, y, z = p.T
        values = evaluate(sentence, fixture.salt, {"p": p, "x": x, "y": y, "z": z})
        return torch.from_numpy(np.asarray(values, np.float32))

    return field
