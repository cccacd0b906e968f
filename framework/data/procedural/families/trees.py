"""Trees: broadleaf, pine and poplar. Units: height about 1. Trunks are thin."""

from __future__ import annotations

import numpy as np

from framework.data.procedural.families.draw import (
    BARKS,
    LEAVES,
    VIVIDS,
    Rng,
    between,
    chance,
    darker,
    lighter,
    pick,
    tint,
)
from framework.data.procedural.operators import smooth_union, union
from framework.data.procedural.parts import Part, Pattern, Recipe
from framework.data.procedural.primitives import cylinder, ellipsoid, lathe, round_cone, smooth_outline, sphere, sweep
from framework.data.procedural.solid import Solid


def tree(rng: Rng) -> Recipe:
    """Trunk and crown; broadleaf trees sometimes bear fruit."""
    kind = pick(rng, ("broadleaf", "broadleaf", "pine", "poplar"))
    bark, leaf = tint(rng, BARKS), tint(rng, LEAVES if kind != "pine" else LEAVES[:5])
    crown_low = between(rng, 0.22, 0.48) if kind == "broadleaf" else between(rng, 0.14, 0.32)
    crown = {"broadleaf": _broadleaf, "pine": _pine, "poplar": _poplar}[kind](rng, crown_low)
    dapple = Pattern(kind="speckle", color=lighter(leaf, 0.18), size=0.1) if chance(rng, 0.6) else None
    ground = cylinder(between(rng, 0.2, 0.28), 0.0, 0.045, 0.02)
    parts = [
        Part(label="ground", color=tint(rng, LEAVES[:4]), sdf=ground),
        Part(
            label="trunk",
            color=bark,
            sdf=_trunk(rng, kind, crown_low),
            pattern=Pattern(kind="stripes", color=darker(bark, 0.12), size=0.03),
        ),
        Part(label="crown", color=leaf, sdf=crown, pattern=dapple),
    ]
    if kind == "broadleaf" and chance(rng, 0.35):
        parts.append(Part(label="fruit", color=tint(rng, VIVIDS[:3]), sdf=_fruit(rng, crown)))
    return Recipe(parts=tuple(parts), caption=f"a {kind} tree" + (" with fruit" if len(parts) > 3 else ""))


def _trunk(rng: Rng, kind: str, top: float) -> Solid:
    width = between(rng, 0.035, 0.065)
    trunk = round_cone((0.0, width + 0.03, 0.0), (0.0, top + 0.12, 0.0), width + 0.015, width)
    if kind != "broadleaf":
        return trunk
    branch = sweep([(0.0, 0.6 * top, 0.0), (0.09, top, 0.02), (0.12, top + 0.12, 0.03)], (0.03, 0.026, 0.02))
    return smooth_union(0.03, trunk, branch)


def _broadleaf(rng: Rng, low: float) -> Solid:
    """A big ball and four to six smaller ones around it, smoothly joined."""
    middle = 0.5 * (low + 1.0)
    radius = 0.40 * (1.0 - low)
    blobs = [ellipsoid((1.05 * radius, radius, 1.05 * radius), (0.0, middle, 0.0))]
    count = pick(rng, (4, 5, 6))
    turn = between(rng, 0.0, 6.28)
    for i in range(count):
        angle = turn + 2.0 * float(np.pi) * i / count
        away = 0.75 * radius * between(rng, 0.9, 1.15)
        y = middle + radius * between(rng, -0.35, 0.5)
        center = (away * float(np.cos(angle)), y, away * float(np.sin(angle)))
        blobs.append(sphere(radius * between(rng, 0.5, 0.7), center))
    return smooth_union(0.05, *blobs)


def _pine(rng: Rng, low: float) -> Solid:
    layers = pick(rng, (2, 3, 4))
    width = between(rng, 0.2, 0.4)
    step = (1.0 - low) / (layers + 0.6)
    cones = []
    for i in range(layers):
        base = low + i * step
        radius = width * (1.0 - 0.24 * i * 3 / layers)
        cones.append(lathe([(0.0, base), (radius, base), (0.0, base + 1.6 * step)], 0.018))
    return union(*cones)


def _poplar(rng: Rng, low: float) -> Solid:
    width = between(rng, 0.15, 0.32)
    side = [(0.0, low), (0.9 * width, low + 0.03), (1.1 * width, low + 0.3), (0.55 * width, 0.86), (0.0, 1.0)]
    return lathe(smooth_outline(side, 2))


def _fruit(rng: Rng, crown: Solid) -> Solid:
    """Balls on the crown's skin: from its middle outwards to where the field changes sign."""
    middle = np.add(crown.lower, crown.upper) / 2.0
    balls = []
    for i in range(6):
        angle, rise = 1.05 * i + between(rng, -0.3, 0.3), between(rng, -0.4, 0.5)
        direction = np.array([np.cos(angle) * np.cos(rise), np.sin(rise), np.sin(angle) * np.cos(rise)])
        ray = middle + np.linspace(0.0, 0.5, 64)[:, None] * direction
        outside = np.flatnonzero(crown(ray) > 0)
        balls.append(sphere(0.04, ray[int(outside[0])].tolist()))
    return union(*balls)
