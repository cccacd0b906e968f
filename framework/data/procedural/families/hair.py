"""Hair for heads and characters: a skull's offset clipped by a hairline, and locks.

Written for a skull around the origin with radii (width, 0.5, 0.47) that looks to +Z; others scale the result.
"""

from __future__ import annotations

import numpy as np

from framework.data.procedural.families.draw import Rng, between, pick
from framework.data.procedural.operators import clip, mirror_x, offset, smooth_union, subtract
from framework.data.procedural.primitives import box, ellipsoid, round_cone, sphere, sweep
from framework.data.procedural.solid import Solid

HAIR_STYLES = ("bob", "spikes", "bun", "twin tails", "long", "short", "bald")


def hair(rng: Rng, style: str, skull: Solid, width: float) -> Solid:
    """One closed solid of hair. The skull's inside belongs to it, so that layers nest."""
    thick = between(rng, 0.055, 0.085)
    cap = _cap(rng, skull, thick)
    extras = {"bob": _bob, "spikes": _spikes, "bun": _bun, "twin tails": _tails, "long": _long, "short": _short}[style]
    return smooth_union(0.04, cap, *extras(rng, width, thick))


def _cap(rng: Rng, skull: Solid, thick: float) -> Solid:
    """The grown skull above a tilted plane: the hairline is high in front, low behind."""
    line = between(rng, -0.02, 0.05)
    cap = clip(offset(skull, thick), (0.0, -1.0, between(rng, 1.0, 1.3)), line)
    return clip(cap, (0.0, -1.0, 0.0), 0.3)


def _fringe(rng: Rng, width: float) -> list[Solid]:
    """Three to five locks over the forehead, swept to one side."""
    count, side = pick(rng, (3, 4, 5)), pick(rng, (-1.0, 1.0))
    locks = []
    for i in range(count):
        a = -0.75 + 1.5 * i / (count - 1)
        top = (0.45 * width * a - 0.05 * side, 0.42, 0.30)
        end = (0.72 * width * a + 0.05 * side, 0.2 - 0.06 * abs(a), 0.47 - 0.12 * a * a)
        locks.append(round_cone(top, end, 0.1, 0.045))
    return locks


def _bob(rng: Rng, width: float, thick: float) -> list[Solid]:
    low = between(rng, -0.42, -0.25)
    bell = ellipsoid((width + thick + 0.05, 0.62, 0.47 + thick + 0.02), (0.0, -0.05, -0.02))
    bell = clip(bell, (0.0, -1.0, 0.0), -low)
    face = box((2 * width * 0.8, 1.4, 0.9), 0.1, (0.0, -0.52, 0.56))
    return [subtract(bell, face), *_fringe(rng, width)]


def _spikes(rng: Rng, width: float, thick: float) -> list[Solid]:
    count, locks = 9, []
    length = between(rng, 0.2, 0.32)
    for i in range(count):
        angle = 2.0 * float(np.pi) * i / count + 0.35
        rise = 0.5 if i % 2 else 0.95
        out = np.array([np.cos(angle) * np.cos(rise), np.sin(rise), np.sin(angle) * np.cos(rise)])
        start = 0.42 * out * np.array([width / 0.45, 1.0, 1.0])
        end = start + (length + 0.08) * (out + np.array([0.0, 0.25, 0.0]))
        locks.append(round_cone(start.tolist(), end.tolist(), 0.13, 0.03))
    locks.append(round_cone((0.0, 0.4, 0.0), (0.0, 0.62 + length, 0.0), 0.15, 0.03))
    return locks


def _bun(rng: Rng, width: float, thick: float) -> list[Solid]:
    size = between(rng, 0.15, 0.21)
    if pick(rng, (1, 2)) == 1:
        return [sphere(size, (0.0, 0.58, -0.2)), *_fringe(rng, width)]
    return [mirror_x(sphere(size, (0.34, 0.5, -0.05))), *_fringe(rng, width)]


def _tails(rng: Rng, width: float, thick: float) -> list[Solid]:
    out, low = between(rng, 0.16, 0.3), between(rng, -0.6, -0.3)
    x = width + 0.04
    path = [(x - 0.1, 0.18, -0.1), (x + 0.6 * out, 0.2, -0.12), (x + out, -0.1, -0.12), (x + 0.8 * out, low, -0.1)]
    return [mirror_x(sweep(path, (0.07, 0.12, 0.13, 0.05))), *_fringe(rng, width)]


def _long(rng: Rng, width: float, thick: float) -> list[Solid]:
    low = between(rng, -0.72, -0.55)
    curtain = smooth_union(
        0.1,
        ellipsoid((width + thick, 0.5, 0.42), (0.0, 0.0, -0.06)),
        box((2 * (width + thick) - 0.06, 0.4 - low, 0.34), 0.15, (0.0, 0.5 * (low + 0.1), -0.28)),
    )
    face = box((2 * width * 0.85, 1.6, 0.9), 0.1, (0.0, -0.55, 0.5))
    return [subtract(curtain, face), *_fringe(rng, width)]


def _short(rng: Rng, width: float, thick: float) -> list[Solid]:
    side = pick(rng, (-1.0, 1.0))
    quiff = round_cone((-0.2 * side, 0.44, 0.22), (0.16 * side, 0.5, 0.3), 0.13, 0.09)
    return [quiff, *_fringe(rng, width)]
