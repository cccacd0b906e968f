"""Airplanes and rockets. Units: body length about 1. Wings, tails and fins are thin; airplanes mirror exactly in x."""

from __future__ import annotations

import numpy as np

from framework.data.procedural.families.draw import (
    DARK,
    GLASS_BLUE,
    METALS,
    VIVIDS,
    WHITE,
    Rng,
    between,
    chance,
    darker,
    lighter,
    pick,
    tint,
    two_tints,
)
from framework.data.procedural.operators import around_y, mirror_x, move, rotate, stretch, union
from framework.data.procedural.parts import Part, Pattern, Recipe
from framework.data.procedural.primitives import (
    box,
    cylinder,
    ellipsoid,
    lathe,
    prism,
    smooth_outline,
    sphere,
    torus,
)
from framework.data.procedural.solid import Solid


def airplane(rng: Rng) -> Recipe:
    """Fuselage along z with its nose at +Z, wings, tail, and two or four engines or a propeller."""
    kind = pick(rng, ("airliner", "airliner", "propeller", "jet"))
    thick = between(rng, 0.06, 0.11) * (1.2 if kind == "propeller" else 1.0)
    accent = tint(rng, VIVIDS)
    body = WHITE if chance(rng, 0.6) else lighter(accent, 0.55)
    spans = {"airliner": (0.36, 0.52), "propeller": (0.4, 0.56), "jet": (0.26, 0.42)}
    span = between(rng, *spans[kind])
    wing_y = 0.55 * thick if kind == "propeller" and chance(rng, 0.5) else -0.45 * thick
    engines, engine_label = _engines(rng, kind, span, wing_y, thick)
    parts = (
        Part(
            label="fuselage",
            color=body,
            sdf=_fuselage(thick, kind),
            pattern=Pattern(kind="band", color=accent, size=0.03, start=-0.25 * thick),
        ),
        Part(
            label="wings",
            color=accent if kind != "airliner" else (0.8, 0.82, 0.85),
            sdf=_wings(rng, kind, span, wing_y),
        ),
        Part(label="tail", color=accent, sdf=_tail(rng, thick)),
        Part(label="cockpit", color=GLASS_BLUE, sdf=_cockpit(kind, thick)),
        Part(label=engine_label, color=DARK if kind == "propeller" else tint(rng, METALS), sdf=engines),
    )
    captions = {"airliner": "an airliner", "jet": "a jet plane", "propeller": "a propeller plane"}
    return Recipe(parts=parts, caption=captions[kind])


def rocket(rng: Rng) -> Recipe:
    """A lathe body with a coloured nose, three or four fins, a round window at +Z and a nozzle; maybe boosters."""
    radius, waist = between(rng, 0.12, 0.22), between(rng, 0.55, 1.0)
    shoulder = between(rng, 0.55, 0.68)
    body_color, accent = two_tints(rng, VIVIDS)
    body_color = WHITE if chance(rng, 0.6) else body_color
    side = smooth_outline(
        [(waist * radius, 0.1), (radius, 0.3), (radius, shoulder), (0.6 * radius, 0.86), (0.0, 1.0)], 2
    )
    cut = float(np.interp(0.72, [y for _, y in side], [r for r, _ in side]))
    lower = [(r, y) for r, y in side if y < 0.72]
    upper = [(r, y) for r, y in side if y > 0.72]
    fins = pick(rng, (3, 4))
    parts = [
        Part(
            label="body",
            color=body_color,
            sdf=lathe([(0.0, 0.1), *lower, (cut, 0.72), (0.0, 0.72)]),
            pattern=Pattern(kind="band", color=accent, size=0.05, start=between(rng, 0.2, 0.3)),
        ),
        Part(label="nose", color=accent, sdf=lathe([(0.0, 0.72), (cut, 0.72), *upper], 0.004)),
        Part(label="fins", color=accent, sdf=_fins(rng, radius, waist, fins)),
        Part(label="nozzle", color=DARK, sdf=cylinder(0.75 * waist * radius, 0.03, 0.14, 0.01, 0.5 * waist * radius)),
        Part(label="window", color=GLASS_BLUE, sdf=_porthole(radius, shoulder)),
    ]
    if chance(rng, 0.3):
        booster = union(cylinder(0.06, 0.06, 0.5, 0.015), ellipsoid((0.055, 0.1, 0.055), (0.0, 0.5, 0.0)))
        parts.append(
            Part(
                label="boosters",
                color=darker(body_color, 0.15),
                sdf=mirror_x(move(booster, (radius + 0.045, 0.0, 0.0))),
            )
        )
    return Recipe(parts=tuple(parts), caption=f"a rocket with {fins} fins")


