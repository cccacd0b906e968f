"""Houses. Units: about 1; the door looks to +Z."""

from __future__ import annotations

from framework.data.procedural.families.draw import (
    GLASS_BLUE,
    ROOFS,
    VIVIDS,
    WALLS,
    WHITE,
    WOODS,
    Rng,
    between,
    chance,
    darker,
    mixed,
    pick,
    tint,
)
from framework.data.procedural.operators import intersect, mirror_x, move, union
from framework.data.procedural.parts import Color, Part, Pattern, Recipe
from framework.data.procedural.primitives import box, cylinder, lathe, prism
from framework.data.procedural.solid import Solid


def house(rng: Rng) -> Recipe:
    """Walls of one or two floors, gable, hip or flat roof, door, windows; maybe a chimney, a porch or a tower."""
    floors = pick(rng, (1, 1, 2))
    width, depth = between(rng, 0.6, 1.3), between(rng, 0.66, 0.74)
    tall = between(rng, 0.4, 0.6) if floors == 1 else between(rng, 0.72, 1.0)
    roof_kind = pick(rng, ("gable", "gable", "hip", "flat"))
    rise = between(rng, 0.2, 0.55) if roof_kind != "flat" else 0.1
    wall, roof = tint(rng, WALLS), tint(rng, ROOFS)
    boards = Pattern(kind="stripes", color=darker(wall, 0.08), size=0.05) if chance(rng, 0.5) else None
    parts = [
        Part(label="walls", color=wall, pattern=boards, sdf=_walls(roof_kind, width, depth, tall, rise)),
        Part(
            label="roof",
            color=roof,
            sdf=_roof(roof_kind, width, depth, tall, rise),
            pattern=Pattern(kind="stripes", color=darker(roof, 0.14), size=0.045),
        ),
        Part(label="door", color=tint(rng, WOODS + VIVIDS), sdf=_door(depth)),
        Part(
            label="windows",
            color=mixed(GLASS_BLUE, (1.0, 0.95, 0.7), between(rng, 0.0, 0.5)),
            sdf=_windows(floors, width, depth, tall),
        ),
    ]
    extra = pick(rng, ("chimney", "chimney", "porch", "tower", "none"))
    if extra != "none":
        parts.append(_extra(rng, extra, width, depth, tall, rise, roof))
    floor_text, tail = ("one floor", "two floors")[floors - 1], "" if extra == "none" else f" and a {extra}"
    return Recipe(parts=tuple(parts), caption=f"a house with {floor_text}, a {roof_kind} roof{tail}")


def _walls(roof: str, width: float, depth: float, tall: float, rise: float) -> Solid:
    walls = box((width, tall, depth), 0.005, (0.0, 0.5 * tall, 0.0))
    if roof != "gable":
        return walls
    gable = prism(
        [(0.5 * depth, tall - 0.02), (0.0, tall + rise - 0.02), (-0.5 * depth, tall - 0.02)], width - 0.02, "zy"
    )
    return union(walls, gable)


def _roof(kind: str, width: float, depth: float, tall: float, rise: float) -> Solid:
    r, eave = 0.016, 0.07
    if kind == "gable":
        slope = rise / (0.5 * depth)
        z, drop, lift = 0.5 * depth + eave, eave * slope, 0.06
        outline = [
            (z, tall - drop),
            (z, tall - drop + lift),
            (0.0, tall + rise + lift),
            (-z, tall - drop + lift),
            (-z, tall - drop),
            (0.0, tall + rise),
        ]
        return prism(outline, width + 0.12, "zy", r)
    if kind == "hip":
        slab = box((width + 2 * eave, 0.05, depth + 2 * eave), r, (0.0, tall + 0.02, 0.0))
        ridge = 0.5 * width - 0.5 * depth + 0.04
        front = prism(
            [
                (-0.5 * width - 0.05, tall),
                (0.5 * width + 0.05, tall),
                (max(ridge, 0.03), tall + rise),
                (-max(ridge, 0.03), tall + rise),
            ],
            depth + 0.2,
            "xy",
        )
        side = prism([(0.5 * depth + 0.05, tall), (0.0, tall + rise), (-0.5 * depth - 0.05, tall)], width + 0.2, "zy")
        return union(slab, intersect(front, side))
    slab = box((width + 0.1, 0.06, depth + 0.1), r, (0.0, tall + 0.02, 0.0))
    return union(slab, box((width * 0.5, 0.16, depth * 0.6), r, (-0.18 * width, tall + 0.1, 0.0)))


def _door(depth: float) -> Solid:
    step = box((0.24, 0.04, 0.12), 0.01, (0.0, 0.02, 0.5 * depth + 0.04))
    return union(box((0.16, 0.29, 0.06), 0.012, (0.0, 0.145, 0.5 * depth)), step)


def _windows(floors: int, width: float, depth: float, tall: float) -> Solid:
    size, pieces = 0.15, []
    for floor in range(floors):
        y = 0.24 + floor * 0.34
        x = 0.5 * width - 0.17
        for z in (0.5 * depth, -0.5 * depth):
            pieces.append(mirror_x(box((size, size, 0.05), 0.01, (x, y, z))))
        if floor == 1:
            pieces.append(box((size, size, 0.05), 0.01, (0.0, y, 0.5 * depth)))
        pieces.append(mirror_x(box((0.05, size, size), 0.01, (0.5 * width, y, 0.0))))
    return union(*pieces)


def _extra(rng: Rng, kind: str, width: float, depth: float, tall: float, rise: float, roof: Color) -> Part:
    if kind == "chimney":
        x = pick(rng, (-1.0, 1.0)) * 0.28 * width
        stack = box((0.12, rise + 0.2, 0.12), 0.01, (x, tall + 0.5 * rise + 0.04, -0.14 * depth))
        return Part(label="chimney", color=darker(roof, 0.2), sdf=stack)
    if kind == "porch":
        z = 0.5 * depth + 0.2
        cover = box((0.5, 0.045, 0.28), 0.012, (0.0, 0.36, 0.5 * depth + 0.11))
        posts = mirror_x(move(cylinder(0.026, 0.0, 0.36, 0.005), (0.2, 0.0, z)))
        return Part(label="porch", color=WHITE, sdf=union(cover, posts))
    x = pick(rng, (-1.0, 1.0)) * 0.5 * width
    body = cylinder(0.19, 0.0, tall + 0.18, 0.01)
    cone = lathe([(0.0, tall + 0.16), (0.23, tall + 0.16), (0.0, tall + 0.5)], 0.012)
    return Part(
        label="tower",
        color=roof,
        sdf=move(union(body, cone), (x, 0.0, 0.12 * depth)),
        pattern=Pattern(kind="band", color=(0.93, 0.88, 0.8), size=tall + 0.16, start=0.0),
    )
