"""Fewer faces for the same shape."""

from __future__ import annotations

import numpy as np

from framework.geometry.mesh import Mesh, smooth_normals
from framework.optional import require


def simplify(mesh: Mesh, faces: int) -> Mesh:
    """Reduce `mesh` to at most `faces` faces by quadric edge collapses (Garland and Heckbert 1997).

    A closed mesh stays closed. Colours come from the nearest old vertex; normals, if any, are computed anew. A mesh
    that is small enough comes back unchanged; one whose collapses run out early may keep more faces. Needs the extra
    'mesh' (MissingExtra).
    """
    if faces < 4:
        raise ValueError(f"simplify: a closed shape needs at least 4 faces, got {faces}")
    if len(mesh.faces) <= faces:
        return mesh
    library = require("fast_simplification", extra="mesh", attribute="simplify", needed_by="simplification")
    vertices, triangles = library.simplify(mesh.vertices, mesh.faces.astype(np.int32), target_count=faces)[:2]
    simple = Mesh(vertices, triangles, vertex_colors=_nearest_colors(mesh, vertices))
    simple = simple.subset(np.ones(len(simple.faces), dtype=bool))
    if mesh.vertex_normals is None:
        return simple
    return Mesh(simple.vertices, simple.faces, simple.vertex_colors, smooth_normals(simple))


def _nearest_colors(mesh: Mesh, vertices: np.ndarray) -> np.ndarray | None:
    from scipy.spatial import cKDTree

    return None if mesh.vertex_colors is None else mesh.vertex_colors[cKDTree(mesh.vertices).query(vertices)[1]]
