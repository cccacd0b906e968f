"""Surface samples and farthest points."""

import numpy as np
import pytest
import torch

from framework.geometry.mesh import Mesh, MeshError
from framework.geometry.sampling import farthest_count, farthest_points, sample_surface

# A small triangle in the plane z = 0 and one with nine times its area in z = 1.
TWO = Mesh(
    np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [3, 0, 1], [0, 3, 1]]), np.array([[0, 1, 2], [3, 4, 5]])
)


def test_samples_lie_on_their_faces_in_proportion_to_area() -> None:
    points, normals, faces = sample_surface(TWO, 20000, seed=1)
    assert (faces == 1).mean() == pytest.approx(0.9, abs=0.01)
    np.testing.assert_allclose(points[:, 2], faces, atol=1e-6)
    np.testing.assert_allclose(normals, np.tile([0, 0, 1], (20000, 1)))
    large = points[faces == 1]
    assert (large[:, :2] >= 0).all()
    assert (large[:, :2].sum(axis=1) <= 3 + 1e-5).all()
    np.testing.assert_allclose(large.mean(axis=0), [1, 1, 1], atol=0.03)  # the centroid, if uniform
    assert (points.dtype, faces.dtype) == (np.float32, np.int64)


def test_samples_depend_on_the_seed_only() -> None:
    first, again, other = (sample_surface(TWO, 50, seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_surface_without_area_is_refused() -> None:
    with pytest.raises(MeshError, match="no area"):
        sample_surface(Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]])), 5, seed=0)


def brute_force(cloud: np.ndarray, count: int, start: int) -> list[int]:
    """The definition, one point at a time."""
    chosen = [start]
    while len(chosen) < count:
        gaps = ((cloud[:, None] - cloud[chosen][None]) ** 2).sum(-1).min(axis=1)
        chosen.append(int(np.argmax(gaps)))
    return chosen


def test_farthest_points_follow_the_definition() -> None:
    clouds = torch.rand(3, 200, 3, generator=torch.Generator().manual_seed(0))
    starts = torch.tensor([0, 7, 199])
    found = farthest_points(clouds, 40, start=starts)
    for cloud, start, indices in zip(clouds, starts, found, strict=True):
        assert indices.tolist() == brute_force(cloud.numpy(), 40, int(start))
    assert farthest_points(clouds, 1)[:, 0].tolist() == [0, 0, 0]


def test_ties_go_to_the_lowest_index() -> None:
    square = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]]])
    assert farthest_points(square, 4).tolist() == [[0, 3, 1, 2]]
    assert farthest_points(torch.zeros(1, 3, 3), 3).tolist() == [[0, 0, 0]]


def test_random_starts_come_from_the_generator() -> None:
    clouds = torch.rand(8, 100, 3)
    first, again = (farthest_points(clouds, 2, "random", torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, again)
    assert len(set(first[:, 0].tolist())) > 1


def test_impossible_requests_are_refused() -> None:
    cloud = torch.rand(1, 10, 3)
    with pytest.raises(ValueError, match="count 11"):
        farthest_points(cloud, 11)
    with pytest.raises(ValueError, match="start 10"):
        farthest_points(cloud, 2, start=10)


def test_the_count_rule_rounds_in_single_precision() -> None:
    assert [farthest_count(16384, 768), farthest_count(4096, 256), farthest_count(10, 10)] == [768, 256, 10]
    assert farthest_count(1126, 768) == 769  # 1126 * float32(768 / 1126) lies above 768
