"""From surface cubes to triangles, differentiable in positions, values and weights.

Dimension letters: B objects, P points of all lattices, S surface cubes, E pairs of a dual vertex and one of its crossed
edges, D dual vertices, Q quads, V vertices, F faces.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from framework.geometry.flexicubes.cubes import SurfaceCubes
from framework.geometry.flexicubes.tables import EDGE_AXES, EDGES, tables
from framework.geometry.flexicubes.weights import CubeWeights

# An edge in direction -y ends at a lower point number than one in direction +z, and that one lower than in +x.
_AXIS_RANK = (2, 0, 1)


@dataclass(frozen=True, eq=False)
class ExtractedSurface:
    """Triangles of all objects, faces outwards (towards positive values). Without a crossing all parts are empty."""

    vertices: Tensor
    """(V, 3), object after object. Differentiable."""

    faces: Tensor
    """(F, 3) int64 rows of `vertices`, object after object."""

    vertex_count: Tensor
    """(B,) int64 vertices of each object."""

    face_count: Tensor
    """(B,) int64 faces of each object."""

    deviation: Tensor
    """(E,) how far each crossed edge lies from being as far from its dual vertex as the others: the mean is the
    regulariser of the paper (its equation 8). Differentiable."""

    def split(self) -> list[tuple[Tensor, Tensor]]:
        """Vertices (V_b, 3) and faces (F_b, 3), counted from 0, of each object."""
        vertices = self.vertices.split(self.vertex_count.tolist())
        start = self.vertex_count.cumsum(0) - self.vertex_count
        faces = self.faces.split(self.face_count.tolist())
        return [(own, part - first) for own, part, first in zip(vertices, faces, start, strict=True)]


@dataclass(frozen=True, eq=False)
class _Crossings:
    """Crossed edges of cubes (E,), in order of cubes and edges."""

    cube: Tensor
    """Row among the surface cubes."""

    edge: Tensor
    """Number within the cube."""

    vertex: Tensor
    """Dual vertex that the edge belongs to."""

    ends: tuple[Tensor, Tensor]
    """Point numbers of both ends."""

    vertex_owner: Tensor
    """(D,) object of each dual vertex."""


def extract_surface(
    cubes: SurfaceCubes,
    positions: Tensor,
    values: Tensor,
    weights: CubeWeights | None = None,
    centred: bool = False,
) -> ExtractedSurface:
    """The zero level of `values` by FlexiCubes.

    cubes: of these values, from `surface_cubes`. positions: (B, X, Y, Z, 3) of the lattice points, which may be moved
    by less than half a cube, or (X, Y, Z, 3) shared by all objects. values: (B, X, Y, Z). weights: of the surface
    cubes; none: one everywhere. centred: quads are split in four around a centre that depends on gamma smoothly, for
    training; otherwise in two along the diagonal of larger gamma. ValueError for shapes that don't fit.
    """
    points = _checked_points(cubes, positions, values)
    if weights is not None and len(weights.gamma) != len(cubes.cube):
        raise ValueError(
            f"weights are of {len(weights.gamma)} cubes, expected those of the {len(cubes.cube)} surface cubes"
        )
    crossings = _crossings(cubes)
    dual, deviation = _dual_vertices(cubes, crossings, points, values.reshape(-1), weights)
    quads = _quads(cubes, crossings)
    corner = crossings.vertex[quads]
    gamma = values.new_ones(len(cubes.cube)) if weights is None else weights.gamma
    pull = gamma[crossings.cube[quads]]
    diagonals = pull[:, 0] * pull[:, 2], pull[:, 1] * pull[:, 3]
    if centred:
        centres = _centres(dual[corner], *diagonals)
        vertices, faces = _four_each(dual, centres, corner)
        owner = torch.cat([crossings.vertex_owner, crossings.vertex_owner[corner[:, 0]]])
    else:
        vertices, faces, owner = dual, _two_each(corner, *diagonals), crossings.vertex_owner
    return _by_object(vertices, faces, owner, deviation, cubes.lattice[0])


def sign_disagreement(values: Tensor) -> Tensor:
    """Mean penalty of sign changes between neighbours of `values` (B, X, Y, Z): crossings far from zero cost most.

    Both ends of an edge that changes sign are asked to have the other's sign (binary cross-entropy), which removes
    floating pieces. Zero where nothing crosses. (Munkberg et al., "Extracting triangular 3D models", 2022, equation 2.)
    """
    losses, count = values.new_zeros(()), 0
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    for axis in range(1, 4):
        low, high = values.narrow(axis, 0, values.shape[axis] - 1), values.narrow(axis, 1, values.shape[axis] - 1)
        crossed = (low < 0) != (high < 0)
        low, high = low[crossed], high[crossed]
        losses = losses + entropy(low, (high > 0).to(low), reduction="sum")
        losses = losses + entropy(high, (low > 0).to(low), reduction="sum")
        count += len(low)
    return losses / max(count, 1)


def _checked_points(cubes: SurfaceCubes, positions: Tensor, values: Tensor) -> Tensor:
    """Positions (P, 3) of the points of all lattices."""
    if tuple(values.shape) != cubes.lattice:
        raise ValueError(f"values have shape {tuple(values.shape)}, the surface cubes are of {cubes.lattice}")
    if tuple(positions.shape[-4:]) != (*cubes.lattice[1:], 3) or positions.ndim not in (4, 5):
        raise ValueError(f"positions have shape {tuple(positions.shape)}, expected {(*cubes.lattice, 3)}")
    return positions.expand(*cubes.lattice, 3).reshape(-1, 3)


def _crossings(cubes: SurfaceCubes) -> _Crossings:
    """The crossed edges, with dual vertices numbered by object, then by their number in the cube, then by cube."""
    table = tables(cubes.case.device)
    group, count = table.group_of_edge[cubes.case], table.group_count[cubes.case]
    owner = cubes.owner
    order = (owner * 5 + count).argsort(stable=True)
    first = torch.empty_like(count)
    first[order] = count[order].cumsum(0) - count[order]
    cube, edge = (group >= 0).nonzero(as_tuple=True)
    start, end = cube.new_tensor(EDGES).t()
    return _Crossings(
        cube=cube,
        edge=edge,
        vertex=first[cube] + group[cube, edge],
        ends=(cubes.corners[cube, start[edge]], cubes.corners[cube, end[edge]]),
        vertex_owner=owner[order].repeat_interleave(count[order]),
    )


def _dual_vertices(
    cubes: SurfaceCubes, crossings: _Crossings, points: Tensor, values: Tensor, weights: CubeWeights | None
) -> tuple[Tensor, Tensor]:
    """Dual vertices (D, 3), and the deviation (E,) of their edges, vertex after vertex."""
    order = crossings.vertex.argsort(stable=True)
    vertex, cube, edge = crossings.vertex[order], crossings.cube[order], crossings.edge[order]
    first, second = (points.index_select(0, end[order]) for end in crossings.ends)
    low, high = (values.index_select(0, end[order]) for end in crossings.ends)
    plain = bent = _crossing(first, second, low, high)
    share = plain.new_ones(len(vertex))
    if weights is not None:
        start, end = cube.new_tensor(EDGES).t()[:, edge]
        bent = _crossing(first, second, low * weights.alpha[cube, start], high * weights.alpha[cube, end])
        share = weights.beta[cube, edge]
    count = len(crossings.vertex_owner)
    dual = _summed(bent * share[:, None], vertex, count) / _summed(share, vertex, count)[:, None]
    distance = (dual.index_select(0, vertex) - plain).norm(dim=1)
    mean = _summed(distance, vertex, count) / torch.bincount(vertex, minlength=count)
    return dual, (distance - mean.index_select(0, vertex)).abs()


def _crossing(first: Tensor, second: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Points (E, 3) between `first` and `second` where the line from value `low` to `high` (E,) is zero."""
    return (first * high[:, None] - second * low[:, None]) / (high - low)[:, None]


