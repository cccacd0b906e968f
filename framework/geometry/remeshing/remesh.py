"""One pass of remeshing: collapse, split, flip.

Dimension letters: V vertices, F faces, C columns.
"""

from __future__ import annotations

from torch import Tensor

from framework.geometry.remeshing.collapse import collapse_edges, collapse_priorities, nominated_edges
from framework.geometry.remeshing.connectivity import check_triangles, edges_of, has_three_corners, packed, proper_faces
from framework.geometry.remeshing.flip import flip_edges
from framework.geometry.remeshing.split import longer_than_allowed, split_edges


def remesh(
    columns: Tensor,
    faces: Tensor,
    shortest: Tensor,
    longest: Tensor,
    picks: Tensor,
    most_vertices: int = 1_000_000,
    stable: bool = True,
) -> tuple[Tensor, Tensor]:
    """New columns (V', C) and faces (F', 3) with edges between the `shortest` and `longest` (V,) lengths at their ends.

    columns: (V, C) positions first, then anything else that vertices carry: merged and new vertices get means. picks:
    (F,) from `random_picks`. most_vertices: a larger mesh is not split further. A closed manifold stays one; small
    parts may vanish, and with them the whole mesh. Faces with equal corners and unused vertices are dropped.
    stable: see `flip_edges`.
    MeshError for indices out of range and positions that are not finite.
    """
    check_triangles(columns[:, :3], faces)
    whole = has_three_corners(faces)
    faces, picks = faces[whole], picks[whole]
    edges = edges_of(faces, len(columns))
    nominated = nominated_edges(columns[:, :3], faces, edges, shortest, picks)
    priorities = collapse_priorities(columns[:, :3], edges, shortest, nominated)
    columns, faces = collapse_edges(columns, faces, edges, priorities, stable)
    faces = proper_faces(faces)
    if len(columns) < most_vertices:
        edges = edges_of(faces, len(columns))
        columns, faces = split_edges(columns, faces, edges, longer_than_allowed(columns[:, :3], edges, longest))
    columns, faces = packed(columns, faces)
    return columns, flip_edges(columns[:, :3], faces, stable)
