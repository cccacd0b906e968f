"""Coarse-to-fine evaluation gives what the dense grid gives, for fewer questions."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from framework.geometry.grid import evaluate_grid
from framework.geometry.isosurface import FieldError, marching_cubes


def ring_and_ball(points: Tensor) -> Tensor:
    x, y, z = points.unbind(-1)
    ring = 0.22 - torch.hypot(torch.hypot(x, y) - 0.6, z)
    return 7.0 * torch.maximum(ring, 0.3 - (points - points.new_tensor([0.25, -0.1, 0.55])).norm(dim=-1))


def thin_plate(points: Tensor) -> Tensor:
    """Thinner than a coarse cell but met by its corners at one end; the rest is reached by following it."""
    x, y, z = (points - points.new_tensor([0.0, 0.003, 0.0])).unbind(-1)
    slope = 0.03 * x
    return 0.02 + 0.05 * torch.relu(-x - 0.4) - torch.maximum((y - slope).abs(), torch.hypot(x, z) - 0.8)


def wavy(points: Tensor) -> Tensor:
    waves = torch.sin(5 * points[:, 0]) * torch.cos(4 * points[:, 1]) + torch.sin(4 * points[:, 2])
    return waves - 0.3


@pytest.mark.parametrize("field", [ring_and_ball, wavy])
@pytest.mark.parametrize(("resolution", "coarse"), [(64, 32), (96, 24), (72, 16)])
def test_equal_to_dense_on_smooth_fields(field: Callable[[Tensor], Tensor], resolution: int, coarse: int) -> None:
    dense = evaluate_grid(field, resolution, 1.1, method="dense")
    fast = evaluate_grid(field, resolution, 1.1, coarse=coarse)
    np.testing.assert_array_equal(dense.values > 0, fast.values > 0)
    assert dense.evaluations == (resolution + 1) ** 3
    assert fast.evaluations < dense.evaluations
    exact, found = marching_cubes(dense.values, 1.1), marching_cubes(fast.values, 1.1)
    np.testing.assert_allclose(exact.vertices, found.vertices, atol=1e-6)
    np.testing.assert_array_equal(exact.faces, found.faces)


def test_a_fine_grid_costs_a_small_part() -> None:
    counted = 0

    def counting(points: Tensor) -> Tensor:
        nonlocal counted
        counted += len(points)
        return ring_and_ball(points)

    samples = evaluate_grid(counting, 128, 1.1)
    assert samples.evaluations == counted
    assert counted < 129**3 / 7


def test_a_thin_plate_is_followed_where_coarse_corners_miss_it() -> None:
    dense = evaluate_grid(thin_plate, 96, 1.1, method="dense")
    fast = evaluate_grid(thin_plate, 96, 1.1, coarse=24)
    np.testing.assert_array_equal(dense.values > 0, fast.values > 0)


def needles(points: Tensor) -> Tensor:
    """Distances to three balls of a seventh of a coarse cell and a thin rod, which no coarse corner lies in."""
    x, y, z = points.unbind(-1)
    rod = torch.maximum(torch.hypot(x - 0.02, y + 0.71) - 0.012, z.abs() - 0.8)
    centres = points.new_tensor([[0.33, 0.4, 0.1], [-0.5, 0.02, 0.33], [0.02, 0.4, -0.62]])
    return torch.minimum(torch.cdist(points, centres).amin(dim=1) - 0.015, rod)


def test_distances_lose_no_thin_part_where_their_slope_is_known() -> None:
    dense = evaluate_grid(needles, 128, 1.0, method="dense")
    by_crossings = evaluate_grid(needles, 128, 1.0, coarse=16)
    assert ((by_crossings.values > 0) != (dense.values > 0)).any()
    by_slope = evaluate_grid(needles, 128, 1.0, coarse=16, slope=1.0)
    np.testing.assert_array_equal(by_slope.values > 0, dense.values > 0)
    exact, found = (marching_cubes(grid.values, 1.0, inside="negative") for grid in (dense, by_slope))
    np.testing.assert_allclose(found.vertices, exact.vertices, atol=1e-6)
    assert by_crossings.evaluations < by_slope.evaluations < dense.evaluations / 15


def test_a_slope_counts_in_units_of_the_box() -> None:
    """A box ten times as large asks the same points for a field stretched with it."""
    once = evaluate_grid(needles, 64, 1.0, coarse=16, slope=2.0, level=0.1)
    stretched = evaluate_grid(lambda points: 10 * needles(points / 10), 64, 10.0, coarse=16, slope=2.0, level=1.0)
    assert once.evaluations == stretched.evaluations
    dense = evaluate_grid(needles, 64, 1.0, method="dense")
    np.testing.assert_array_equal(once.values > 0.1, dense.values > 0.1)


def test_other_levels_and_boxes() -> None:
    bounds = ((-1.0, -0.5, -1.2), (1.0, 1.5, 1.0))
    dense = evaluate_grid(ring_and_ball, 48, bounds, method="dense", level=0.4)
    fast = evaluate_grid(ring_and_ball, 48, bounds, level=0.4, coarse=12)
    np.testing.assert_array_equal(dense.values > 0.4, fast.values > 0.4)


def test_odd_and_small_resolutions_are_dense() -> None:
    for resolution in (33, 16, 1):
        assert evaluate_grid(ring_and_ball, resolution, 1.1).evaluations == (resolution + 1) ** 3


@pytest.mark.parametrize("chunk", [1, 777, 10000])
def test_chunks_do_not_change_the_result(chunk: int) -> None:
    whole = evaluate_grid(ring_and_ball, 16, 1.1, coarse=8)
    parts = evaluate_grid(ring_and_ball, 16, 1.1, coarse=8, chunk=chunk)
    np.testing.assert_allclose(whole.values, parts.values, atol=1e-5)


def test_no_gradients_are_kept_and_half_precision_is_taken() -> None:
    weight = torch.ones((), requires_grad=True)
    samples = evaluate_grid(lambda points: (weight * ring_and_ball(points)).half(), 8, 1.1)
    assert samples.values.dtype == np.float32


def test_bad_fields_are_named() -> None:
    with pytest.raises(FieldError, match=r"NaN or infinite, the first at \("):
        evaluate_grid(lambda points: torch.where(points[:, 0] > 0.9, torch.nan, points[:, 1]), 8, 1.0)
    with pytest.raises(FieldError, match=r"shape \(729, 1\)"):
        evaluate_grid(lambda points: points[:, :1], 8, 1.0)
    with pytest.raises(ValueError, match="slope is 0.0, expected more than 0"):
        evaluate_grid(ring_and_ball, 8, 1.0, slope=0.0)
    with pytest.raises(ValueError, match="chunk"):
        evaluate_grid(ring_and_ball, 8, 1.0, chunk=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_queries_run_on_the_given_device() -> None:
    def on_gpu(points: Tensor) -> Tensor:
        assert points.is_cuda
        return ring_and_ball(points)

    fast = evaluate_grid(on_gpu, 64, 1.1, device="cuda")
    dense = evaluate_grid(ring_and_ball, 64, 1.1, method="dense")
    assert ((fast.values > 0) != (dense.values > 0)).sum() <= 2  # rounding at the surface
