"""Holes filled and surfaces closed, on shapes cut open."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from framework.geometry.closing import boundary_loops, closed_surface, fill_holes
from framework.geometry.mesh import Mesh, MeshError
from framework.geometry.occupancy import is_closed

SPHERE = trimesh.creation.icosphere(subdivisions=3)
BALL = Mesh(SPHERE.vertices, SPHERE.faces, vertex_colors=np.asarray(SPHERE.vertices) * 0.5 + 0.5)
CENTRES = BALL.triangles.mean(axis=1)
BOX = trimesh.creation.box((1, 1, 1))


def without(mesh: Mesh, faces: np.ndarray) -> Mesh:
    return mesh.subset(~faces)


OPEN = without(BALL, (CENTRES[:, 1] > 0.8) | (CENTRES[:, 0] < -0.9))
"""Two holes: above, and at the left."""


def test_loops_go_around_the_holes() -> None:
    assert boundary_loops(BALL) == []
    loops = boundary_loops(OPEN)
    assert len(loops) == 2
    above = next(loop for loop in loops if OPEN.vertices[loop, 1].min() > 0.5)
    corners = OPEN.vertices[above].astype(float)
    turn = np.cross(corners, np.roll(corners, -1, axis=0)).sum(axis=0)
    assert turn[1] > 0  # its filling looks upwards


def test_holes_are_filled_in_place() -> None:
    filled = fill_holes(OPEN)
    assert filled.is_watertight
    np.testing.assert_array_equal(filled.faces[: len(OPEN.faces)], OPEN.faces)
    np.testing.assert_array_equal(filled.vertices, OPEN.vertices)
    assert 0.85 * BALL.volume < filled.volume < BALL.volume  # flat lids
    assert filled.vertex_colors is not None
    added = filled.subset(np.arange(len(filled.faces)) >= len(OPEN.faces))
    assert added.area < 1.1 * (np.pi * (1 - 0.75**2) + np.pi * (1 - 0.88**2))  # no more than the lids need


def test_the_hole_of_a_box_gets_two_triangles() -> None:
    box = Mesh(BOX.vertices, BOX.faces)
    filled = fill_holes(without(box, BOX.face_normals[:, 1] > 0.5))
    assert filled.is_watertight
    assert filled.volume == pytest.approx(1.0)
    assert len(filled.faces) == 12


def test_large_holes_get_a_fan_and_longer_ones_stay() -> None:
    fine = trimesh.creation.icosphere(subdivisions=5)
    half = Mesh(fine.vertices, fine.faces)
    half = without(half, half.triangles.mean(axis=1)[:, 1] > 0)
    (loop,) = boundary_loops(half)
    assert len(loop) > 120
    filled = fill_holes(half)
    assert filled.is_watertight
    assert len(filled.vertices) == len(half.vertices) + 1
    assert filled.volume == pytest.approx(2 / 3 * np.pi, rel=0.02)
    assert fill_holes(half, longest=50) is half


def test_seams_are_no_holes_and_faces_without_area_do_no_harm() -> None:
    soup = Mesh(OPEN.triangles.reshape(-1, 3), np.arange(len(OPEN.faces) * 3).reshape(-1, 3))
    assert len(boundary_loops(soup)) == 2
    assert is_closed(fill_holes(soup))
    line = replace(OPEN, faces=np.concatenate([OPEN.faces, [[0, 0, 1], [5, 5, 5]]]))
    assert fill_holes(line).subset(np.ones(len(fill_holes(line).faces), bool)).is_watertight


def test_a_closed_surface_bridges_holes_smoothly() -> None:
    pytest.importorskip("igl", reason="takes minutes without the extra 'mesh'")
    closed = closed_surface(OPEN, resolution=48)
    assert closed.is_watertight
    radii = np.linalg.norm(closed.vertices, axis=1)
    kept = (closed.vertices[:, 1] < 0.6) & (closed.vertices[:, 0] > -0.7)
    np.testing.assert_allclose(radii[kept], 1.0, atol=0.02)
    assert radii.min() > 0.7
    assert closed.volume == pytest.approx(BALL.volume, rel=0.06)
    assert closed.vertex_colors is not None
    assert np.abs(closed.vertex_colors - (closed.vertices * 0.5 + 0.5).clip(0, 1))[kept].max() < 0.1
    lids = closed.face_normals()[closed.vertices[closed.faces][:, :, 1].min(axis=1) > 0.82]
    assert (lids[:, 1] > 0.5).mean() > 0.95  # no staircase


def test_a_closed_surface_of_overlapping_parts_is_their_union() -> None:
    pytest.importorskip("igl", reason="takes minutes without the extra 'mesh'")
    box = Mesh(BOX.vertices, BOX.faces)
    moved = box.transformed(trimesh.transformations.translation_matrix([0.5, 0.1, 0.0]))
    both = Mesh(np.concatenate([box.vertices, moved.vertices]), np.concatenate([box.faces, moved.faces + 8]))
    closed = closed_surface(both, resolution=64)
    assert closed.is_watertight
    assert closed.volume == pytest.approx(2 - 0.5 * 0.9, rel=0.03)


def test_what_encloses_nothing_is_an_error() -> None:
    with pytest.raises(MeshError, match="enclose nothing"):
        closed_surface(BALL.flipped(), resolution=16)
    with pytest.raises(MeshError, match="at one point"):
        closed_surface(Mesh(np.ones((3, 3)), np.array([[0, 1, 2]])))
