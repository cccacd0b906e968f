"""The tables of dual marching cubes, derived from their definition.

Corner i of a cube lies at x = bit 0, y = bit 1, z = bit 2 of i. A case is the sum of 2^i over the corners inside. Edges
that the surface crosses are joined into groups, one dual vertex each: on each face of the cube the two crossed edges
belong together, and where all four are crossed, the two around each inside corner (Nielson, "Dual marching cubes",
2004). Such a face is ambiguous: its neighbour cube may join the edges in the other way, and the surface is then not a
manifold. `Ambiguity` says which cubes to invert against that (Wenger, "Isosurfaces", 2013, on the same question).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

EDGES = ((0, 1), (1, 5), (4, 5), (0, 4), (2, 3), (3, 7), (6, 7), (2, 6), (2, 0), (3, 1), (7, 5), (6, 4))
"""The edges as pairs of corners; along one axis all point the same way, so that cubes agree on an edge's direction."""

EDGE_AXES = tuple((first ^ second).bit_length() - 1 for first, second in EDGES)
"""The axis (0, 1, 2) that each edge runs along."""

CASES = 256


@dataclass(frozen=True)
class Ambiguity:
    """A case with one ambiguous face whose inversion has more dual vertices than itself."""

    case: int
    direction: tuple[int, int, int]
    """Outward axis of the ambiguous face."""

    @property
    def inverse(self) -> int:
        """The case with inside and outside exchanged."""
        return CASES - 1 - self.case


def _is_inside(case: int, corner: int) -> bool:
    return bool(case >> corner & 1)


def _crossed(case: int) -> list[int]:
    """Edges that end on different sides."""
    return [edge for edge, (a, b) in enumerate(EDGES) if _is_inside(case, a) != _is_inside(case, b)]


def _face_corners(axis: int, side: int) -> set[int]:
    return {corner for corner in range(8) if corner >> axis & 1 == side}


def _crossed_on_face(case: int, corners: set[int]) -> list[int]:
    return [edge for edge in _crossed(case) if corners >= set(EDGES[edge])]


def _joints(case: int) -> list[tuple[int, int]]:
    """Pairs of crossed edges that the surface connects on some face."""
    joints = []
    for axis in range(3):
        for side in range(2):
            corners = _face_corners(axis, side)
            crossed = _crossed_on_face(case, corners)
            if len(crossed) == 2:
                joints.append((crossed[0], crossed[1]))
            elif len(crossed) == 4:
                for corner in (corner for corner in corners if _is_inside(case, corner)):
                    first, second = (edge for edge in crossed if corner in EDGES[edge])
                    joints.append((first, second))
    return joints


@cache
def edge_groups(case: int) -> tuple[tuple[int, ...], ...]:
    """The groups of crossed edges of a case, each in order, ordered by their smallest edge."""
    root = {edge: edge for edge in _crossed(case)}
    for first, second in _joints(case):
        kept, dropped = sorted((root[first], root[second]))
        root = {edge: kept if name == dropped else name for edge, name in root.items()}
    return tuple(tuple(edge for edge in root if root[edge] == name) for name in sorted(set(root.values())))


@cache
def ambiguities() -> tuple[Ambiguity, ...]:
    """The cases that have to be inverted when the cube behind their ambiguous face is such a case too."""
    found = []
    for case in range(CASES):
        faces = [
            (axis, side)
            for axis in range(3)
            for side in range(2)
            if len(_crossed_on_face(case, _face_corners(axis, side))) == 4
        ]
        if len(faces) == 1 and len(edge_groups(case)) == 1 and len(edge_groups(CASES - 1 - case)) >= 2:
            axis, side = faces[0]
            x, y, z = (2 * side - 1 if place == axis else 0 for place in range(3))
            found.append(Ambiguity(case, (x, y, z)))
    return tuple(found)


@dataclass(frozen=True, eq=False)
class Tables:
    """The tables as tensors, on one device."""

    group_of_edge: Tensor
    """(256, 12) int64: which dual vertex of the cube each edge belongs to, -1 where it is not crossed."""

    group_count: Tensor
    """(256,) int64: dual vertices of a case, 0 to 4."""

    direction: Tensor
    """(256, 3) int64: towards the ambiguous face; 0 for cases that are never inverted."""


@cache
def tables(device: torch.device) -> Tables:
    """The tables on `device`."""
    group_of_edge = torch.full((CASES, len(EDGES)), -1)
    for case in range(CASES):
        for number, group in enumerate(edge_groups(case)):
            group_of_edge[case, list(group)] = number
    direction = torch.zeros(CASES, 3, dtype=torch.int64)
    for ambiguity in ambiguities():
        direction[ambiguity.case] = torch.tensor(ambiguity.direction)
    group_count = group_of_edge.amax(1) + 1
    return Tables(*(table.to(device) for table in (group_of_edge, group_count, direction)))
