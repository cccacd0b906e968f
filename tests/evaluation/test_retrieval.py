"""Retrieval finds the shape that looks the same from the front."""

from __future__ import annotations

import numpy as np

from framework.evaluation.retrieval import front_depth, nearest_by_depth


def sphere(radius: float, count: int = 20000) -> np.ndarray:
    directions = np.random.default_rng(0).standard_normal((count, 3))
    return radius * directions / np.linalg.norm(directions, axis=1, keepdims=True)


def test_front_depth_of_a_sphere() -> None:
    depth = front_depth(sphere(0.8, 200_000), size=32)
    assert depth[0, 0] == -1.0
    assert abs(depth[16, 16] - 0.8) < 0.02
    assert abs((depth > -1.0).mean() - np.pi * 0.8**2 / 4) < 0.05


def test_rows_go_down_and_columns_to_the_right() -> None:
    depth = front_depth(np.array([[0.9, 0.9, 0.3]]), size=4)
    assert np.argwhere(depth > -1.0).tolist() == [[0, 3]]


def test_nearest_prefers_silhouette_then_depth() -> None:
    radii = (0.3, 0.5, 0.7, 0.9)
    database = np.stack([front_depth(sphere(radius)) for radius in radii])
    queries = np.stack([front_depth(sphere(radius + 0.03)) for radius in radii])
    assert nearest_by_depth(queries, database).tolist() == [0, 1, 2, 3]
    shifted = np.stack([front_depth(sphere(0.5) + [0, 0, dz]) for dz in (-0.3, 0.0, 0.3)])
    assert nearest_by_depth(shifted[1:2], shifted).tolist() == [1]