def _fuselage(thick: float, kind: str) -> Solid:
    """Nose at z = 0.5, tail at z = -0.5, the tail's underside rising."""
    tail = 0.25 if kind != "jet" else 0.55
    side = [
        (0.0, -0.5),
        (tail * thick, -0.48),
        (0.9 * thick, -0.2),
        (thick, 0.0),
        (thick, 0.3),
        (0.75 * thick, 0.46),
        (0.0, 0.5),
    ]
    if kind == "jet":
        side[-3:] = [(thick, 0.1), (0.6 * thick, 0.36), (0.0, 0.52)]
    return rotate(lathe(smooth_outline(side, 2)), "x", 90.0)


def _wings(rng: Rng, kind: str, span: float, y: float) -> Solid:
    root = {"airliner": 0.26, "propeller": 0.2, "jet": 0.44}[kind]
    taper = {"airliner": 0.35, "propeller": 0.7, "jet": 0.25}[kind]
    back = {"airliner": 0.19, "propeller": 0.02, "jet": 0.25}[kind]
    front = 0.16 if kind != "jet" else 0.14
    outline = [(0.0, front), (span, front - back), (span, front - back - taper * root), (0.0, front - root)]
    wing = prism(outline, 0.014, "xz", 0.016)
    return mirror_x(move(rotate(wing, "z", between(rng, -4.0, 14.0)), (0.0, y, 0.0)))


def _tail(rng: Rng, thick: float) -> Solid:
    tall, span = between(rng, 0.12, 0.28), between(rng, 0.12, 0.24)
    fin = prism([(-0.32, 0.0), (-0.44, tall), (-0.53, tall), (-0.49, 0.0)], 0.012, "zy", 0.014)
    plane = [(0.0, -0.36), (span, -0.43), (span, -0.51), (0.0, -0.49)]
    raised = tall if chance(rng, 0.25) else 0.1 * thick
    return union(fin, mirror_x(move(prism(plane, 0.01, "xz", 0.013), (0.0, raised, -0.02 if raised == tall else 0.0))))


def _cockpit(kind: str, thick: float) -> Solid:
    if kind == "airliner":
        return ellipsoid((0.62 * thick, 0.4 * thick, 0.08), (0.0, 0.5 * thick, 0.41))
    return ellipsoid((0.62 * thick, 0.75 * thick, 0.12), (0.0, 0.75 * thick, 0.14))


def _engines(rng: Rng, kind: str, span: float, wing_y: float, thick: float) -> tuple[Solid, str]:
    """Engines and their label. A propeller's blades stand still, one pair or two."""
    if kind == "propeller":
        blade = stretch(sphere(1.0), (0.15, 0.022, 0.02))
        blades = [rotate(blade, "z", 90.0 + 90.0 * i) for i in range(pick(rng, (1, 2)))]
        spinner = stretch(sphere(1.0), (0.035, 0.035, 0.05))
        return move(union(spinner, *blades), (0.0, 0.0, 0.5)), "propeller"
    pod = rotate(cylinder(0.042, -0.075, 0.075, 0.014), "x", 90.0)
    if kind == "jet":
        nozzle = rotate(cylinder(0.55 * thick, -0.54, -0.4, 0.008, 0.7 * thick), "x", 90.0)
        intake = box((0.05, 0.07, 0.22), 0.02, (0.9 * thick, -0.1 * thick, 0.02))
        return union(nozzle, mirror_x(intake)), "engines"
    places = (0.38, 0.68) if chance(rng, 0.35) else (0.45,)
    pods = [move(pod, (f * span, wing_y - 0.034, 0.13 - 0.2 * f)) for f in places]
    return mirror_x(union(*pods)), "engines"


def _fins(rng: Rng, radius: float, waist: float, count: int) -> Solid:
    out, top = between(rng, 0.08, 0.26), between(rng, 0.22, 0.5)
    root = 0.6 * waist * radius
    outline = [(root, 0.12), (radius + 0.6 * out, 0.0), (radius + out, 0.0), (radius + out, 0.1), (radius - 0.02, top)]
    # One fin of three points to the viewer's back, so that the window stays clear.
    return around_y(prism(outline, 0.014, "xy", 0.014), count, 0.785 if count == 4 else -0.524)


def _porthole(radius: float, y: float) -> Solid:
    ring = move(rotate(torus(0.055, 0.016), "x", 90.0), (0.0, y - 0.08, radius))
    return union(ring, ellipsoid((0.055, 0.055, 0.02), (0.0, y - 0.08, radius)))
