"""Surfaces from sampled fields: marching cubes on a regular grid."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from framework.geometry.mesh import Mesh

GridMapping = Literal["exact", "official"]


class FieldError(ValueError):
    """A sampled field that can't be used, such as one with NaN."""


class EmptySurface(ValueError):
    """The field does not cross the level anywhere: there is no surface."""


def box_corners(bounds: ArrayLike) -> Float[np.ndarray, "2 3"]:
    """Lowest and highest corner (float64) of a box given as b (for [-b, b]^3), as (low, high) or as corners (2, 3)."""
    values = np.asarray(bounds, dtype=np.float64)
    if values.ndim == 0:
        values = np.stack([-values, values])
    if values.shape == (2,):
        values = np.repeat(values[:, None], 3, axis=1)
    if values.shape != (2, 3) or not (values[0] < values[1]).all():
        raise ValueError(f"bounds: expected a positive half extent, (low, high) or two corners (2, 3), got {bounds!r}")
    return values


def marching_cubes(
    values: Float[np.ndarray, "X Y Z"],
    bounds: ArrayLike,
    level: float = 0.0,
    inside: Literal["positive", "negative"] = "positive",
    grid_mapping: GridMapping = "exact",
) -> Mesh:
    """The surface where `values` crosses `level`, faces outwards, by marching cubes (Lewiner et al. 2003).

    `values` holds samples at the points of a regular grid over `bounds` (see `box_corners`), ends included, x slowest;
    `inside` says on which side of the level the solid lies. `grid_mapping="official"` places index i of N at
    i / N of the box instead of i / (N - 1), as some released programs do (the result is slightly shrunk
    towards the lowest corner); use it for comparisons only. The surface is open where it leaves the box.

    Raises EmptySurface when there is no crossing and FieldError for a wrong shape or values that are not finite.
    """
    from skimage.measure import marching_cubes as lewiner  # 0.2 s of import that config-only users should not pay

    field = np.asarray(values, dtype=np.float32)
    _check_field(field, level)
    # scikit-image's "descent" (of the field, towards the solid) is for solids below the level.
    direction = "ascent" if inside == "positive" else "descent"
    indices, faces, _, _ = lewiner(field, level=level, gradient_direction=direction)
    low, high = box_corners(bounds)
    intervals = np.asarray(field.shape) - (1 if grid_mapping == "exact" else 0)
    return Mesh(indices.astype(np.float64) / intervals * (high - low) + low, faces)


def _check_field(field: Float[np.ndarray, "X Y Z"], level: float) -> None:
    if field.ndim != 3 or min(field.shape) < 2:
        raise FieldError(f"field: expected a grid (X, Y, Z) of at least 2 points per axis, got shape {field.shape}")
    bad = int((~np.isfinite(field)).sum())
    if bad:
        raise FieldError(f"field: {bad} of {field.size} samples are NaN or infinite")
    low, high = float(field.min()), float(field.max())
    if not low < level < high:
        raise EmptySurface(f"no surface: the field lies in [{low:.4g}, {high:.4g}] and never crosses {level:g}")
