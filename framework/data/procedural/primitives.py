"""Primitive solids: boxes, ellipsoids, round cones, sweeps, tori, lathes and prisms.

All are exact distances on both sides except `ellipsoid` (a lower bound, tight where its smallest radius points) and
`sweep` (exact outside, a lower bound inside because its cones overlap). Axis and units are the family's own.

Legend: P points, N profile or outline points.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from framework.data.procedural.solid import Array, Solid, Vector, box_distance, vector

Point = Sequence[float]
Outline = Sequence[tuple[float, float]]

_ROUND_CONE_MAX_SLOPE = 0.999


def box(size: Point, radius: float = 0.0, center: Point = (0.0, 0.0, 0.0)) -> Solid:
    """Box of full edge lengths `size`, its edges rounded by `radius` (kept inside the size). Exact.

    Raises ValueError when twice the radius exceeds the shortest edge.
    """
    if 2.0 * radius > min(size) + 1e-6:
        raise ValueError(f"box: radius {radius} is more than half of the shortest edge of {tuple(size)}")
    half = np.asarray(size, dtype=float) / 2.0
    middle = np.asarray(center, dtype=float)
    low, high = vector(middle - half), vector(middle + half)
    core_low, core_high = vector(middle - half + radius), vector(middle + half - radius)

    def field(xyz: Array) -> Array:
        return box_distance(xyz, core_low, core_high) - radius

    return Solid(field=field, lower=low, upper=high)


def sphere(radius: float, center: Point = (0.0, 0.0, 0.0)) -> Solid:
    """Ball. Exact."""
    cx, cy, cz = vector(tuple(center))

    def field(xyz: Array) -> Array:
        return _length(xyz[0] - cx, xyz[1] - cy, xyz[2] - cz) - radius

    return Solid(
        field=field, lower=(cx - radius, cy - radius, cz - radius), upper=(cx + radius, cy + radius, cz + radius)
    )


def ellipsoid(radii: Point, center: Point = (0.0, 0.0, 0.0)) -> Solid:
    """Ellipsoid. A lower bound: (|p / r| - 1) * min(r), whose gradient is never longer than 1."""
    rx, ry, rz = vector(tuple(radii))
    cx, cy, cz = vector(tuple(center))
    smallest = min(rx, ry, rz)

    def field(xyz: Array) -> Array:
        return (_length((xyz[0] - cx) / rx, (xyz[1] - cy) / ry, (xyz[2] - cz) / rz) - 1.0) * smallest

    return Solid(
        field=field, lower=(cx - rx, cy - ry, cz - rz), upper=(cx + rx, cy + ry, cz + rz), exact=rx == ry == rz
    )


def capsule(start: Point, end: Point, radius: float) -> Solid:
    """Cylinder with round ends between two points. Exact."""
    return round_cone(start, end, radius, radius)


def round_cone(start: Point, end: Point, start_radius: float, end_radius: float) -> Solid:
    """Convex hull of two balls. Exact.

    The hull is the union of the balls on the way, so its distance is min over t in [0, 1] of |p - c(t)| - r(t);
    with x the distance from the axis and y the way along it, the minimum lies at t = (y - x tan a) / length, where
    sin a = (start_radius - end_radius) / length. A ball that swallows the other one is returned alone.
    """
    a, b = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
    length = float(np.linalg.norm(b - a))
    sine = (start_radius - end_radius) / max(length, 1e-9)
    if abs(sine) >= _ROUND_CONE_MAX_SLOPE:
        return sphere(start_radius, a.tolist()) if sine > 0 else sphere(end_radius, b.tolist())
    (ax, ay, az), (ux, uy, uz) = vector(a), vector((b - a) / length)
    tangent = sine / float(np.sqrt(1.0 - sine * sine))
    narrowing = float(start_radius - end_radius)

    def field(xyz: Array) -> Array:
        x, y, z = xyz[0] - ax, xyz[1] - ay, xyz[2] - az
        along = x * ux + y * uy + z * uz
        aside = np.sqrt(np.maximum(x * x + y * y + z * z - along * along, 0.0))
        t = np.clip((along - aside * tangent) / length, 0.0, 1.0)
        rest = along - t * length
        return np.sqrt(aside * aside + rest * rest) - start_radius + t * narrowing

    low = np.minimum(a - start_radius, b - end_radius)
    high = np.maximum(a + start_radius, b + end_radius)
    return Solid(field=field, lower=vector(low), upper=vector(high))


def torus(radius: float, thickness: float, center: Point = (0.0, 0.0, 0.0)) -> Solid:
    """Ring around the Y axis: `radius` to the middle of a tube of radius `thickness`. Exact."""
    cx, cy, cz = vector(tuple(center))

    def field(xyz: Array) -> Array:
        ring = _length(xyz[0] - cx, xyz[2] - cz) - radius
        return _length(ring, xyz[1] - cy) - thickness

    reach = radius + thickness
    return Solid(
        field=field, lower=(cx - reach, cy - thickness, cz - reach), upper=(cx + reach, cy + thickness, cz + reach)
    )


def torus_arc(radius: float, thickness: float, half_angle: float) -> Solid:
    """Arc of a ring in the XY plane around the origin, symmetric about +X, round ends. Exact.

    `half_angle` in radians, at most pi: the arc runs from -half_angle to +half_angle.
    """
    cosine, sine = float(np.cos(half_angle)), float(np.sin(half_angle))

    def field(xyz: Array) -> Array:
        x, y, z = xyz[0], np.abs(xyz[1]), xyz[2]
        # Inside the arc's angle the nearest centre lies on the ring, elsewhere it is the end of the arc.
        beside = (x * sine < y * cosine) if half_angle < np.pi else np.zeros(x.shape, dtype=bool)
        on_ring = _length(_length(x, y) - radius, z)
        at_end = _length(x - radius * cosine, y - radius * sine, z)
        return np.where(beside, at_end, on_ring) - thickness

    reach = radius + thickness
    left = radius * cosine - thickness
    return Solid(field=field, lower=(left, -reach, -thickness), upper=(reach, reach, thickness), cost=2)


def lathe(profile: Outline, radius: float = 0.0) -> Solid:
    """Solid of revolution around Y. Exact.

    profile: (r, y) points with r >= 0, first and last on the axis (r = 0) or closed by it; in any turning sense.
    radius:  rounds edges by growing the solid outwards by this amount.
    """
    points = [(float(r), float(y)) for r, y in profile]
    reach = max(r for r, _ in points) + radius

    def field(xyz: Array) -> Array:
        return _outline_distance(_length(xyz[0], xyz[2]), xyz[1], points, closed=False) - radius

    return Solid(
        field=field,
        lower=(-reach, min(y for _, y in points) - radius, -reach),
        upper=(reach, max(y for _, y in points) + radius, reach),
        cost=1 + len(points) // 2,
    )


def lathe_wall(profile: Outline, thickness: float) -> Solid:
    """Wall of constant `thickness` with round rims along an open profile (r, y) turned around Y. Exact.

    A profile that begins on the axis and rises gives a hollow vessel.
    """
    points = [(float(r), float(y)) for r, y in profile]
    half = 0.5 * float(thickness)
    reach = max(r for r, _ in points) + half

    def field(xyz: Array) -> Array:
        return np.sqrt(_path_distance_squared(_length(xyz[0], xyz[2]), xyz[1], points)) - half

    return Solid(
        field=field,
        lower=(-reach, min(y for _, y in points) - half, -reach),
        upper=(reach, max(y for _, y in points) + half, reach),
        cost=1 + len(points) // 2,
    )


def cylinder(radius: float, low: float, high: float, rounding: float = 0.0, top_radius: float | None = None) -> Solid:
    """Cylinder, or truncated cone when `top_radius` is given, around Y from y = low to y = high. Exact.

    Edges are rounded by `rounding`, kept inside radii and height.
    """
    top = radius if top_radius is None else top_radius
    r, t = max(radius - rounding, 0.0), max(top - rounding, 0.0)
    bottom_y, top_y = low + rounding, high - rounding
    return lathe([(0.0, bottom_y), (r, bottom_y), (t, top_y), (0.0, top_y)], radius=rounding)


def prism(outline: Outline, thickness: float, plane: str = "xz", radius: float = 0.0) -> Solid:
    """Closed outline swept along the axis that its plane leaves out, centred there. Exact.

    outline:   points (a, b) in the plane, in any turning sense, not crossing itself.
    thickness: full extent along the third axis before rounding.
    plane:     "xz", "xy" or "zy": which coordinates a and b are.
    radius:    rounds edges by growing the solid outwards by this amount.
    """
    first, second = ("xyz".index(letter) for letter in plane)
    third = 3 - first - second
    points = [(float(a), float(b)) for a, b in outline]
    half = 0.5 * float(thickness)

    def field(xyz: Array) -> Array:
        flat = _outline_distance(xyz[first], xyz[second], points, closed=True)
        above = np.abs(xyz[third]) - half
        outside = _length(np.maximum(flat, 0.0), np.maximum(above, 0.0))
        return outside + np.minimum(np.maximum(flat, above), 0.0) - radius

    low, high = [0.0] * 3, [0.0] * 3
    for axis, values in ((first, [p[0] for p in points]), (second, [p[1] for p in points]), (third, [-half, half])):
        low[axis], high[axis] = min(values) - radius, max(values) + radius
    return Solid(field=field, lower=vector(low), upper=vector(high), cost=1 + len(points) // 2)


def sweep(path: Sequence[Point], radii: Sequence[float] | float) -> Solid:
    """Chain of round cones along a path of points. Exact outside, a lower bound inside.

    Raises ValueError when the path has fewer than two points or the numbers of points and radii differ.
    """
    sizes = [float(radii)] * len(path) if isinstance(radii, (int, float)) else [float(r) for r in radii]
    if len(path) < 2 or len(sizes) != len(path):
        raise ValueError(f"sweep: expected at least two points and as many radii, got {len(path)} and {len(sizes)}")
    pieces = [round_cone(path[i], path[i + 1], sizes[i], sizes[i + 1]) for i in range(len(path) - 1)]
    fields = [piece.field for piece in pieces]

    def field(xyz: Array) -> Array:
        value = fields[0](xyz)
        for other in fields[1:]:
            np.minimum(value, other(xyz), out=value)
        return value

    low = np.min([piece.lower for piece in pieces], axis=0)
    high = np.max([piece.upper for piece in pieces], axis=0)
    return Solid(field=field, lower=vector(low), upper=vector(high), cost=2 * len(pieces))


def bezier(control: Sequence[Point], count: int) -> list[Vector]:
    """`count` points on the Bezier curve of the control points (de Casteljau), ends included."""
    result = []
    for t in np.linspace(0.0, 1.0, count):
        points = np.asarray(control, dtype=float)
        while len(points) > 1:
            points = (1.0 - t) * points[:-1] + t * points[1:]
        result.append(vector(points[0]))
    return result


def smooth_outline(points: Outline, rounds: int = 2, closed: bool = False) -> list[tuple[float, float]]:
    """Corner cutting (Chaikin 1974): each round replaces a corner by two points at 1/4 and 3/4; open ends stay."""
    line = np.asarray(points, dtype=float)
    for _ in range(rounds):
        after = np.roll(line, -1, axis=0) if closed else line[1:]
        before = line if closed else line[:-1]
        cut = np.stack([0.75 * before + 0.25 * after, 0.25 * before + 0.75 * after], axis=1).reshape(-1, 2)
        line = cut if closed else np.concatenate([line[:1], cut[1:-1], line[-1:]])
    return [(float(a), float(b)) for a, b in line]


def _length(*parts: Array) -> Array:
    total = parts[0] * parts[0]
    for part in parts[1:]:
        total += part * part
    return np.sqrt(total)


def _path_distance_squared(a: Array, b: Array, points: Outline) -> Array:
    """Squared distance (P,) of plane coordinates a, b to an open path."""
    best = np.full(a.shape, np.inf, dtype=np.float32)
    for (a0, b0), (a1, b1) in zip(points[:-1], points[1:], strict=True):
        ea, eb = a1 - a0, b1 - b0
        squared = ea * ea + eb * eb
        if squared < 1e-14:
            continue
        pa, pb = a - a0, b - b0
        t = np.clip(pa * (ea / squared) + pb * (eb / squared), 0.0, 1.0)
        pa -= t * ea
        pb -= t * eb
        np.minimum(best, pa * pa + pb * pb, out=best)
    return best


def _outline_distance(a: Array, b: Array, points: list[tuple[float, float]], closed: bool) -> Array:
    """Signed distance (P,) to an outline. An open one is closed by an edge that bounds nothing (a lathe's axis)."""
    ring = points + points[:1]
    distance = np.sqrt(_path_distance_squared(a, b, ring if closed else points))
    inside = np.zeros(a.shape, dtype=bool)
    for (a0, b0), (a1, b1) in zip(ring[:-1], ring[1:], strict=True):
        if b0 == b1:
            continue
        crosses = (b0 > b) != (b1 > b)
        inside ^= crosses & (a < (b - b0) * ((a1 - a0) / (b1 - b0)) + a0)
    return np.where(inside, -distance, distance)
