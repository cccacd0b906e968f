"""Chairs and sofas. Units: metres. Legs, slats, rungs and arms of chairs are thin."""

from __future__ import annotations

from framework.data.procedural.families.draw import (
    FABRICS,
    METALS,
    WOODS,
    Rng,
    between,
    chance,
    darker,
    lighter,
    pick,
    tint,
)
from framework.data.procedural.operators import around_y, mirror_x, mirror_z, move, rotate, union
from framework.data.procedural.parts import Part, Pattern, Recipe
from framework.data.procedural.primitives import box, capsule, cylinder, round_cone, sweep
from framework.data.procedural.solid import Solid


def chair(rng: Rng) -> Recipe:
    """Seat, legs of four kinds, back of four kinds or none, sometimes arms and a cushion."""
    width, depth = between(rng, 0.42, 0.54), between(rng, 0.42, 0.46)
    height, thick = between(rng, 0.36, 0.52), between(rng, 0.06, 0.12)
    wood = tint(rng, WOODS if chance(rng, 0.6) else FABRICS)
    legs_kind = pick(rng, ("splayed", "square", "pedestal", "sled"))
    back_kind = pick(rng, ("slab", "slats", "rungs", "frame", "slab", "slats", "none"))
    grain = Pattern(kind="grain", color=darker(wood, 0.07), size=0.055, axis=2)
    leg_color = tint(rng, METALS) if legs_kind in ("pedestal", "sled") else darker(wood, between(rng, 0.0, 0.35))
    round_seat = legs_kind in ("splayed", "pedestal") and back_kind in ("slab", "none") and chance(rng, 0.6)
    depth = 0.85 * width if round_seat else depth
    parts = [
        Part(label="seat", color=wood, pattern=grain, sdf=_seat(width, depth, height, thick, round_seat)),
        Part(label="legs", color=leg_color, sdf=_legs(rng, legs_kind, width, depth, height - thick)),
    ]
    if back_kind != "none":
        back = _chair_back(rng, back_kind, width, between(rng, 0.34, 0.62))
        back = move(rotate(back, "x", -between(rng, 5.0, 10.0)), (0.0, height - 0.5 * thick, -0.5 * depth + 0.03))
        parts.append(Part(label="back", color=wood, pattern=grain, sdf=back))
        if chance(rng, 0.3) and legs_kind != "pedestal":
            parts.append(Part(label="arms", color=leg_color, sdf=_arms(width, depth, height, thick)))
    if chance(rng, 0.4):
        parts.append(_cushion(rng, width, depth, height, round_seat))
    name = {"none": "stool"}.get(back_kind, f"chair with a {back_kind} back")
    return Recipe(parts=tuple(parts), caption=f"a {name} on {legs_kind} legs")


def sofa(rng: Rng) -> Recipe:
    """Base, back, arms, one to three seat cushions, legs; sometimes throw pillows."""
    seats = pick(rng, (1, 2, 2, 3, 3))
    seat_width, depth = between(rng, 0.42, 0.7) + 0.1 / seats, between(rng, 0.8, 0.86)
    arm, arm_height = between(rng, 0.1, 0.28), between(rng, 0.48, 0.72)
    back_height, back_thick = between(rng, 0.7, 1.1), between(rng, 0.18, 0.22)
    base_low = between(rng, 0.06, 0.2)
    base_high = base_low + between(rng, 0.1, 0.2)
    inner = seats * seat_width
    cloth = tint(rng, FABRICS)
    rounding = between(rng, 0.03, 0.07)
    base = box((inner + 0.04, base_high - base_low, depth), 0.02, (0.0, 0.5 * (base_low + base_high), 0.0))
    back = box(
        (inner + 0.04, back_height - base_low, back_thick),
        rounding,
        (0.0, 0.5 * (base_low + back_height), -0.5 * depth + 0.5 * back_thick),
    )
    back = move(rotate(move(back, (0.0, 0.0, 0.5 * depth)), "x", -between(rng, 0.0, 8.0)), (0.0, 0.0, -0.5 * depth))
    parts = [
        Part(label="frame", color=cloth, sdf=union(base, back)),
        Part(label="arms", color=darker(cloth, 0.06), sdf=_sofa_arms(rng, inner, arm, arm_height, base_low, depth)),
        Part(
            label="cushions",
            color=lighter(cloth, between(rng, 0.1, 0.35)),
            sdf=_seat_cushions(seats, seat_width, depth, back_thick, base_high),
        ),
        Part(label="legs", color=tint(rng, WOODS), sdf=_sofa_legs(inner, arm, depth, base_low)),
    ]
    if chance(rng, 0.6):
        parts.append(_pillows(rng, inner, depth, back_thick))
    return Recipe(parts=tuple(parts), caption=f"a sofa with {seats} seat{'s' if seats > 1 else ''}")


def _seat(width: float, depth: float, height: float, thick: float, is_round: bool) -> Solid:
    if is_round:
        return cylinder(0.5 * width, height - thick, height, 0.45 * thick)
    return box((width, thick, depth), 0.3 * thick, (0.0, height - 0.5 * thick, 0.0))