def _summed(values: Tensor, row: Tensor, count: int) -> Tensor:
    """Sums (count, ...) of the `values` (E, ...) of each row."""
    return values.new_zeros(count, *values.shape[1:]).index_add(0, row, values)


def _quads(cubes: SurfaceCubes, crossings: _Crossings) -> Tensor:
    """Rows of `crossings` (Q, 4) around each lattice edge that four cubes share, counter-clockwise from outside."""
    axis_rank = crossings.edge.new_tensor([_AXIS_RANK[axis] for axis in EDGE_AXES])
    key, order = (crossings.ends[0] * 3 + axis_rank[crossings.edge]).sort(stable=True)
    _, count = key.unique_consecutive(return_counts=True)
    first = (count.cumsum(0) - count)[count == 4]
    quads = order[first[:, None] + torch.arange(4, device=first.device)]
    lead = quads[:, 0]
    start = crossings.edge.new_tensor(EDGES)[crossings.edge[lead], 0]
    inside = cubes.raw_case[crossings.cube[lead]] >> start & 1
    turned = torch.where(inside[:, None] == 1, quads[:, [2, 3, 1, 0]], quads[:, [0, 1, 3, 2]])
    return turned[(cubes.owner[crossings.cube[lead]] * 2 + inside).argsort(stable=True)]


def _two_each(corner: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Faces (2Q, 3) of quads (Q, 4), split along the diagonal of corners 0 and 2 where `first` is larger."""
    split = torch.where((first > second)[:, None], corner[:, [0, 1, 2, 0, 2, 3]], corner[:, [0, 1, 3, 3, 1, 2]])
    return split.view(-1, 3)


def _centres(quad: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Centres (Q, 3) of quads (Q, 4, 3): the middles of both diagonals, weighted."""
    total = first[:, None] * (quad[:, 0] + quad[:, 2]) + second[:, None] * (quad[:, 1] + quad[:, 3])
    return 0.5 * total / (first + second + 1e-8)[:, None]


def _four_each(dual: Tensor, centres: Tensor, corner: Tensor) -> tuple[Tensor, Tensor]:
    """Vertices (D + Q, 3) and faces (4Q, 3) of quads (Q, 4) around their centres."""
    centre = torch.arange(len(dual), len(dual) + len(centres), device=corner.device)[:, None].expand(-1, 4)
    return torch.cat([dual, centres]), torch.stack([corner, corner.roll(-1, 1), centre], 2).view(-1, 3)


def _by_object(vertices: Tensor, faces: Tensor, owner: Tensor, deviation: Tensor, objects: int) -> ExtractedSurface:
    """The surface with the vertices of each object together (faces already are, and keep their order)."""
    vertex_count = torch.bincount(owner, minlength=objects)
    face_count = torch.bincount(owner[faces[:, 0]], minlength=objects)
    order = owner.argsort(stable=True)
    number = torch.empty_like(order)
    number[order] = torch.arange(len(order), device=order.device)
    return ExtractedSurface(vertices[order], number[faces], vertex_count, face_count, deviation)
