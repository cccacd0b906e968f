"""Solids as signed functions: the value type that primitives make, operators combine and families build with.

A solid's field is negative inside, has the exact zero set, and is 1-Lipschitz, so its absolute value never exceeds
the distance to the surface (a lower bound: |f(p)| = |f(p) - f(q)| <= |p - q| for the nearest surface point q).
`exact` says more: outside the solid the value is the Euclidean distance itself. Every solid carries an axis-aligned
box that contains it; where the box alone is farther than what is already known, the field is not evaluated.

Legend: P points. Fields take coordinates as (3, P) float32, contiguous per axis; the public call takes (P, 3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
Vector = tuple[float, float, float]
Field = Callable[[Array], Array]

# A box test costs about as much as two primitives: below this many primitives it does not pay (measured).
CULLING_COST = 3


@dataclass(frozen=True, kw_only=True)
class Solid:
    """A closed region of space given by a signed, 1-Lipschitz function (negative inside)."""

    field: Field
    """(3, P) float32 -> (P,) float32."""
    lower: Vector
    """Lower corner of a box that contains the solid."""
    upper: Vector
    """Upper corner of that box."""
    exact: bool = True
    """Whether the value outside is the Euclidean distance; otherwise it is a lower bound of it."""
    cost: int = 1
    """Number of primitives that one evaluation computes."""

    def __call__(self, points: Array) -> Array:
        """Signed values (P,) float32 at `points` (P, 3)."""
        return self.field(columns(points))


def columns(points: Array) -> Array:
    """Coordinates (3, P) float32, contiguous per axis, of `points` (P, 3).

    Raises ValueError when `points` is not a table of three columns.
    """
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"points: expected shape (P, 3), got {points.shape}")
    return np.ascontiguousarray(points.T, dtype=np.float32)


def vector(values: Array | tuple[float, ...] | list[float]) -> Vector:
    """Three Python floats. NumPy scalars would turn float32 arrays into float64 ones."""
    x, y, z = (float(value) for value in values)
    return x, y, z


def box_distance(xyz: Array, lower: Vector, upper: Vector) -> Array:
    """Exact signed distance (P,) to an axis-aligned box, at coordinates (3, P)."""
    beyond = [np.abs(xyz[i] - (0.5 * (lower[i] + upper[i]))) - (0.5 * (upper[i] - lower[i])) for i in range(3)]
    inside = np.minimum(np.maximum(np.maximum(beyond[0], beyond[1]), beyond[2]), 0.0)
    out = [np.maximum(b, 0.0) for b in beyond]
    return np.sqrt(out[0] * out[0] + out[1] * out[1] + out[2] * out[2]) + inside


def nearer(xyz: Array, solid: Solid, known: Array) -> tuple[Array | slice, Array]:
    """Where `solid` may be nearer than the `known` values (P,), and its values there.

    Returns an index into P and the values at it. The values are bounded by the box from below, which keeps them
    1-Lipschitz and makes skipping exact: min(known, max(field, box)) equals `known` wherever box >= known.
    """
    if solid.cost < CULLING_COST:
        return slice(None), solid.field(xyz)
    box = box_distance(xyz, solid.lower, solid.upper)
    where = np.flatnonzero(box < known)
    if where.size > 0.8 * box.size:
        return slice(None), np.maximum(solid.field(xyz), box)
    if where.size == 0:
        return where, box[where]
    return where, np.maximum(solid.field(np.ascontiguousarray(xyz[:, where])), box[where])


def box_union(solids: tuple[Solid, ...] | list[Solid]) -> tuple[Vector, Vector]:
    """Lower and upper corner of the box around several solids."""
    lower = np.min([solid.lower for solid in solids], axis=0)
    upper = np.max([solid.upper for solid in solids], axis=0)
    return vector(lower), vector(upper)


def grown(solid: Solid, amount: float) -> tuple[Vector, Vector]:
    """Corners of the solid's box, moved outwards by `amount`."""
    return vector([v - amount for v in solid.lower]), vector([v + amount for v in solid.upper])
