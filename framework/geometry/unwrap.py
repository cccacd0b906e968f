"""A surface cut open and laid flat, so that a picture can be put on it."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from framework.geometry.appearance import Appearance, Material
from framework.geometry.mesh import Mesh, MeshError
from framework.optional import require

SLOW_FACES = 50_000
"""From here on the library takes more than some ten seconds, and more than twice that for twice as many."""

_log = logging.getLogger(__name__)


def unwrap(mesh: Mesh, resolution: int = 1024, padding: int = 4) -> Mesh:
    """`mesh` with texture coordinates of its own for every face, in one picture of about `resolution` pixels a side.

    Vertices and faces stay as they are: seams exist in the coordinates only. `padding`: pixels between islands. What
    the mesh looked like before is dropped but for its vertex colours. Needs the extra 'mesh' (MissingExtra). MeshError
    when the mesh has no area.
    """
    if not mesh.area > 0.0:
        raise MeshError("unwrap: the mesh has no area, all its faces are degenerate")
    library = require("xatlas", extra="mesh", attribute="Atlas", needed_by="texture coordinates")
    if len(mesh.faces) > SLOW_FACES:
        message = "texture coordinates for %d faces take long: simplify the mesh to some %d first"
        _log.warning(message, len(mesh.faces), SLOW_FACES // 2)
    # Vertices that a file doubled would each begin an island.
    used, faces = np.unique(mesh.welded_faces(), return_inverse=True)
    atlas = library.Atlas()
    atlas.add_mesh(mesh.vertices[used], faces.reshape(-1, 3).astype(np.uint32))
    packing = library.PackOptions()
    packing.resolution, packing.padding, packing.bilinear = resolution, padding, True
    atlas.generate(pack_options=packing)
    _, corners, uv = atlas[0]
    material, one = Material(), np.zeros(len(mesh.faces), np.int64)
    uv = np.nan_to_num(uv)  # of faces without area
    return replace(mesh, appearance=Appearance([material], one, uv, corners.astype(np.int64)))
