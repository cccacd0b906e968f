"""What every part of a mesh is checked for on construction, with errors that say what is wrong and what to do."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike


class MeshError(ValueError):
    """A mesh that can't be used: says what is wrong, where, and what to do."""


def checked_rows(value: ArrayLike, name: str, widths: tuple[int, ...]) -> Float[np.ndarray, "N W"]:
    """`value` as a finite float32 (N, W) array with W in `widths`; MeshError naming `name` otherwise."""
    rows = np.ascontiguousarray(value, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] not in widths:
        raise MeshError(f"{name}: expected shape (N, {' or '.join(map(str, widths))}), got {rows.shape}")
    bad = int((~np.isfinite(rows)).any(axis=1).sum())
    if bad:
        raise MeshError(
            f"{name}: {bad} of {len(rows)} rows hold NaN or infinity. Repair the mesh or remove these vertices"
        )
    return rows


def checked_faces(value: ArrayLike, vertex_count: int, name: str = "faces") -> Int[np.ndarray, "F 3"]:
    """`value` as int64 (F, 3) rows of `vertex_count` vertices, at least one; MeshError naming `name` otherwise."""
    faces = np.asarray(value)
    if faces.size == 0:
        raise MeshError(f"{name}: the mesh has no faces. A surface of triangles is needed, not a point cloud")
    if faces.ndim != 2 or faces.shape[1] != 3 or not np.issubdtype(faces.dtype, np.integer):
        raise MeshError(f"{name}: expected integers of shape (F, 3), got {faces.dtype} of shape {faces.shape}")
    faces = np.ascontiguousarray(faces, dtype=np.int64)
    if faces.min() < 0 or faces.max() >= vertex_count:
        raise MeshError(f"{name}: indices {faces.min()} to {faces.max()} don't fit the {vertex_count} vertices")
    return faces
