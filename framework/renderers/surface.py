"""A mesh made ready to be drawn many times: tensors of positions, normals and colours, computed once.

Normals and colours may have another indexing than positions: a corner of a box is one position with three normals. So
`faces` index positions, and `corner_faces` index what belongs to the corners.

Dimension letters: V vertices, F faces, N distinct corners, P pairs of corners at the same vertex; T, S rows and columns
of a texture.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from framework.geometry.mesh import Mesh
from framework.geometry.mesh import smooth_normals as mesh_normals
from framework.geometry.normals import area_normals, smooth_normals
from framework.renderers.materials import Textures, textures_of


@dataclass(frozen=True, eq=False)
class Surface:
    """What a picture needs of a mesh; every tensor on one device."""

    positions: Tensor
    """(V, 3) float32 world positions."""

    faces: Tensor
    """(F, 3) int64 rows of `positions`."""

    corner_faces: Tensor
    """(F, 3) int64 rows of `normals`, `colors`, `exposure` and `uv`."""

    normals: Tensor
    """(N, 3) float32 unit outward normals."""

    colors: Tensor | None = None
    """(N, 3) float32 sRGB colours in [0, 1]; none: clay."""

    exposure: Tensor | None = None
    """(N,) float32 share of the surroundings that each corner sees, in [0, 1]; none: not computed."""

    textures: Textures | None = None
    """Materials, by face; none: the colours alone."""

    labels: Tensor | None = None
    """(V,) int64 label of each vertex, at least 0, such as the part that it belongs to; none: all 0."""

    @property
    def corner_vertices(self) -> Tensor:
        """(N,) int64 row of `positions` that each corner belongs to."""
        vertices = self.faces.new_zeros(len(self.normals))
        return vertices.index_copy_(0, self.corner_faces.reshape(-1), self.faces.reshape(-1))


def surface_of(mesh: Mesh, crease_degrees: float | None = None, device: torch.device | str = "cpu") -> Surface:
    """Return `mesh` ready to be drawn on `device`.

    Normals are the mesh's own if it has them. Otherwise they are averaged over the faces around a vertex, weighted by
    area; with `crease_degrees` only over faces that meet at less than this angle, so that edges of furniture stay
    sharp. Meshes without colours are clay; a colour's alpha is not used.
    """
    positions, faces = torch.from_numpy(mesh.vertices).to(device), torch.from_numpy(mesh.faces).to(device)
    corner_faces = faces
    # Files double the vertices at the seams of their textures; the surface goes on there.
    joined = faces if mesh.appearance is None else torch.from_numpy(mesh.welded_faces()).to(device)
    if mesh.vertex_normals is not None:
        normals = torch.from_numpy(mesh.vertex_normals).to(device)
    elif crease_degrees is not None:
        normals, corner_faces = _creased_normals(area_normals(positions, faces), joined, crease_degrees)
    elif mesh.appearance is None:
        normals = smooth_normals(positions, faces)
    else:
        normals = torch.from_numpy(mesh_normals(mesh)).to(device)
    textures = None if mesh.appearance is None else textures_of(mesh.appearance, device)
    surface = Surface(positions, faces, corner_faces, normals, textures=textures)
    if mesh.vertex_colors is None:
        return surface
    colors = torch.from_numpy(np.ascontiguousarray(mesh.vertex_colors[:, :3])).to(device)
    return replace(surface, colors=colors if corner_faces is faces else colors[surface.corner_vertices])


def _creased_normals(of_face: Tensor, faces: Tensor, crease_degrees: float) -> tuple[Tensor, Tensor]:
    """(3F, 3) normals, one for each corner, averaged over the faces around it that bend by less than the crease."""
    direction = normalize(of_face, dim=1)
    corner, other = _pairs_at_vertices(faces.reshape(-1))
    smooth = (direction[corner // 3] * direction[other // 3]).sum(1) > np.cos(np.deg2rad(crease_degrees))
    corner, other = corner[smooth], other[smooth]
    total = of_face.repeat_interleave(3, 0).index_add(0, corner, of_face[other // 3])
    return normalize(total, dim=1), torch.arange(len(total), device=faces.device).view(-1, 3)


def _pairs_at_vertices(vertex_of_corner: Tensor) -> tuple[Tensor, Tensor]:
    """All ordered pairs (P,), (P,) of different corners (rows of (3F,)) that share a vertex."""
    order = vertex_of_corner.argsort(stable=True)
    degree = torch.bincount(vertex_of_corner)
    start = degree.cumsum(0) - degree
    own_degree = degree[vertex_of_corner[order]]
    first = torch.repeat_interleave(own_degree)
    step = torch.arange(len(first), device=order.device) - (own_degree.cumsum(0) - own_degree)[first]
    second = start[vertex_of_corner[order]][first] + step
    different = first != second
    return order[first[different]], order[second[different]]
