"""Marching cubes on fields with known surfaces."""

import numpy as np
import pytest

from framework.geometry.grid import grid_axes
from framework.geometry.isosurface import EmptySurface, FieldError, box_corners, marching_cubes


def sphere_field(resolution: int, radius: float, bounds: float = 1.1) -> np.ndarray:
    """Positive inside."""
    points = np.stack(np.meshgrid(*grid_axes(resolution, bounds), indexing="ij"), axis=-1)
    return radius - np.linalg.norm(points, axis=-1)


def test_exact_mapping_of_a_sphere() -> None:
    mesh = marching_cubes(sphere_field(32, 0.7), 1.1)
    radii = np.linalg.norm(mesh.vertices, axis=1)
    half_cell = 0.5 * 2.2 / 32
    assert np.abs(radii - 0.7).max() < half_cell
    centroid = (mesh.triangles.mean(axis=1) * mesh.face_areas[:, None]).sum(axis=0) / mesh.area
    assert np.abs(centroid).max() < 1e-3
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 0.7**3, rel=0.01)


def test_official_mapping_is_shrunk_towards_the_lowest_corner() -> None:
    field = sphere_field(32, 0.7)
    exact, official = marching_cubes(field, 1.1), marching_cubes(field, 1.1, grid_mapping="official")
    np.testing.assert_allclose((official.vertices + 1.1) * 33 / 32 - 1.1, exact.vertices, atol=1e-6)


def test_both_signs_face_outwards() -> None:
    field = sphere_field(16, 0.7)
    positive, negative = marching_cubes(field, 1.1), marching_cubes(-field, 1.1, inside="negative")
    assert positive.volume > 0
    assert positive.volume == pytest.approx(negative.volume)


def test_boxes_of_other_shapes_and_levels() -> None:
    x, y, z = np.meshgrid(*grid_axes(20, ((0, -1, 2), (1, 1, 6))), indexing="ij")
    mesh = marching_cubes(x + 0 * y + 0 * z, ((0, -1, 2), (1, 1, 6)), level=0.42)
    np.testing.assert_allclose(mesh.vertices[:, 0], 0.42, atol=1e-6)
    np.testing.assert_allclose(mesh.bounds[:, 1:], [[-1, 2], [1, 6]], atol=1e-6)


def test_box_corners_takes_three_spellings() -> None:
    for bounds in (1.5, (-1.5, 1.5), ((-1.5,) * 3, (1.5,) * 3)):
        np.testing.assert_array_equal(box_corners(bounds), [[-1.5] * 3, [1.5] * 3])
    for bad in (-1.0, (1, 0), (1, 2, 3)):
        with pytest.raises(ValueError, match="bounds"):
            box_corners(bad)


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(EmptySurface, match="never crosses 0"):
        marching_cubes(np.ones((4, 4, 4)), 1.0)
    field = sphere_field(8, 0.7)
    field[3, 3, 3] = np.nan
    with pytest.raises(FieldError, match="1 of 729"):
        marching_cubes(field, 1.0)
    with pytest.raises(FieldError, match="shape"):
        marching_cubes(np.ones((4, 4)), 1.0)
