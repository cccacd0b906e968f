"""Watertight surfaces of what only looks right from outside."""

import numpy as np
import pytest
import trimesh

from framework.geometry.closing import fill_holes
from framework.geometry.mesh import Mesh, MeshError, concatenate
from framework.renderers.torch_rasterizer import TorchRasterizer
from framework.renderers.watertight import unseen, watertight

RASTERIZER = TorchRasterizer()
SPHERE = trimesh.creation.icosphere(subdivisions=3, radius=0.8)
BALL = Mesh(SPHERE.vertices, SPHERE.faces)
BOX = Mesh(*(lambda box: (box.vertices, box.faces))(trimesh.creation.box((1, 1, 1))))
SHEET = Mesh(np.array([[-1, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]]), np.array([[0, 2, 1], [0, 3, 2]]))


def needs_igl() -> None:
    pytest.importorskip("igl", reason="takes minutes without the extra 'mesh'")


def test_a_closed_shape_comes_back() -> None:
    needs_igl()
    closed = watertight(BALL, RASTERIZER, resolution=32)
    assert closed.is_watertight
    np.testing.assert_allclose(np.linalg.norm(closed.vertices, axis=1), 0.8, atol=0.02)
    assert closed.volume == pytest.approx(BALL.volume, rel=0.03)


def test_parts_within_vanish_and_overlapping_ones_join() -> None:
    needs_igl()
    small = BALL.transformed(np.diag([0.3, 0.3, 0.3, 1.0]))
    moved = BOX.transformed(trimesh.transformations.translation_matrix([0.7, 0.0, 0.0]))
    closed = watertight(concatenate([BALL, small, moved]), RASTERIZER, resolution=32)
    assert closed.is_watertight
    assert len(trimesh.Trimesh(closed.vertices, closed.faces, process=False).split(only_watertight=False)) == 1


@pytest.mark.slow
def test_a_dent_stays_open_and_holes_must_be_filled_first() -> None:
    needs_igl()
    cup = trimesh.creation.annulus(0.5, 0.7, 1.0, sections=48)
    floor = trimesh.creation.cylinder(0.7, 0.2, sections=48).apply_translation([0, 0, -0.5])
    closed = watertight(concatenate([Mesh(cup.vertices, cup.faces), Mesh(floor.vertices, floor.faces)]), RASTERIZER, 48)
    tall = trimesh.Trimesh(closed.vertices, closed.faces, process=False)
    assert not tall.contains([[0, 0, 0.2]])[0]  # the cup can still be filled
    centres = BALL.triangles.mean(axis=1)
    punched = BALL.subset(~(centres[:, 1] > 0.6))
    assert watertight(punched, RASTERIZER, 32).volume < 0.5 * BALL.volume  # a hole is looked into
    whole = watertight(fill_holes(punched), RASTERIZER, 32)
    assert whole.volume == pytest.approx(BALL.volume, rel=0.05)


def test_sheets_need_a_shell() -> None:
    needs_igl()
    with pytest.raises(MeshError, match="Sheets need a shell"):
        watertight(SHEET, RASTERIZER, 24, shell=0.0)
    plate = watertight(SHEET, RASTERIZER, 24, shell=1.0)
    assert plate.is_watertight
    cell = 2 / (24 - 5)  # the sheet is 2 wide; beside it the grid has room for 1 + 1.5 cells
    assert np.ptp(plate.vertices[:, 1]) == pytest.approx(2 * cell, rel=0.05)


def test_a_coarse_grid_has_room_for_the_shell() -> None:
    needs_igl()
    assert watertight(SHEET, RASTERIZER, 8).is_watertight
    with pytest.raises(ValueError, match="does not fit into a grid of 4"):
        watertight(SHEET, RASTERIZER, 4, shell=1.0)
    with pytest.raises(MeshError, match="at one point"):
        watertight(Mesh(np.ones((3, 3)), np.array([[0, 1, 2]])), RASTERIZER)


def test_a_shell_thickens_sheets_only() -> None:
    needs_igl()
    lid = SHEET.transformed(trimesh.transformations.translation_matrix([0, 1.2, 0]))
    both = watertight(concatenate([BALL, lid]), RASTERIZER, 40, shell=1.0)
    ball = both.vertices[both.vertices[:, 1] < 0.95]
    np.testing.assert_allclose(np.linalg.norm(ball, axis=1), 0.8, atol=0.02)
    assert np.ptp(both.vertices[both.vertices[:, 1] > 0.95, 1]) == pytest.approx(2 * 2 / (40 - 5), rel=0.05)


def test_what_cameras_see_is_not_hidden() -> None:
    points = np.array([[0.0, 0, 0], [0, 0, 0.9], [5, 5, 5], [0.5, 0, 0], [0, 0.79, 0]])
    assert unseen(BALL, points, RASTERIZER).tolist() == [True, False, False, True, True]
    colored = Mesh(BALL.vertices, BALL.faces, vertex_colors=np.tile([[1.0, 0, 0]], (len(BALL.vertices), 1)))
    needs_igl()
    painted = watertight(colored, RASTERIZER, 16).vertex_colors
    assert painted is not None
    np.testing.assert_array_equal(painted, np.tile([[1.0, 0, 0]], (len(painted), 1)))
