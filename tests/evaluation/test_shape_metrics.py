"""Metrics against analytic spheres and brute-force distances."""

import numpy as np
import pytest
import torch

from framework.evaluation.shape_metrics import (
    chamfer_l1,
    chamfer_l2,
    compare_meshes,
    f_score,
    surface_distances,
    volume_iou,
    volume_points,
)
from framework.geometry.grid import grid_axes
from framework.geometry.isosurface import marching_cubes
from framework.geometry.mesh import Mesh


def sphere(radius: float) -> Mesh:
    points = np.stack(np.meshgrid(*grid_axes(64, 1.0), indexing="ij"), axis=-1)
    return marching_cubes(radius - np.linalg.norm(points, axis=-1), 1.0)


def sphere_points(radius: float, count: int, seed: int) -> np.ndarray:
    directions = np.random.default_rng(seed).normal(size=(count, 3))
    return radius * directions / np.linalg.norm(directions, axis=1, keepdims=True)


def test_volume_points_fill_the_box_evenly() -> None:
    points = volume_points()
    assert points.shape == (100_000, 3)
    np.testing.assert_allclose(points.min(axis=0), -1.05, atol=1e-3)
    np.testing.assert_allclose(points.max(axis=0), 1.05, atol=1e-3)
    np.testing.assert_array_equal(points, volume_points())


def test_iou_of_concentric_spheres_is_the_ratio_of_volumes() -> None:
    radii = np.linalg.norm(volume_points(), axis=1)
    assert volume_iou(radii < 0.7, radii < 0.9) == pytest.approx((0.7 / 0.9) ** 3, abs=0.01)


def test_iou_at_the_edges() -> None:
    yes, no = np.ones(5, bool), np.zeros(5, bool)
    assert [volume_iou(yes, yes), volume_iou(no, no), volume_iou(yes, no)] == [1.0, 1.0, 0.0]
    with pytest.raises(ValueError, match="different points"):
        volume_iou(yes, np.ones(4, bool))


def test_distances_equal_brute_force() -> None:
    random = np.random.default_rng(0)
    first, second = random.random((300, 3)), random.random((200, 3))
    table = torch.cdist(torch.from_numpy(first), torch.from_numpy(second)).numpy()
    there, back = surface_distances(first, second)
    np.testing.assert_allclose(there, table.min(axis=1), atol=1e-7)
    np.testing.assert_allclose(back, table.min(axis=0), atol=1e-7)
    assert chamfer_l1(first, second) == pytest.approx(0.5 * (table.min(1).mean() + table.min(0).mean()))
    assert chamfer_l2(first, second) == pytest.approx(0.5 * ((table.min(1) ** 2).mean() + (table.min(0) ** 2).mean()))
    precision, recall = (table.min(1) <= 0.05).mean(), (table.min(0) <= 0.05).mean()
    assert f_score(first, second, 0.05) == pytest.approx(2 * precision * recall / (precision + recall))


def test_concentric_spheres_lie_their_radii_apart() -> None:
    inner, outer = sphere_points(0.70, 15_000, 0), sphere_points(0.75, 15_000, 1)
    assert chamfer_l1(inner, outer) == pytest.approx(0.05, abs=2e-3)
    assert chamfer_l2(inner, outer) == pytest.approx(0.0025, abs=2e-4)
    assert f_score(inner, outer, 0.04) == 0.0
    assert f_score(inner, outer, 0.07) == 1.0


def test_empty_or_flat_point_sets_are_refused() -> None:
    for bad in (np.zeros((0, 3)), np.zeros((5, 2))):
        with pytest.raises(ValueError, match="points"):
            chamfer_l1(bad, np.zeros((1, 3)))


def test_meshes_of_spheres() -> None:
    pytest.importorskip("embreex", reason="extra 'mesh': embreex")
    found = compare_meshes(sphere(0.7), sphere(0.75), count=20_000)
    assert list(found) == ["iou", "chamfer_l1", "chamfer_l2", "f_score_0.01", "f_score_0.02"]
    assert found["iou"] == pytest.approx((0.7 / 0.75) ** 3, abs=0.015)
    assert found["chamfer_l1"] == pytest.approx(0.05, abs=2e-3)
    same = compare_meshes(sphere(0.7), sphere(0.7), count=20_000)
    assert same["iou"] == 1.0
    assert 0 < same["chamfer_l1"] < 0.01  # the sampling noise of 20,000 points
    assert same["f_score_0.02"] > 0.98
