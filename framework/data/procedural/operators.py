"""Operators on solids: booleans, smooth unions, shells, clips, folds, bends and motions.

All keep the field 1-Lipschitz, so its absolute value stays a lower bound of the distance. Outside, `union` of exact
solids is exact; motions and uniform scaling keep exactness on both sides; `offset` and `mirror_x` keep it for convex
use; all others give lower bounds, as each says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from framework.data.procedural.solid import Array, Solid, box_union, grown, nearer, vector


def union(*solids: Solid) -> Solid:
    """Union. Exact outside when all solids are, a lower bound inside."""
    if len(solids) == 1:
        return solids[0]
    # The cheapest first: its values let the boxes of the dear ones be skipped.
    ordered = sorted(solids, key=lambda solid: solid.cost)

    def field(xyz: Array) -> Array:
        value = ordered[0].field(xyz)
        for solid in ordered[1:]:
            where, other = nearer(xyz, solid, value)
            value[where] = np.minimum(value[where], other)
        return value

    lower, upper = box_union(solids)
    return Solid(
        field=field, lower=lower, upper=upper, exact=all(s.exact for s in solids), cost=sum(s.cost for s in solids)
    )


def smooth_union(blend: float, *solids: Solid) -> Solid:
    """Union with fillets: quadratic blending over |a - b| < blend, bulging by at most blend / 4. A lower bound.

    min(a, b) - h^2 blend / 4 with h = max(blend - |a - b|, 0) / blend: its gradient is a convex mix of both.
    """
    fields = [solid.field for solid in solids]

    def field(xyz: Array) -> Array:
        value = fields[0](xyz)
        for other_field in fields[1:]:
            other = other_field(xyz)
            h = np.maximum(blend - np.abs(value - other), 0.0)
            value = np.minimum(value, other) - h * h * (0.25 / blend)
        return value

    lower, upper = box_union(solids)
    bulge = 0.25 * blend * (len(solids) - 1)
    return Solid(
        field=field,
        lower=vector([v - bulge for v in lower]),
        upper=vector([v + bulge for v in upper]),
        exact=False,
        cost=sum(s.cost for s in solids),
    )


def intersect(*solids: Solid) -> Solid:
    """Intersection. A lower bound."""

    def field(xyz: Array) -> Array:
        value = solids[0].field(xyz)
        for solid in solids[1:]:
            value = np.maximum(value, solid.field(xyz))
        return value

    lower = vector(np.max([s.lower for s in solids], axis=0))
    upper = vector(np.maximum(np.min([s.upper for s in solids], axis=0), lower))
    return Solid(field=field, lower=lower, upper=upper, exact=False, cost=sum(s.cost for s in solids))


def subtract(solid: Solid, *cutters: Solid) -> Solid:
    """`solid` without `cutters`. A lower bound."""

    def field(xyz: Array) -> Array:
        value = solid.field(xyz)
        for cutter in cutters:
            value = np.maximum(value, -cutter.field(xyz))
        return value

    return replace(solid, field=field, exact=False, cost=solid.cost + sum(c.cost for c in cutters))


def clip(solid: Solid, normal: Sequence[float], distance: float) -> Solid:
    """The part of `solid` with dot(p, normal) <= distance (`normal` of any length). A lower bound."""
    unit = np.asarray(normal, dtype=float)
    size = float(np.linalg.norm(unit))
    nx, ny, nz = vector(unit / size)
    bound = float(distance) / size

    def field(xyz: Array) -> Array:
        return np.maximum(solid.field(xyz), xyz[0] * nx + xyz[1] * ny + xyz[2] * nz - bound)

    lower, upper = list(solid.lower), list(solid.upper)
    for axis, component in enumerate((nx, ny, nz)):
        if component > 0.9999:
            upper[axis] = min(upper[axis], bound)
        if component < -0.9999:
            lower[axis] = max(lower[axis], -bound)
    return replace(solid, field=field, lower=vector(lower), upper=vector(upper), exact=False)


def offset(solid: Solid, amount: float) -> Solid:
    """Grown (or shrunk, when negative) by `amount`. Keeps exactness outside when growing an exact solid."""
    lower, upper = grown(solid, amount)
    return replace(
        solid, field=lambda xyz: solid.field(xyz) - amount, lower=lower, upper=upper, exact=solid.exact and amount >= 0
    )


def shell(solid: Solid, thickness: float) -> Solid:
    """Closed skin of full `thickness`, centred on the surface of `solid`. A lower bound."""
    half = 0.5 * thickness
    lower, upper = grown(solid, half)
    return replace(solid, field=lambda xyz: np.abs(solid.field(xyz)) - half, lower=lower, upper=upper, exact=False)


def mirror_x(solid: Solid) -> Solid:
    """`solid`, which lies at x >= 0, and its mirror image. Exact when `solid` is."""

    def field(xyz: Array) -> Array:
        return solid.field(np.stack([np.abs(xyz[0]), xyz[1], xyz[2]]))

    reach = max(abs(solid.lower[0]), abs(solid.upper[0]))
    return replace(
        solid,
        field=field,
        lower=(-reach, *solid.lower[1:]),
        upper=(reach, *solid.upper[1:]),
        exact=solid.exact and solid.lower[0] >= 0,
    )


def mirror_z(solid: Solid) -> Solid:
    """`solid`, which lies at z >= 0, and its mirror image. Exact when `solid` is."""

    def field(xyz: Array) -> Array:
        return solid.field(np.stack([xyz[0], xyz[1], np.abs(xyz[2])]))

    reach = max(abs(solid.lower[2]), abs(solid.upper[2]))
    return replace(
        solid,
        field=field,
        lower=(*solid.lower[:2], -reach),
        upper=(*solid.upper[:2], reach),
        exact=solid.exact and solid.lower[2] >= 0,
    )


def around_y(solid: Solid, count: int, phase: float = 0.0) -> Solid:
    """`count` copies turned around Y; `solid` points along +X, is symmetric in z and fits one sector.

    `phase` in radians turns all copies. Exact when `solid` is: folding maps a point to the nearest copy.
    """
    sector = 2.0 * float(np.pi) / count

    def field(xyz: Array) -> Array:
        angle = np.arctan2(-xyz[2], xyz[0]) - np.float32(phase)
        angle -= sector * np.round(angle / sector)
        radius = np.sqrt(xyz[0] * xyz[0] + xyz[2] * xyz[2])
        return solid.field(np.stack([radius * np.cos(angle), xyz[1], -radius * np.sin(angle)]))

    corner = max(abs(solid.lower[2]), abs(solid.upper[2]))
    reach = float(np.hypot(max(abs(solid.lower[0]), abs(solid.upper[0])), corner))
    return replace(
        solid,
        field=field,
        lower=(-reach, solid.lower[1], -reach),
        upper=(reach, solid.upper[1], reach),
        cost=solid.cost + 4,
    )


def move(solid: Solid, by: Sequence[float]) -> Solid:
    """Translated by `by`. Keeps exactness."""
    shift = np.asarray(by, dtype=np.float32)[:, None]
    return replace(
        solid,
        field=lambda xyz: solid.field(xyz - shift),
        lower=vector(np.add(solid.lower, by)),
        upper=vector(np.add(solid.upper, by)),
    )


def rotate(solid: Solid, axis: str, degrees: float) -> Solid:
    """Turned around the "x", "y" or "z" axis through the origin, right-handed. Keeps exactness."""
    angle = float(np.deg2rad(degrees))
    i = "xyz".index(axis)
    j, k = (i + 1) % 3, (i + 2) % 3
    matrix = np.eye(3)
    matrix[j, j], matrix[j, k] = np.cos(angle), -np.sin(angle)
    matrix[k, j], matrix[k, k] = np.sin(angle), np.cos(angle)
    inverse = matrix.T.astype(np.float32)
    middle, half = np.add(solid.upper, solid.lower) / 2.0, np.subtract(solid.upper, solid.lower) / 2.0
    reach = np.abs(matrix) @ half
    return replace(
        solid,
        field=lambda xyz: solid.field(inverse @ xyz),
        lower=vector(matrix @ middle - reach),
        upper=vector(matrix @ middle + reach),
    )


def stretch(solid: Solid, factors: Sequence[float]) -> Solid:
    """Scaled along the axes. Exact for equal factors, else a lower bound (divided by the largest squeeze)."""
    scale = np.asarray(factors, dtype=np.float32)[:, None]
    smallest = float(min(factors))
    return replace(
        solid,
        field=lambda xyz: solid.field(xyz / scale) * smallest,
        lower=vector(np.multiply(solid.lower, factors)),
        upper=vector(np.multiply(solid.upper, factors)),
        exact=solid.exact and len(set(factors)) == 1,
    )


def twist(solid: Solid, turn: float, radius: float) -> Solid:
    """Turned around Y by `turn` radians per unit of y; `radius` is that of a cylinder which holds the solid. A bound.

    The twist shears by turn * r at distance r from the axis; its largest stretch there, (s + sqrt(s^2 + 4)) / 2 for
    a shear s, divides the value. Points beyond the cylinder are first brought onto it (a 1-Lipschitz map).
    """
    reach = float(radius)
    shear = abs(turn) * reach
    stretching = 0.5 * (shear + float(np.sqrt(shear * shear + 4.0)))

    def field(xyz: Array) -> Array:
        aside = np.sqrt(xyz[0] * xyz[0] + xyz[2] * xyz[2])
        shrink = np.minimum(reach / np.maximum(aside, 1e-12), 1.0)
        angle = turn * xyz[1]
        cosine, sine = np.cos(angle) * shrink, np.sin(angle) * shrink
        x = cosine * xyz[0] - sine * xyz[2]
        z = sine * xyz[0] + cosine * xyz[2]
        return np.maximum(solid.field(np.stack([x, xyz[1], z])) / stretching, aside - reach)

    return replace(
        solid,
        field=field,
        lower=(-reach, solid.lower[1], -reach),
        upper=(reach, solid.upper[1], reach),
        exact=False,
        cost=solid.cost + 4,
    )


def ribbed(solid: Solid, count: int, depth: float) -> Solid:
    """A lathe whose radius varies by the factor 1 / (1 - depth cos(count * angle)): ribs or flutes. A lower bound."""
    reach = solid.upper[0] / (1.0 - depth)
    stretching = float(np.hypot(1.0 + depth, depth * count))

    def field(xyz: Array) -> Array:
        factor = 1.0 - depth * np.cos(count * np.arctan2(xyz[2], xyz[0]))
        return solid.field(np.stack([xyz[0] * factor, xyz[1], xyz[2] * factor])) / stretching

    return replace(
        solid,
        field=field,
        lower=(-reach, solid.lower[1], -reach),
        upper=(reach, solid.upper[1], reach),
        exact=False,
        cost=solid.cost + 4,
    )
