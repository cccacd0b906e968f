"""How close one shape is to another: volume overlap, Chamfer distances and F-score, with fixed sampling.

Shapes lie in [-1, 1]^3. Legend: P points of one shape, Q of the other.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from framework.geometry.mesh import Mesh
from framework.geometry.occupancy import inside
from framework.geometry.sampling import sample_surface

POINTS = 100_000
"""Points of every estimate: in the volume and on each surface."""

VOLUME_HALF_EXTENT = 1.05
"""Volume points are uniform in [-1.05, 1.05]^3."""

F_THRESHOLDS = (0.01, 0.02)
"""Distances below which a surface point counts as matched."""


def volume_points(count: int = POINTS, seed: int = 0) -> Float[np.ndarray, "P 3"]:
    """Uniform float32 points in [-1.05, 1.05]^3 at which occupancies are compared."""
    random = np.random.default_rng(seed)
    return random.uniform(-VOLUME_HALF_EXTENT, VOLUME_HALF_EXTENT, (count, 3)).astype(np.float32)


def volume_iou(predicted: Bool[np.ndarray, " P"], reference: Bool[np.ndarray, " P"]) -> float:
    """Intersection over union, in [0, 1], of two occupancies at the same points; 1 when both are empty."""
    first, second = np.asarray(predicted, dtype=bool), np.asarray(reference, dtype=bool)
    if first.shape != second.shape:
        raise ValueError(f"volume_iou: occupancies at different points, shapes {first.shape} and {second.shape}")
    union = int((first | second).sum())
    return float((first & second).sum() / union) if union else 1.0


def surface_distances(
    predicted: Float[np.ndarray, "P 3"], reference: Float[np.ndarray, "Q 3"]
) -> tuple[Float[np.ndarray, " P"], Float[np.ndarray, " Q"]]:
    """Distance of each predicted point to the nearest reference point, and of each reference point to the predicted."""
    from scipy.spatial import cKDTree

    for name, points in (("predicted", predicted), ("reference", reference)):
        if np.ndim(points) != 2 or np.shape(points)[1] != 3 or len(points) == 0:
            raise ValueError(f"{name} points: expected shape (P, 3) with P > 0, got {np.shape(points)}")
    return cKDTree(reference).query(predicted)[0], cKDTree(predicted).query(reference)[0]


def chamfer_l1(predicted: Float[np.ndarray, "P 3"], reference: Float[np.ndarray, "Q 3"]) -> float:
    """Mean of the two one-way mean distances between point sets, in units of the points."""
    there, back = surface_distances(predicted, reference)
    return float(0.5 * (there.mean() + back.mean()))


def chamfer_l2(predicted: Float[np.ndarray, "P 3"], reference: Float[np.ndarray, "Q 3"]) -> float:
    """Mean of the two one-way mean squared distances between point sets."""
    there, back = surface_distances(predicted, reference)
    return float(0.5 * ((there**2).mean() + (back**2).mean()))


def f_score(predicted: Float[np.ndarray, "P 3"], reference: Float[np.ndarray, "Q 3"], threshold: float) -> float:
    """Harmonic mean, in [0, 1], of the shares of points on either side within `threshold` of the other side."""
    there, back = surface_distances(predicted, reference)
    return _f_score(there, back, threshold)


def compare_meshes(predicted: Mesh, reference: Mesh, seed: int = 0, count: int = POINTS) -> dict[str, float]:
    """All metrics of one pair: `iou`, `chamfer_l1`, `chamfer_l2`, `f_score_0.01`, `f_score_0.02`.

    The surfaces are sampled with different seeds, so that equal meshes show the sampling noise rather than zero.
    """
    points = volume_points(count, seed)
    surface = sample_surface(predicted, count, 2 * seed)[0], sample_surface(reference, count, 2 * seed + 1)[0]
    there, back = surface_distances(*surface)
    return {
        "iou": volume_iou(inside(predicted, points), inside(reference, points)),
        "chamfer_l1": float(0.5 * (there.mean() + back.mean())),
        "chamfer_l2": float(0.5 * ((there**2).mean() + (back**2).mean())),
        **{f"f_score_{threshold}": _f_score(there, back, threshold) for threshold in F_THRESHOLDS},
    }


def _f_score(there: Float[np.ndarray, " P"], back: Float[np.ndarray, " Q"], threshold: float) -> float:
    precision, recall = float((there <= threshold).mean()), float((back <= threshold).mean())
    return 2.0 * precision * recall / (precision + recall) if precision + recall else 0.0
