"""Cars. Units: body length about 1, along z with the front at +Z. Mirror images in x."""

from __future__ import annotations

from framework.data.procedural.families.draw import (
    GLASS_BLUE,
    RUBBER,
    VIVIDS,
    WHITE,
    Rng,
    between,
    chance,
    darker,
    hex_color,
    mixed,
    pick,
    tint,
)
from framework.data.procedural.operators import mirror_x, move, rotate, subtract, union
from framework.data.procedural.parts import Part, Pattern, Recipe
from framework.data.procedural.primitives import box, cylinder, ellipsoid, prism
from framework.data.procedural.solid import Solid

HEADLIGHT = hex_color("ffe9a8")
TAILLIGHT = hex_color("c8322e")
HUBS = (hex_color("d9dde1"), hex_color("a9b0b8"), hex_color("f0ede6"))

# Side view of the cabin per kind, as (z, share of the cabin's height): front window to rear window.
_CABINS = {
    "sedan": ((0.2, 0.0), (0.06, 1.0), (-0.2, 1.0), (-0.36, 0.0)),
    "hatchback": ((0.2, 0.0), (0.06, 1.0), (-0.34, 1.0), (-0.44, 0.0)),
    "van": ((0.38, 0.0), (0.3, 1.0), (-0.44, 1.0), (-0.46, 0.0)),
    "pickup": ((0.22, 0.0), (0.1, 1.0), (-0.08, 1.0), (-0.12, 0.0)),
}


def car(rng: Rng) -> Recipe:
    """Body with wheel arches, glass cabin and roof, four wheels, lights: sedan, hatchback, van or pickup."""
    kind = pick(rng, tuple(_CABINS))
    width, deck = between(rng, 0.38, 0.5), between(rng, 0.23, 0.36)
    cabin = between(rng, 0.12, 0.24) * (1.25 if kind == "van" else 1.0)
    wheel, axle = between(rng, 0.08, 0.12), between(rng, 0.29, 0.31)
    paint = WHITE if chance(rng, 0.15) else tint(rng, VIVIDS)
    glass = mixed(GLASS_BLUE, (0.1, 0.15, 0.2), between(rng, 0.2, 0.7))
    stripe = Pattern(kind="band", color=darker(paint, 0.5), size=0.035, start=0.15) if chance(rng, 0.4) else None
    parts = (
        Part(label="body", color=paint, pattern=stripe, sdf=_body(kind, width, deck, wheel, axle)),
        Part(label="windows", color=glass, sdf=_cabin(kind, width, deck, cabin)),
        Part(label="roof", color=paint, sdf=_roof(kind, width, deck + cabin)),
        Part(label="tires", color=RUBBER, sdf=_wheels(width, wheel, axle, wheel, -0.095, 0.005)),
        Part(label="hubs", color=tint(rng, HUBS), sdf=_wheels(width, wheel, axle, 0.55 * wheel, -0.15, 0.03)),
        Part(
            label="headlights",
            color=HEADLIGHT,
            sdf=mirror_x(ellipsoid((0.05, 0.035, 0.03), (0.36 * width, 0.78 * deck, 0.485))),
        ),
        Part(
            label="taillights",
            color=TAILLIGHT,
            sdf=mirror_x(box((0.08, 0.05, 0.03), 0.01, (0.36 * width, 0.78 * deck, -0.49))),
        ),
    )
    return Recipe(parts=parts, caption=f"a {kind}")


def _body(kind: str, width: float, deck: float, wheel: float, axle: float) -> Solid:
    r, floor = 0.035, 0.07
    nose = deck - (0.02 if kind != "van" else 0.0)
    outline = [
        (-0.5 + r, floor + r),
        (0.5 - r, floor + r),
        (0.5 - r, nose - 0.04 - r),
        (0.24, deck - r),
        (-0.5 + r, deck - r),
    ]
    body = prism(outline, width - 2 * r, "zy", r)
    arch = rotate(cylinder(wheel + 0.022, 0.5 * width - 0.12, 0.5 * width + 0.1), "z", -90.0)
    arches = [mirror_x(move(arch, (0.0, wheel, z))) for z in (axle, -axle)]
    if kind == "pickup":
        arches.append(box((width - 0.09, 0.14, 0.29), 0.01, (0.0, deck + 0.01, -0.3)))
    return subtract(body, *arches)


def _cabin(kind: str, width: float, deck: float, tall: float) -> Solid:
    r = 0.025
    outline = [(z, deck - 0.03 + share * (tall + 0.01)) for z, share in _CABINS[kind]]
    return prism(outline, width - 0.06 - 2 * r, "zy", r)


def _roof(kind: str, width: float, y: float) -> Solid:
    front, back = _CABINS[kind][1][0], _CABINS[kind][2][0]
    return box((width - 0.04, 0.045, front - back + 0.06), 0.02, (0.0, y + 0.01, 0.5 * (front + back)))


def _wheels(width: float, wheel: float, axle: float, radius: float, inner: float, outer: float) -> Solid:
    """Four discs from `inner` to `outer` past the body's side."""
    disc = rotate(cylinder(radius, 0.5 * width + inner, 0.5 * width + outer, 0.018), "z", -90.0)
    return mirror_x(union(*[move(disc, (0.0, wheel, z)) for z in (axle, -axle)]))
