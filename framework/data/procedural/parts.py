"""Parts and objects: labelled, coloured solids, brought into the common frame.

A family builds a `Recipe` (parts and a caption) in its own units; `ProceduralObject` moves and scales it so that its
bounding box is centred and its longest side is 1.8 (the box [-0.9, 0.9]^3), +Y up and front +Z, and scales distances
alike. Every answer comes from the parts' functions: nothing here depends on a grid's resolution.

Legend: P points, N parts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from framework.data.procedural.proportions import Proportions
from framework.data.procedural.solid import Array, Solid, Vector, box_union, columns, nearer

Color = tuple[float, float, float]

LONGEST_SIDE = 1.8
# Points per evaluation: intermediate arrays of 64 kB stay in the processor's second-level cache.
_CHUNK = 16384


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """A second colour of a part, placed by a function of the point in the family's own units."""

    kind: Literal["stripes", "checks", "grain", "speckle", "band"]
    """stripes and band: along `axis`; grain: wavy lines that run along `axis`, like wood; checks, speckle: in space."""
    color: Color
    """Second colour, RGB in [0, 1]."""
    size: float
    """Width of a stripe, edge of a check or of a speckle's cell, distance of grain lines, width of the band."""
    axis: int = 1
    """0, 1, 2 for x, y, z."""
    start: float = 0.0
    """Where the first stripe or the band begins along the axis."""

    def mask(self, xyz: Array) -> Array:
        """Where the second colour shows, (P,) bool, at coordinates (3, P)."""
        return _MASKS[self.kind](self, xyz)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One closed solid of an object."""

    label: str
    color: Color
    """RGB in [0, 1]."""
    sdf: Solid
    """Signed function in the family's units."""
    pattern: Pattern | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a family builds: parts in its own units, inner layers first, and a caption."""

    parts: tuple[Part, ...]
    caption: str


@dataclass(frozen=True, kw_only=True)
class ProceduralObject:
    """A procedural object in the common frame. Build it with `framework.data.procedural.catalogue.generate`."""

    family: str
    seed: int
    parts: tuple[Part, ...]
    caption: str
    scale: float = 1.0
    """Common frame = (family units - offset) * scale."""
    offset: Color = field(default=(0.0, 0.0, 0.0))
    proportions: Proportions | None = None
    """What was changed of the recipe's build, if anything; still in family units."""

    @property
    def exact(self) -> bool:
        """Whether the distance outside is Euclidean; otherwise it is a lower bound with the right sign."""
        return self.proportions is None and all(part.sdf.exact for part in self.parts)

    @property
    def label_names(self) -> tuple[str, ...]:
        """Label of each part, in the order of part indices."""
        return tuple(part.label for part in self.parts)

    def distance(self, points: Array) -> Array:
        """Signed distance bound (P,) float32 at `points` (P, 3) of the common frame, negative inside."""
        return self._nearest(points)[0]

    def occupancy(self, points: Array) -> Array:
        """Exact occupancy (P,) bool, true inside."""
        return self.distance(points) < 0.0

    def labels(self, points: Array) -> Array:
        """Part index (P,) int64: the innermost part that contains the point, else the nearest part."""
        return self._nearest(points)[1]

    def part_distance(self, index: int, points: Array) -> Array:
        """Signed distance bound (P,) to one part alone, hidden surfaces included."""
        values, _ = nearest_part((self.parts[index],), self._to_family(points), self.proportions)
        return values * np.float32(self.scale)

    def colors(self, points: Array) -> Array:
        """Colours (P, 3) float32 in [0, 1] of the nearest parts, patterns included."""
        labels = self.labels(points)
        xyz = self._to_family(points)
        xyz = xyz if self.proportions is None else self.proportions.to_recipe(xyz)
        result = np.empty((labels.size, 3), dtype=np.float32)
        for index, part in enumerate(self.parts):
            where = np.flatnonzero(labels == index)
            result[where] = part.color
            if part.pattern is not None and where.size:
                result[where[part.pattern.mask(xyz[:, where])]] = part.pattern.color
        return result

    def normals(self, points: Array, step: float = 1e-3) -> Array:
        """Unit gradients (P, 3) of the distance, from four evaluations at the corners of a tetrahedron."""
        points = np.asarray(points, dtype=np.float32)
        corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], dtype=np.float32)
        values = self.distance((points[None] + step * corners[:, None]).reshape(-1, 3)).reshape(4, -1)
        gradient = values.T @ corners
        return gradient / np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), 1e-12)

    def _to_family(self, points: Array) -> Array:
        shift = np.asarray(self.offset, dtype=np.float32)[:, None]
        return columns(points) / np.float32(self.scale) + shift

    def _nearest(self, points: Array) -> tuple[Array, Array]:
        """Distances (P,) and part indices (P,), chunk by chunk."""
        xyz = self._to_family(points)
        count = xyz.shape[1]
        values, index = np.empty(count, dtype=np.float32), np.empty(count, dtype=np.int64)
        for start in range(0, count, _CHUNK):
            chunk = slice(start, start + _CHUNK)
            values[chunk], index[chunk] = nearest_part(
                self.parts, np.ascontiguousarray(xyz[:, chunk]), self.proportions
            )
        return values * np.float32(self.scale), index


