"""The mesh container: checks, measures against known solids, transforms, normals."""

from dataclasses import replace

import numpy as np
import pytest

from framework.geometry.mesh import Mesh, MeshError, concatenate, normalize, smooth_normals

TETRAHEDRON = Mesh(
    np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]), np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
)


def test_measures_of_a_tetrahedron() -> None:
    assert TETRAHEDRON.volume == pytest.approx(1 / 6)
    assert TETRAHEDRON.area == pytest.approx(1.5 + np.sqrt(3) / 2)
    assert TETRAHEDRON.is_watertight
    np.testing.assert_array_equal(TETRAHEDRON.bounds, [[0, 0, 0], [1, 1, 1]])
    np.testing.assert_allclose(TETRAHEDRON.face_normals()[[0, 3]], [[0, 0, -1], [3**-0.5] * 3], atol=1e-6)
    assert TETRAHEDRON.vertices.dtype == np.float32
    assert TETRAHEDRON.faces.dtype == np.int64


def test_volume_is_signed_and_precise_far_from_the_origin() -> None:
    flipped = replace(TETRAHEDRON, faces=TETRAHEDRON.faces[:, ::-1])
    assert flipped.volume == pytest.approx(-1 / 6)
    assert replace(TETRAHEDRON, vertices=TETRAHEDRON.vertices + 1000).volume == pytest.approx(1 / 6, rel=1e-3)


def test_bounds_ignore_unused_vertices() -> None:
    mesh = Mesh(np.vstack([TETRAHEDRON.vertices, [[9, 9, 9]]]), TETRAHEDRON.faces)
    np.testing.assert_array_equal(mesh.bounds[1], [1, 1, 1])


def test_a_missing_face_opens_the_mesh() -> None:
    assert not TETRAHEDRON.subset(np.array([True, True, True, False])).is_watertight


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vertices": np.array([[0, 0, np.nan], [1, 0, 0], [0, 1, 0], [0, 0, 1]])}, "1 of 4 rows hold NaN"),
        ({"vertices": np.zeros((4, 2))}, r"vertices: expected shape \(N, 3\)"),
        ({"faces": np.zeros((0, 3), int)}, "no faces"),
        ({"faces": np.array([[0, 1, 4]])}, "indices 0 to 4 don't fit the 4 vertices"),
        ({"faces": np.array([[0, 1, -1]])}, "don't fit"),
        ({"faces": np.array([[0.0, 1.0, 2.0]])}, "expected integers"),
        ({"vertex_colors": np.full((4, 3), 2.0)}, r"values in \[0, 1\]"),
        ({"vertex_colors": np.full((4, 3), 200, np.uint8)}, "Divide 8-bit colours by 255"),
        ({"vertex_colors": np.zeros((3, 3))}, "3 rows for 4 vertices"),
        ({"vertex_normals": np.zeros((5, 3))}, "5 rows for 4 vertices"),
    ],
)
def test_bad_parts_are_named(change: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(MeshError, match=message):
        replace(TETRAHEDRON, **change)


def test_transformed_moves_points_normals_and_keeps_faces_outwards() -> None:
    mesh = replace(TETRAHEDRON, vertex_normals=smooth_normals(TETRAHEDRON))
    matrix = np.diag([2.0, 1.0, -1.0, 1.0])
    matrix[:3, 3] = [1, 2, 3]
    moved = mesh.transformed(matrix)
    np.testing.assert_allclose(moved.vertices[1], [3, 2, 3])
    assert moved.volume == pytest.approx(2 / 6)  # positive although the matrix mirrors
    # A normal stays perpendicular to the face's edges under a non-uniform scale.
    flat = replace(mesh, vertex_normals=np.tile(mesh.face_normals()[3], (4, 1))).transformed(matrix)
    edges = moved.vertices[[2, 3]] - moved.vertices[1]
    assert flat.vertex_normals is not None
    np.testing.assert_allclose(edges @ flat.vertex_normals[0], 0, atol=1e-6)
    with pytest.raises(MeshError, match="singular"):
        mesh.transformed(np.diag([1.0, 1.0, 0.0, 1.0]))


def test_concatenate_gives_white_to_parts_without_colour() -> None:
    red = replace(TETRAHEDRON, vertex_colors=np.tile([1.0, 0, 0], (4, 1)))
    both = concatenate([red, TETRAHEDRON])
    assert both.vertex_colors is not None
    np.testing.assert_array_equal(both.vertex_colors[[0, 4]], [[1, 0, 0, 1], [1, 1, 1, 1]])
    assert both.volume == pytest.approx(2 / 6)
    assert concatenate([TETRAHEDRON, TETRAHEDRON]).vertex_colors is None
    with pytest.raises(MeshError):
        concatenate([])


def test_welded_joins_positions_and_drops_flat_faces() -> None:
    soup = Mesh(
        np.vstack([TETRAHEDRON.triangles.reshape(-1, 3), [[-0.0, 0, 0], [0, -0.0, 0], [1, 0, 0]]]),
        np.arange(15).reshape(5, 3),
        vertex_colors=np.linspace(0, 1, 45).reshape(15, 3),
    )
    whole = soup.welded()
    assert (len(whole.vertices), len(whole.faces), whole.is_watertight) == (4, 4, True)
    assert whole.volume == pytest.approx(1 / 6)
    assert whole.vertex_colors is not None
    flat = Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]]))
    assert flat.welded() is flat


def test_smooth_normals_ignore_seams_and_weigh_by_area() -> None:
    soup = Mesh(TETRAHEDRON.triangles.reshape(-1, 3), np.arange(12).reshape(4, 3))
    expected = np.zeros((4, 3))
    for face in TETRAHEDRON.faces:  # the definition, face by face
        a, b, c = TETRAHEDRON.vertices[face].astype(float)
        expected[face] += np.cross(b - a, c - a)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(smooth_normals(TETRAHEDRON), expected, atol=1e-6)
    np.testing.assert_allclose(smooth_normals(soup), expected[TETRAHEDRON.faces.reshape(-1)], atol=1e-6)


def test_normalize_fits_the_box_and_tells_how() -> None:
    mesh = replace(TETRAHEDRON, vertices=TETRAHEDRON.vertices * [1, 2, 4] + 5)
    normal, scale, offset = normalize(mesh, half_extent=0.9)
    np.testing.assert_allclose(normal.bounds, np.array([[-0.225, -0.45, -0.9], [0.225, 0.45, 0.9]]), atol=1e-6)
    np.testing.assert_allclose(mesh.vertices * scale + offset, normal.vertices, atol=1e-5)
    with pytest.raises(MeshError, match="one point"):
        normalize(replace(mesh, vertices=np.ones((4, 3))))
