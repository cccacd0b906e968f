"""Which points lie inside a mesh and how far they are from its surface; exact tools when installed, plain ones if not.

Two definitions of inside: a ray crosses the surface an odd number of times (closed meshes, whatever the orientation of
their faces), or the surface winds around the point (open meshes too, given consistently oriented faces).
Legend: P points, F faces.
"""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from framework.geometry.mesh import Mesh
from framework.optional import has, require

PAIRS_PER_CHUNK = 1_000_000  # point-face pairs held at once by the plain winding number: about 150 MB

_log = logging.getLogger(__name__)


def inside(
    mesh: Mesh, points: Float[np.ndarray, "P 3"], method: Literal["auto", "parity", "winding"] = "auto"
) -> Bool[np.ndarray, " P"]:
    """Whether each point lies inside `mesh`; points on the surface may fall either way.

    "parity" counts ray crossings and needs a closed mesh; "winding" takes |winding number| > 1/2, which also closes
    holes sensibly; "auto" takes parity for closed meshes (seams with doubled vertices count as closed) and winding
    otherwise. Without the extra 'mesh' both are slow (log warning).
    """
    queries = _checked_points(points)
    if method == "auto":
        # Without Embree a ray costs milliseconds, so the fast winding number is the better of two right answers.
        fast_parity = has("embreex") or not has("igl")
        method = "parity" if fast_parity and is_closed(mesh) else "winding"
    if method == "parity":
        return _parity(mesh, queries)
    return np.abs(winding_number(mesh, queries)) > 0.5


def is_closed(mesh: Mesh) -> bool:
    """Whether every edge has two faces once vertices at the same position count as one."""
    return mesh.is_watertight or mesh.welded().is_watertight


def winding_number(mesh: Mesh, points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
    """How often the surface winds around each point: 1 inside and 0 outside a closed mesh with outward faces.

    Fast approximation (Barill et al. 2018) with the package igl, exact and slow (P x F) without.
    """
    queries = _checked_points(points)
    if has("igl"):
        igl = require("igl", extra="mesh", attribute="fast_winding_number")
        return np.asarray(igl.fast_winding_number(mesh.vertices.astype(np.float64), mesh.faces, queries))
    _warn_slow("winding numbers", "igl", "libigl")
    return plain_winding_number(mesh, queries)


def plain_winding_number(mesh: Mesh, points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
    """Exact generalised winding number (Jacobson et al. 2013): the faces' solid angles summed, divided by 4 pi."""
    triangles = mesh.triangles.astype(np.float64)
    rows = max(1, PAIRS_PER_CHUNK // len(triangles))
    chunks = [_solid_angles(triangles, points[i : i + rows]).sum(axis=1) for i in range(0, len(points), rows)]
    return np.concatenate([np.zeros(0), *chunks]) / (4.0 * np.pi)


def signed_distance(mesh: Mesh, points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
    """Distance of each point to the surface, float32, negative inside (as `inside(method="auto")` decides)."""
    distance = unsigned_distance(mesh, points)
    return np.where(inside(mesh, points), -distance, distance).astype(np.float32)


def closest_points(
    mesh: Mesh, points: Float[np.ndarray, "P 3"]
) -> tuple[Float[np.ndarray, "P 3"], Int[np.ndarray, " P"]]:
    """The nearest place of the surface to each point, and the face that it lies on."""
    queries = _checked_points(points)
    if has("igl"):
        igl = require("igl", extra="mesh", attribute="point_mesh_squared_distance")
        found = igl.point_mesh_squared_distance(queries, mesh.vertices.astype(np.float64), mesh.faces)
        return np.asarray(found[2]), np.asarray(found[1], dtype=np.int64).reshape(-1)
    import trimesh

    _warn_slow("nearest points", "igl", "libigl")
    surface = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    places, _, faces = trimesh.proximity.closest_point(surface, queries)
    return np.asarray(places), np.asarray(faces, dtype=np.int64)


def unsigned_distance(mesh: Mesh, points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
    """Distance of each point to the surface."""
    queries = _checked_points(points)
    if has("igl"):
        igl = require("igl", extra="mesh", attribute="point_mesh_squared_distance")
        vertices = mesh.vertices.astype(np.float64)
        return np.sqrt(np.asarray(igl.point_mesh_squared_distance(queries, vertices, mesh.faces)[0]))
    _warn_slow("distances", "igl", "libigl")
    return _trimesh_distance(mesh, queries)


def _parity(mesh: Mesh, points: Float[np.ndarray, "P 3"]) -> Bool[np.ndarray, " P"]:
    import trimesh  # 0.5 s of import

    if not has("embreex"):
        _warn_slow("ray crossings", "embreex", "embreex")
    return np.asarray(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).contains(points), dtype=bool)


def _trimesh_distance(mesh: Mesh, points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
    import trimesh

    surface = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    return np.asarray(trimesh.proximity.closest_point(surface, points)[1])


def _solid_angles(triangles: Float[np.ndarray, "F 3 3"], points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, "P F"]:
    """Signed solid angle of each face seen from each point (van Oosterom and Strackee 1983, equation 8)."""
    a, b, c = (triangles[None, :, i] - points[:, None] for i in range(3))
    la, lb, lc = (np.linalg.norm(corner, axis=-1) for corner in (a, b, c))
    numerator = np.einsum("pfx,pfx->pf", a, np.cross(b, c))
    ab, bc, ca = (np.einsum("pfx,pfx->pf", u, v) for u, v in ((a, b), (b, c), (c, a)))
    return 2.0 * np.arctan2(numerator, la * lb * lc + ab * lc + bc * la + ca * lb)


def _checked_points(points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, "P 3"]:
    queries = np.ascontiguousarray(points, dtype=np.float64)
    if queries.ndim != 2 or queries.shape[1] != 3 or not np.isfinite(queries).all():
        raise ValueError(f"points: expected finite values of shape (P, 3), got shape {queries.shape}")
    return queries


def _warn_slow(what: str, package: str, distribution: str) -> None:
    message = "%s without the package '%s' (%s) take minutes for large meshes: pip install 'atelier3d[mesh]'"
    _log.warning(message, what, package, distribution)