def part_bounds(parts: tuple[Part, ...]) -> tuple[Vector, Vector]:
    """Lower and upper corner of a box that holds all parts of a recipe."""
    return box_union([part.sdf for part in parts])


def tight_bounds(
    parts: tuple[Part, ...], proportions: Proportions | None = None, levels: int = 8, keep: int = 1024
) -> tuple[Array, Array]:
    """Lower and upper corner (3,) of the union's bounding box, to about 1/1000 of its longest side.

    Branch and bound over cubes: the value at a cube's centre proves it empty (value > half diagonal) or proves a
    ball of radius -value full. Per direction the `keep` cubes that reach farthest are split in eight.
    """
    lower, upper = part_bounds(parts) if proportions is None else proportions.box
    cell = float(np.subtract(upper, lower).max()) / 12.0
    axes = [np.arange(low + 0.5 * cell, high + 0.5 * cell, cell) for low, high in zip(lower, upper, strict=True)]
    centers = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float32)
    found_low, found_high = np.full(3, np.inf), np.full(3, -np.inf)
    octants = np.stack(np.meshgrid(*[(-0.25, 0.25)] * 3, indexing="ij"), axis=-1).reshape(1, 8, 3).astype(np.float32)
    for _ in range(levels):
        values = nearest_part(parts, columns(centers), proportions)[0]
        full = values < 0
        if full.any():
            found_low = np.minimum(found_low, (centers[full] + values[full, None]).min(axis=0))
            found_high = np.maximum(found_high, (centers[full] - values[full, None]).max(axis=0))
        chosen = _extreme_cubes(centers, values, cell, found_low, found_high, keep)
        if chosen.size == 0:
            break
        centers = (centers[chosen, None] + octants * np.float32(cell)).reshape(-1, 3)
        cell *= 0.5
    return found_low, found_high


def _extreme_cubes(centers: Array, values: Array, cell: float, low: Array, high: Array, keep: int) -> Array:
    """Indices of cubes that may hold points of the solid beyond the known box, per direction the `keep` best ones."""
    possible = np.flatnonzero(values <= 0.5 * np.sqrt(3.0) * cell)
    chosen = []
    for axis in range(3):
        along = centers[possible, axis]
        for reach, known in ((along, high[axis]), (-along, -low[axis])):
            better = np.flatnonzero(reach + 0.5 * cell > known)
            # Farthest layer first and, inside a layer, the cubes that are most likely to be filled.
            layer = np.round((reach[better] - reach.max(initial=-np.inf)) / cell)
            chosen.append(possible[better[np.lexsort((values[possible[better]], -layer))[:keep]]])
    return np.unique(np.concatenate(chosen))


def nearest_part(parts: tuple[Part, ...], xyz: Array, proportions: Proportions | None) -> tuple[Array, Array]:
    """Distances (P,) in family units and part indices (P,) at coordinates (3, P)."""
    if proportions is None:
        return _nearest_of_recipe(parts, xyz)
    values, index = _nearest_of_recipe(parts, proportions.to_recipe(xyz))
    return proportions.distance(xyz, values), index


def _nearest_of_recipe(parts: tuple[Part, ...], xyz: Array) -> tuple[Array, Array]:
    values = parts[0].sdf.field(xyz).copy()
    index = np.zeros(values.shape, dtype=np.int64)
    for number, part in enumerate(parts[1:], start=1):
        where, other = nearer(xyz, part.sdf, values)
        known = values[where]
        # A point that an earlier, inner part contains keeps that part's label.
        index[where] = np.where((other < known) & (known > 0.0), number, index[where])
        values[where] = np.minimum(known, other)
    return values, index


def _stripes(pattern: Pattern, xyz: Array) -> Array:
    return np.floor((xyz[pattern.axis] - pattern.start) / pattern.size).astype(np.int64) % 2 == 1


def _band(pattern: Pattern, xyz: Array) -> Array:
    along = xyz[pattern.axis] - pattern.start
    return (along >= 0.0) & (along < pattern.size)


def _checks(pattern: Pattern, xyz: Array) -> Array:
    return np.floor(xyz / pattern.size).sum(axis=0).astype(np.int64) % 2 == 1


def _grain(pattern: Pattern, xyz: Array) -> Array:
    along, a, b = (xyz[(pattern.axis + k) % 3] / pattern.size for k in range(3))
    wave = 0.25 * np.sin(0.9 * along + 0.7 * b) + 0.15 * np.sin(0.37 * along - 1.3 * a)
    return np.sin(2.0 * np.pi * (a + 0.6 * b + wave)) > 0.45


def _speckle(pattern: Pattern, xyz: Array) -> Array:
    """One round spot per cell, its place and radius drawn from the cell's coordinates, inside the cell."""
    cell = np.floor(xyz / pattern.size)
    within = xyz / pattern.size - cell
    # Fractions of large multiples of sines serve as draws: the same on every platform to the precision needed.
    seeds = cell[0] * 12.9898 + cell[1] * 78.233 + cell[2] * 37.719
    draws = [np.modf(np.abs(np.sin(seeds + k) * 4375.85))[0] for k in range(3)]
    radius = 0.18 + 0.14 * draws[0]
    squared = sum((within[i] - (0.35 + 0.3 * draws[i])) ** 2 for i in range(3))
    return np.asarray(squared < radius * radius)


_MASKS = {"stripes": _stripes, "checks": _checks, "grain": _grain, "speckle": _speckle, "band": _band}
