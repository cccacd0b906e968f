"""Simplification keeps the shape, its closedness and its colours."""

from dataclasses import replace

import numpy as np
import pytest

from framework.geometry.grid import grid_axes
from framework.geometry.isosurface import marching_cubes
from framework.geometry.mesh import Mesh
from framework.geometry.simplify import simplify
from framework.optional import MissingExtra


@pytest.fixture(scope="module")
def ball() -> Mesh:
    points = np.stack(np.meshgrid(*grid_axes(40, 1.1), indexing="ij"), axis=-1)
    mesh = marching_cubes(0.8 - np.linalg.norm(points, axis=-1), 1.1)
    return replace(mesh, vertex_colors=(mesh.vertices * 0.5 + 0.5).clip(0, 1))


def test_faces_fall_and_shape_stays(ball: Mesh) -> None:
    pytest.importorskip("fast_simplification", reason="extra 'mesh': fast-simplification")
    simple = simplify(replace(ball, vertex_normals=ball.vertices / 0.8), 1000)
    assert 500 < len(simple.faces) <= 1000
    assert simple.is_watertight
    assert simple.volume == pytest.approx(ball.volume, rel=0.01)
    assert np.abs(np.linalg.norm(simple.vertices, axis=1) - 0.8).max() < 0.02
    assert simple.vertex_colors is not None
    assert np.abs(simple.vertex_colors - (simple.vertices * 0.5 + 0.5)).max() < 0.05  # nearest old vertex
    assert simple.vertex_normals is not None
    assert (simple.vertex_normals * simple.vertices).sum(axis=1).min() > 0.78


def test_small_meshes_come_back_as_they_are(ball: Mesh) -> None:
    assert simplify(ball, len(ball.faces)) is ball


def test_impossible_counts_and_a_missing_package_are_named(ball: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="at least 4"):
        simplify(ball, 3)
    monkeypatch.setitem(__import__("sys").modules, "fast_simplification", None)
    with pytest.raises(MissingExtra, match=r"atelier3d\[mesh\]"):
        simplify(ball, 100)
