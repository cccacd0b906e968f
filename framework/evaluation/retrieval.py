"""Nearest-neighbour retrieval by front silhouette and depth: the baseline that a single-view generator must beat.

A generator that only recalls its training set can at best do what this does with the *true* front depth map, which the
generator never sees. Q queries, D database shapes, S pixels per side.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray


def front_depth(points: Float[ndarray, "P 3"], size: int = 64, half_extent: float = 1.0) -> Float[ndarray, "S S"]:
    """Largest z per pixel of an orthographic front view of surface points in [-half_extent, half_extent]^3.

    Pixels that no point falls into hold `-half_extent`: the back of the box. Row 0 is the top.
    """
    columns = np.floor((points[:, 0] / half_extent + 1.0) * 0.5 * size).astype(np.int64)
    rows = np.floor((1.0 - points[:, 1] / half_extent) * 0.5 * size).astype(np.int64)
    inside = (columns >= 0) & (columns < size) & (rows >= 0) & (rows < size)
    depth = np.full(size * size, -half_extent, dtype=np.float32)
    np.maximum.at(depth, (rows * size + columns)[inside], points[inside, 2].astype(np.float32))
    return depth.reshape(size, size)


def nearest_by_depth(
    queries: Float[ndarray, "Q S S"], database: Float[ndarray, "D S S"], silhouette_weight: float = 1.0
) -> Int[ndarray, " Q"]:
    """Index of the database entry closest to each query.

    The distance of two depth maps sums |difference| over pixels where both see a surface, and `silhouette_weight` over
    pixels where only one does.
    """
    best = np.empty(len(queries), dtype=np.int64)
    background = float(min(queries.min(), database.min()))
    seen = database > background
    for row, query in enumerate(queries):
        mask = query > background
        both, either = seen & mask, seen ^ mask
        distance = (np.abs(database - query) * both).sum(axis=(1, 2)) + silhouette_weight * either.sum(axis=(1, 2))
        best[row] = int(np.argmin(distance))
    return best