def _legs(rng: Rng, kind: str, width: float, depth: float, top: float) -> Solid:
    top = top + 0.02
    if kind == "splayed":
        out = between(rng, 0.0, 0.07)
        x, z = 0.36 * width, 0.36 * depth
        leg = round_cone((x, top - 0.012, z), (x + out, 0.015, z + out), between(rng, 0.03, 0.045), 0.026)
        return mirror_x(mirror_z(leg))
    if kind == "square":
        side = between(rng, 0.05, 0.085)
        x, z = 0.5 * (width - side) - 0.01, 0.5 * (depth - side) - 0.01
        leg = box((side, top, side), 0.004, (x, 0.5 * top, z))
        return mirror_x(mirror_z(leg))
    if kind == "pedestal":
        foot = round_cone((0.03, 0.07, 0.0), (0.27, 0.035, 0.0), 0.045, 0.03)
        return union(
            capsule((0.0, 0.07, 0.0), (0.0, top, 0.0), between(rng, 0.035, 0.055)),
            around_y(foot, pick(rng, (4, 5)), 0.785),
        )
    x, z, r = 0.5 * width - 0.05, 0.5 * depth - 0.02, 0.03
    bent = [(x, top, z - 0.05), (x, 0.06, z), (x, r, z - 0.05), (x, r, -z + 0.05), (x, 0.06, -z), (x, top, -z + 0.05)]
    return mirror_x(sweep(bent, r))


def _chair_back(rng: Rng, kind: str, width: float, tall: float) -> Solid:
    """A back standing on y = 0 in the plane z = 0."""
    w = width - 0.04
    if kind == "slab":
        low = between(rng, 0.0, 0.14)
        panel = box((w, tall - low, 0.06), between(rng, 0.015, 0.028), (0.0, 0.5 * (tall + low), 0.0))
        return panel if low < 0.05 else union(panel, _posts(0.3 * w, tall - 0.05, 0.026))
    posts = _posts(0.5 * w - 0.02, tall, 0.028)
    rail = box((w - 0.03, 0.07, 0.036), 0.012, (0.0, tall - 0.04, 0.0))
    if kind == "slats":
        count = pick(rng, (2, 3))
        step = (w - 0.04) / (count + 1)
        bars = [
            box((0.05, tall - 0.04, 0.028), 0.01, (-0.5 * w + 0.02 + step * (i + 1), 0.5 * tall - 0.02, 0.0))
            for i in range(count)
        ]
        return union(posts, rail, *bars)
    if kind == "rungs":
        count = pick(rng, (2, 3))
        bars = [
            box((w - 0.03, 0.07, 0.034), 0.012, (0.0, tall * (0.3 + 0.7 * i / (count + 1)), 0.0))
            for i in range(1, count + 1)
        ]
        return union(posts, rail, *bars)
    panel = box((w - 0.14, 0.5 * tall, 0.03), 0.012, (0.0, 0.58 * tall, 0.0))
    lower = box((w - 0.03, 0.05, 0.03), 0.012, (0.0, 0.34 * tall, 0.0))
    return union(posts, rail, panel, lower)


def _posts(x: float, tall: float, radius: float) -> Solid:
    return mirror_x(capsule((x, -0.01, 0.0), (x, tall - 0.5 * radius, 0.0), radius))


def _arms(width: float, depth: float, height: float, thick: float) -> Solid:
    x, y = 0.5 * width - 0.005, height + 0.2
    top = box((0.065, 0.05, depth * 0.9), 0.012, (x, y, -0.01))
    post = capsule((x, height - 0.5 * thick, 0.32 * depth), (x, y, 0.32 * depth), 0.028)
    return mirror_x(union(top, post))


def _cushion(rng: Rng, width: float, depth: float, height: float, is_round: bool) -> Part:
    color = tint(rng, FABRICS)
    solid = (
        cylinder(0.44 * width, height - 0.01, height + 0.045, 0.025)
        if is_round
        else box((0.86 * width, 0.055, 0.8 * depth), 0.026, (0.0, height + 0.016, 0.02))
    )
    checks = Pattern(kind="checks", color=lighter(color), size=0.07) if chance(rng, 0.3) else None
    return Part(label="cushion", color=color, sdf=solid, pattern=checks)


def _sofa_arms(rng: Rng, inner: float, arm: float, tall: float, low: float, depth: float) -> Solid:
    x = 0.5 * inner + 0.5 * arm
    slab = box((arm, tall - low, depth * 0.97), min(0.05, 0.4 * arm), (x, 0.5 * (tall + low), 0.01))
    if chance(rng, 0.4):
        roll = capsule((x, tall - 0.04, 0.44 * depth), (x, tall - 0.04, -0.44 * depth), 0.5 * arm + 0.03)
        return mirror_x(union(slab, roll))
    return mirror_x(slab)


def _seat_cushions(seats: int, width: float, depth: float, back: float, base: float) -> Solid:
    z = 0.5 * back + 0.01
    one = [
        box((width - 0.015, 0.16, depth - back), 0.05, ((i - 0.5 * (seats - 1)) * width, base + 0.08, z))
        for i in range(seats)
    ]
    return union(*one)


def _sofa_legs(inner: float, arm: float, depth: float, low: float) -> Solid:
    x, z = 0.5 * inner + 0.3 * arm, 0.5 * depth - 0.08
    return mirror_x(mirror_z(round_cone((x, low + 0.02, z), (x, 0.025, z), 0.035, 0.025)))


def _pillows(rng: Rng, inner: float, depth: float, back: float) -> Part:
    color = tint(rng, FABRICS)
    pillow = rotate(box((0.36, 0.34, 0.13), 0.06), "x", -18.0)
    place = (0.5 * inner - 0.2, 0.6, -0.5 * depth + back + 0.12)
    solid = mirror_x(move(pillow, place)) if inner > 1.0 else move(pillow, (0.0, *place[1:]))
    stripes = Pattern(kind="stripes", color=lighter(color, 0.5), size=0.045, axis=0) if chance(rng, 0.5) else None
    return Part(label="pillows", color=color, sdf=solid, pattern=stripes)
