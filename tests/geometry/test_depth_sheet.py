from __future__ import annotations

import numpy as np
import pytest
import torch

from framework.geometry.depth_sheet import box_of_frustum, sheet_mesh
from framework.geometry.mesh import MeshError


def flat(height: int, width: int) -> np.ndarray:
    """Points of a picture in the plane z = 0, row 0 at the top."""
    y, x = np.meshgrid(np.linspace(1, -1, height), np.linspace(-1, 1, width), indexing="ij")
    return np.stack([x, y, np.zeros_like(x)], axis=-1).astype(np.float32)


def test_a_sheet_has_two_triangles_a_cell_towards_the_camera() -> None:
    mesh = sheet_mesh(flat(4, 6))
    assert len(mesh.faces) == 2 * 3 * 5
    np.testing.assert_array_equal(mesh.vertices, flat(4, 6).reshape(-1, 3))
    np.testing.assert_allclose(mesh.face_normals(), np.tile([0, 0, 1], (30, 1)), atol=1e-6)
    assert mesh.area == pytest.approx(4.0)


def test_dropped_pixels_take_their_cells_along() -> None:
    keep = np.ones((3, 3), dtype=bool)
    keep[0, 0] = False
    mesh = sheet_mesh(flat(3, 3), keep)
    assert len(mesh.faces) == 6 and len(mesh.vertices) == 8
    assert mesh.area == pytest.approx(3.0)
    assert not (mesh.vertices == [-1, 1, 0]).all(axis=1).any()


@pytest.mark.parametrize(
    ("points", "keep", "message"),
    [
        (np.zeros((1, 5, 3)), None, "at least 2 x 2 pixels"),
        (np.zeros((0, 0, 3)), None, "at least 2 x 2 pixels"),
        (np.zeros((4, 3)), None, "expected"),
        (flat(3, 3), np.ones((2, 3), bool), "keep of shape"),
        (flat(3, 3), np.eye(3, dtype=bool), "no cell has all its four pixels"),
        (np.full((2, 2, 3), np.nan), None, "NaN"),
    ],
)
def test_what_makes_no_sheet_is_an_error(points: np.ndarray, keep: np.ndarray | None, message: str) -> None:
    with pytest.raises(MeshError, match=message):
        sheet_mesh(points, keep)


def test_a_frustum_is_straightened() -> None:
    """The field that is x inside the frustum is x on the box."""
    near, far, size = 0.8, 1.2, 33
    depth = torch.linspace(near, far, size)
    across = torch.linspace(-1, 1, size)  # x / z over its largest value
    tilted = (across[None, :, None] * depth / far).expand(size, size, size)  # x in half widths of the far end
    straight = box_of_frustum(tilted, far / depth, outside=7.0)
    box = torch.linspace(-1, 1, size)[None, :, None].expand(size, size, size)
    up = torch.linspace(-1, 1, size)[:, None, None].expand(size, size, size)
    reached = torch.maximum(box.abs(), up.abs()) * (far / depth) <= 1
    torch.testing.assert_close(straight[reached], box[reached], atol=1e-5, rtol=0)
    assert bool((straight[~reached] == 7.0).all())
    assert reached[..., -1].all() and not reached[..., 0].all()


def test_the_widening_has_one_number_a_slice() -> None:
    with pytest.raises(ValueError, match="for 4 slices"):
        box_of_frustum(torch.zeros(2, 3, 4), torch.ones(3), outside=1.0)
