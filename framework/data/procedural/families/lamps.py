"""Table and floor lamps. The shade is a hollow shell, the stem is thin."""

from __future__ import annotations

from framework.data.procedural.families.draw import (
    CERAMICS,
    FABRICS,
    METALS,
    WOODS,
    Rng,
    between,
    chance,
    darker,
    hex_color,
    lighter,
    pick,
    tint,
)
from framework.data.procedural.operators import move, union
from framework.data.procedural.parts import Part, Pattern, Recipe
from framework.data.procedural.primitives import (
    bezier,
    capsule,
    cylinder,
    lathe,
    lathe_wall,
    smooth_outline,
    sphere,
    sweep,
)
from framework.data.procedural.solid import Solid, Vector

BULB = hex_color("fff0b8")


def lamp(rng: Rng) -> Recipe:
    """Base, straight, bent or turned stem, and a cone, drum or dome shade with a bulb inside."""
    stem_kind = pick(rng, ("straight", "bent", "turned"))
    shade_kind = pick(rng, ("cone", "drum", "dome"))
    tall = between(rng, 0.62, 0.95)
    shade_radius, shade_height = between(rng, 0.18, 0.34), between(rng, 0.18, 0.38)
    metal = tint(rng, METALS if stem_kind != "turned" else CERAMICS + WOODS)
    cloth = lighter(tint(rng, FABRICS), between(rng, 0.0, 0.5))
    if stem_kind == "bent":
        shade_radius, shade_height = 0.75 * shade_radius, 0.75 * shade_height
    stem, top = _stem(rng, stem_kind, tall)
    shade = move(_shade(shade_kind, shade_radius, shade_height), top)
    bulb_y = top[1] - 0.3 * shade_height
    bulb_center, socket_top = (top[0], bulb_y, top[2]), (top[0], top[1] - 0.02, top[2])
    bulb = union(sphere(0.055, bulb_center), capsule(bulb_center, socket_top, 0.024))
    trim = (
        Pattern(kind="band", color=darker(cloth, 0.35), size=0.04, start=top[1] - shade_height)
        if chance(rng, 0.5)
        else None
    )
    parts = (
        Part(label="base", color=metal, sdf=_base(rng, stem_kind)),
        Part(label="stem", color=metal, sdf=stem),
        Part(label="bulb", color=BULB, sdf=bulb),
        Part(label="shade", color=cloth, sdf=shade, pattern=trim),
    )
    return Recipe(parts=parts, caption=f"a lamp with a {stem_kind} stem and a {shade_kind} shade")


def _base(rng: Rng, stem_kind: str) -> Solid:
    radius = between(rng, 0.13, 0.24) if stem_kind != "turned" else between(rng, 0.11, 0.14)
    if chance(rng, 0.5):
        return cylinder(radius, 0.0, 0.05, 0.018)
    return lathe([(0.0, 0.0), (radius, 0.0), (radius, 0.02), (0.45 * radius, 0.06), (0.0, 0.08)], 0.01)


def _stem(rng: Rng, kind: str, tall: float) -> tuple[Solid, Vector]:
    """The stem and the point at its top from which the shade hangs."""
    if kind == "straight":
        return capsule((0.0, 0.03, 0.0), (0.0, tall - 0.02, 0.0), between(rng, 0.03, 0.045)), (0.0, tall, 0.0)
    if kind == "bent":
        out = between(rng, 0.22, 0.34)
        top = (out, 0.86 * tall, 0.0)
        path = bezier([(0.0, 0.03, 0.0), (0.0, 1.1 * tall, 0.0), (0.5 * out, 1.2 * tall, 0.0), top], 9)
        return sweep(path, 0.034), top
    radii = [between(rng, 0.05, 0.1), between(rng, 0.09, 0.15), between(rng, 0.04, 0.12), 0.03]
    heights = [0.04, 0.3 * tall, 0.5 * tall, 0.68 * tall]
    body = smooth_outline([(r, y) for r, y in zip(radii, heights, strict=True)], 2)
    turned = lathe([(0.0, heights[0]), *body, (0.0, heights[-1])])
    return union(turned, capsule((0.0, 0.6 * tall, 0.0), (0.0, tall - 0.02, 0.0), 0.024)), (0.0, tall, 0.0)


def _shade(kind: str, radius: float, height: float) -> Solid:
    """A wall that hangs down from the origin and is joined to it at its top."""
    low, wall = -height, 0.045
    if kind == "cone":
        profile = [(0.0, 0.0), (0.5 * radius, 0.0), (radius, low)]
    elif kind == "drum":
        profile = [(0.0, 0.0), (0.88 * radius, 0.0), (0.92 * radius, low)]
    else:
        profile = smooth_outline([(0.0, 0.0), (0.75 * radius, -0.02), (radius, 0.6 * low), (radius, low)], 2)
    return lathe_wall(profile, wall)
