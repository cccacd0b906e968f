"""Tables. Units: metres. Legs, shelves and aprons are thin."""

from __future__ import annotations

import numpy as np

from framework.data.procedural.families.draw import METALS, WHITE, WOODS, Rng, between, chance, darker, pick, tint
from framework.data.procedural.operators import around_y, mirror_x, mirror_z, move, union
from framework.data.procedural.parts import Part, Pattern, Recipe
from framework.data.procedural.primitives import box, cylinder, lathe, prism, round_cone, smooth_outline
from framework.data.procedural.solid import Solid


def table(rng: Rng) -> Recipe:
    """Round, rectangular or super-elliptic top; four legs, trestles, a pedestal or panels; apron, shelf."""
    shape = pick(rng, ("round", "rectangular", "rectangular", "rounded"))
    low_table = chance(rng, 0.3)
    tall = between(rng, 0.34, 0.52) if low_table else between(rng, 0.62, 0.95)
    width = between(rng, 0.85, 1.3)
    depth = width if shape == "round" else width * between(rng, 0.62, 0.7)
    thick = between(rng, 0.055, 0.12)
    legs_kind = pick(
        rng, ("straight", "splayed", "pedestal") if shape == "round" else ("straight", "splayed", "trestle", "panels")
    )
    top_color = WHITE if chance(rng, 0.2) else tint(rng, WOODS)
    leg_color = tint(rng, METALS) if chance(rng, 0.3) else darker(top_color, between(rng, 0.05, 0.4))
    grain = Pattern(kind="grain", color=darker(top_color, 0.06), size=0.09, axis=0)
    parts = [
        Part(label="top", color=top_color, pattern=grain, sdf=_top(shape, width, depth, tall, thick)),
        Part(label="legs", color=leg_color, sdf=_legs(rng, legs_kind, shape, width, depth, tall - 0.5 * thick)),
    ]
    if legs_kind in ("straight", "splayed") and shape != "round" and chance(rng, 0.6):
        parts.append(Part(label="apron", color=leg_color, sdf=_apron(width, depth, tall - thick)))
    if legs_kind in ("straight", "panels") and chance(rng, 0.4):
        parts.append(Part(label="shelf", color=top_color, sdf=_shelf(shape, width, depth, tall)))
    kind = "coffee table" if low_table else "table"
    return Recipe(parts=tuple(parts), caption=f"a {shape} {kind} with {legs_kind} legs")


def _top(shape: str, width: float, depth: float, tall: float, thick: float) -> Solid:
    if shape == "round":
        return cylinder(0.5 * width, tall - thick, tall, 0.3 * thick)
    if shape == "rectangular":
        return box((width, thick, depth), 0.25 * thick, (0.0, tall - 0.5 * thick, 0.0))
    angles = np.linspace(0.0, 2.0 * np.pi, 28, endpoint=False)
    across, along = np.cos(angles), np.sin(angles)
    outline = [
        (0.5 * width * float(np.sign(c) * abs(c) ** 0.6), 0.5 * depth * float(np.sign(s) * abs(s) ** 0.6))
        for c, s in zip(across, along, strict=True)
    ]
    return move(prism(outline, thick), (0.0, tall - 0.5 * thick, 0.0))


def _legs(rng: Rng, kind: str, shape: str, width: float, depth: float, top: float) -> Solid:
    reach = between(rng, 0.26, 0.34) if shape == "round" else between(rng, 0.32, 0.43)
    x, z = reach * width, reach * depth
    if kind == "straight":
        side = between(rng, 0.06, 0.13)
        return mirror_x(mirror_z(box((side, top, side), 0.01, (x, 0.5 * top, z))))
    if kind == "splayed":
        out = between(rng, 0.0, 0.14)
        leg = round_cone((x - out, top - 0.035, z - out), (x, 0.02, z), between(rng, 0.04, 0.065), 0.03)
        return mirror_x(mirror_z(leg))
    if kind == "pedestal":
        return _pedestal(rng, width, top)
    if kind == "trestle":
        foot = box((0.1, 0.08, 0.8 * depth), 0.02, (0.8 * x, 0.03, 0.0))
        post = box((0.09, top, 0.2), 0.02, (0.8 * x, 0.5 * top, 0.0))
        beam = box((1.6 * x, 0.09, 0.07), 0.015, (0.0, 0.4 * top, 0.0))
        return union(mirror_x(union(foot, post)), beam)
    return mirror_x(box((between(rng, 0.05, 0.12), top, 0.84 * depth), 0.012, (x, 0.5 * top, 0.0)))


def _pedestal(rng: Rng, width: float, top: float) -> Solid:
    a, b, c = between(rng, 0.05, 0.12), between(rng, 0.045, 0.14), between(rng, 0.06, 0.14)
    stem = [(0.0, 0.03), (a, 0.03), (0.8 * a, 0.2 * top), (b, 0.5 * top), (c, 0.85 * top), (0.12, top), (0.0, top)]
    column = lathe([stem[0], *smooth_outline(stem[1:-1], 1), stem[-1]])
    if chance(rng, 0.5):
        return union(column, cylinder(between(rng, 0.2, 0.36) * width, 0.0, 0.06, 0.02))
    foot = round_cone((0.05, 0.12, 0.0), (0.32 * width, 0.03, 0.0), 0.055, 0.035)
    return union(column, around_y(foot, pick(rng, (3, 4)), 0.785))


def _apron(width: float, depth: float, top: float) -> Solid:
    x, z = 0.41 * width, 0.41 * depth
    side = box((0.05, 0.1, 2.0 * z), 0.005, (x, top - 0.035, 0.0))
    front = box((2.0 * x, 0.1, 0.05), 0.005, (0.0, top - 0.035, z))
    return union(mirror_x(side), mirror_z(front))


def _shelf(shape: str, width: float, depth: float, tall: float) -> Solid:
    y = 0.3 * tall
    if shape == "round":
        return cylinder(0.46 * width, y - 0.02, y + 0.02, 0.01)
    return box((0.88 * width, 0.05, 0.86 * depth), 0.01, (0.0, y, 0.0))
