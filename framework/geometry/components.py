"""Connected parts of a mesh."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from framework.geometry.mesh import Mesh, MeshError


def component_labels(mesh: Mesh) -> Int[np.ndarray, " F"]:
    """The part number of each face, in order of first faces; parts are connected where they share a vertex position."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    faces = mesh.welded_faces()
    starts, ends = faces[:, [0, 1]].reshape(-1), faces[:, [1, 2]].reshape(-1)
    size = len(mesh.vertices)
    links = coo_array((np.ones(len(starts), dtype=np.int8), (starts, ends)), shape=(size, size))
    vertex_labels = connected_components(links, directed=False)[1]
    _, first, label = np.unique(vertex_labels[faces[:, 0]], return_index=True, return_inverse=True)
    return first.argsort().argsort()[label]


def largest_component(mesh: Mesh) -> Mesh:
    """The part with the most faces (the first of equals), colours and normals kept."""
    labels = component_labels(mesh)
    return mesh.subset(labels == np.bincount(labels).argmax())


def large_components(mesh: Mesh, vertices: int) -> Mesh:
    """The parts with at least so many vertex positions, colours and normals kept; MeshError when there is none."""
    labels = component_labels(mesh)
    # Each position belongs to one part: that of any of its corners.
    _, corner = np.unique(mesh.welded_faces(), return_index=True)
    sizes = np.bincount(labels[corner // 3], minlength=labels.max() + 1)
    kept = sizes[labels] >= vertices
    if not kept.any():
        found = f"the largest of {len(sizes)} parts has {sizes.max()} vertices"
        raise MeshError(f"{found}, fewer than the {vertices} that a part must have")
    return mesh.subset(kept)
