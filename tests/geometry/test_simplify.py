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


def thin_frame() -> Mesh:
    """A closed shape that the quick library alone pinches at 150 faces: a ring about a grid cell thick, cut by bars."""
    x, y, z = np.meshgrid(*grid_axes(32, 1.0), indexing="ij")
    bars = [np.maximum(np.abs(a), np.abs(b)) for a, b in ((x, y), (y, z), (x, z))]
    field = np.maximum(0.05 - np.minimum.reduce(bars), 0.06 - np.abs(np.hypot(np.hypot(x, y) - 0.6, z)))
    return marching_cubes(np.minimum(field, 0.9 - np.maximum.reduce([np.abs(x), np.abs(y), np.abs(z)])), 1.0)


@pytest.mark.parametrize("faces", [600, 150])
def test_thin_shapes_stay_closed_and_reach_their_count(faces: int) -> None:
    pytest.importorskip("igl", reason="extra 'mesh': libigl")
    pytest.importorskip("fast_simplification", reason="extra 'mesh': fast-simplification")
    frame = thin_frame()
    assert frame.is_watertight
    simple = simplify(frame, faces)
    assert simple.is_watertight
    assert len(simple.faces) <= faces
    assert simple.volume == pytest.approx(frame.volume, rel=0.25)


def test_seams_are_joined_and_mixed_orientation_ends(ball: Mesh) -> None:
    pytest.importorskip("fast_simplification", reason="extra 'mesh': fast-simplification")
    soup = Mesh(ball.triangles.reshape(-1, 3), np.arange(3 * len(ball.faces)).reshape(-1, 3))
    assert simplify(soup, 1000).is_watertight
    mixed = ball.faces.copy()
    mixed[::2] = mixed[::2, ::-1]
    assert len(simplify(replace(ball, faces=mixed), 1000).faces) < len(ball.faces)


def test_small_meshes_come_back_as_they_are(ball: Mesh) -> None:
    assert simplify(ball, len(ball.faces)) is ball


def test_impossible_counts_and_a_missing_package_are_named(ball: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="at least 4"):
        simplify(ball, 3)
    monkeypatch.setitem(__import__("sys").modules, "fast_simplification", None)
    with pytest.raises(MissingExtra, match=r"atelier3d\[mesh\]"):
        simplify(ball, 100)
