"""Inside and distance against analytic solids, by every way there is."""

from dataclasses import replace

import numpy as np
import pytest

from framework.geometry import occupancy
from framework.geometry.mesh import Mesh, concatenate
from framework.geometry.occupancy import (
    closest_points,
    inside,
    is_closed,
    plain_winding_number,
    signed_distance,
    unsigned_distance,
    winding_number,
)

CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * np.array([0.5, 0.6, 0.7])
SIDES = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
BOX = Mesh(CORNERS, np.array([[a, b, c] for a, b, c, d in SIDES] + [[a, c, d] for a, b, c, d in SIDES]))
POINTS = np.random.default_rng(0).uniform(-1, 1, (1500, 3))


def box_distance(points: np.ndarray) -> np.ndarray:
    """Exact signed distance to the box."""
    q = np.abs(points) - CORNERS[-1]
    return np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the extra 'mesh', as far as our choice of tools goes."""
    monkeypatch.setattr(occupancy, "has", lambda package: False)


def test_box_is_outwards_and_closed() -> None:
    assert BOX.volume == pytest.approx(0.5 * 0.6 * 0.7 * 8)
    assert BOX.is_watertight
    assert is_closed(BOX)


@pytest.mark.parametrize("method", ["auto", "parity", "winding"])
def test_inside_agrees_with_the_box(method: str) -> None:
    pytest.importorskip("embreex", reason="extra 'mesh': embreex")
    np.testing.assert_array_equal(inside(BOX, POINTS, method=method), box_distance(POINTS) < 0)  # type: ignore[arg-type]


def test_inside_without_the_extra(bare: None, caplog: pytest.LogCaptureFixture) -> None:
    np.testing.assert_array_equal(inside(BOX, POINTS[:100]), box_distance(POINTS[:100]) < 0)
    assert "atelier3d[mesh]" in caplog.text
    np.testing.assert_array_equal(inside(BOX, POINTS[:100], "winding"), box_distance(POINTS[:100]) < 0)


def test_orientation_of_the_faces_does_not_matter() -> None:
    flipped = replace(BOX, faces=BOX.faces[:, ::-1])
    for method in ("parity", "winding"):
        np.testing.assert_array_equal(inside(flipped, POINTS[:200], method), box_distance(POINTS[:200]) < 0)  # type: ignore[arg-type]


def test_open_box_is_closed_by_winding() -> None:
    opened = BOX.subset(np.arange(12) != 3)
    assert not is_closed(opened)
    agreement = (inside(opened, POINTS) == (box_distance(POINTS) < 0)).mean()
    assert agreement > 0.97
    assert inside(opened, np.zeros((1, 3))).all()


def test_doubled_vertices_at_seams_count_as_closed() -> None:
    soup = Mesh(BOX.triangles.reshape(-1, 3), np.arange(36).reshape(12, 3))
    assert not soup.is_watertight
    assert is_closed(soup)
    two = concatenate([soup, soup.transformed(np.diag([0.5, 0.5, 0.5, 1.0]))])
    assert is_closed(two)


def test_winding_numbers_of_nested_boxes() -> None:
    nested = concatenate([BOX, BOX.transformed(np.diag([0.5, 0.5, 0.5, 1.0]))])
    queries = np.array([[0, 0, 0], [0.4, 0, 0], [0.9, 0, 0]])
    np.testing.assert_allclose(plain_winding_number(nested, queries), [2, 1, 0], atol=1e-12)
    np.testing.assert_allclose(winding_number(nested, queries), [2, 1, 0], atol=0.02)
    assert plain_winding_number(nested, np.zeros((0, 3))).shape == (0,)


def test_winding_number_of_an_open_triangle_is_its_solid_angle() -> None:
    octant = Mesh(np.eye(3), np.array([[0, 1, 2]]))  # one eighth of the sphere around the origin
    assert plain_winding_number(octant, np.zeros((1, 3)))[0] == pytest.approx(1 / 8)


def test_signed_distance_is_exact_and_negative_inside() -> None:
    found = signed_distance(BOX, POINTS)
    np.testing.assert_allclose(found, box_distance(POINTS), atol=1e-6)
    assert found.dtype == np.float32


def test_signed_distance_without_the_extra(bare: None) -> None:
    np.testing.assert_allclose(signed_distance(BOX, POINTS[:50]), box_distance(POINTS[:50]), atol=1e-6)


def test_bad_points_are_refused() -> None:
    for points in (np.zeros((4, 2)), np.full((1, 3), np.nan)):
        with pytest.raises(ValueError, match="points"):
            inside(BOX, points)


@pytest.mark.parametrize("use", [None, "bare"])
def test_nearest_places_lie_on_their_faces(use: str | None, request: pytest.FixtureRequest) -> None:
    if use is None:
        pytest.importorskip("igl", reason="needs the extra 'mesh'")
    else:
        request.getfixturevalue(use)
    points = np.array([[0.0, 0.2, 2.0], [0.4, 0.1, 0.0], [3.0, 3.0, 3.0]])
    places, faces = closest_points(BOX, points)
    np.testing.assert_allclose(places, [[0.0, 0.2, 0.7], [0.5, 0.1, 0.0], [0.5, 0.6, 0.7]], atol=1e-6)
    to_plane = (BOX.face_normals()[faces] * (places - BOX.triangles[faces, 0])).sum(axis=1)
    np.testing.assert_allclose(to_plane, 0, atol=1e-6)
    np.testing.assert_allclose(unsigned_distance(BOX, points), np.linalg.norm(points - places, axis=1), atol=1e-6)
