"""The fixture `craftsman/mesh_extraction`: grid, marching cubes and vertex mapping of the released program."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor

from framework.geometry.grid import evaluate_grid, grid_axes
from framework.geometry.isosurface import marching_cubes

FIXTURE = Path(__file__).parent / "fixtures" / "craftsman" / "mesh_extraction"


def field(points: Tensor) -> Tensor:
    """The fixture's analytic field: a ring and a ball, positive inside."""
    x, y, z = points.unbind(-1)
    ring = 0.22 - torch.hypot(torch.hypot(x, y) - 0.6, z)
    ball = 0.3 - (points - torch.tensor([0.25, -0.1, 0.55])).norm(dim=-1)
    return 7.0 * torch.maximum(ring, ball)


@pytest.fixture(scope="module")
def facts() -> dict:
    return json.loads(FIXTURE.with_suffix(".json").read_text())


def test_grid_points(facts: dict) -> None:
    stored = load_file(FIXTURE.with_suffix(".safetensors"))
    axes = grid_axes(2 ** facts["config"]["octree_depth"], facts["config"]["bounds"])
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    np.testing.assert_array_equal(points[:40], stored["grid_points_head"])
    np.testing.assert_array_equal(points[-40:], stored["grid_points_tail"])


@pytest.mark.parametrize("method", ["dense", "coarse_to_fine"])
def test_mesh(facts: dict, method: str) -> None:
    stored = load_file(FIXTURE.with_suffix(".safetensors"))
    config, stats = facts["config"], facts["outputs"]["stats"]
    resolution, bounds = 2 ** config["octree_depth"], config["bounds"]
    samples = evaluate_grid(field, resolution, bounds, method=method, coarse=16)
    mesh = marching_cubes(samples.values, bounds, grid_mapping="official")
    np.testing.assert_allclose(mesh.vertices, stored["vertices"], atol=facts["tolerance"]["atol"], rtol=0)
    np.testing.assert_array_equal(mesh.faces, stored["faces"])
    assert mesh.is_watertight == stats["watertight"]
    assert mesh.volume == pytest.approx(stats["signed_volume"], abs=1e-6)
    assert mesh.area == pytest.approx(stats["area"], abs=1e-5)
    np.testing.assert_allclose(mesh.bounds, stats["bounds"], atol=facts["tolerance"]["atol"])
