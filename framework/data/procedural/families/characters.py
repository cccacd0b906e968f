"""Layered characters: body, clothes and hair as closed, nested solids; the body continues under the clothes.

The body is a smooth union of round cones along a skeleton plus a head. Clothes are the same limbs grown by a few
hundredths and clipped to intervals, so the body lies strictly inside them where they cover it. Units: about 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from framework.data.procedural.families.draw import (
    DARK,
    FABRICS,
    HAIRS,
    IRISES,
    SKINS,
    VIVIDS,
    WHITE,
    Rng,
    between,
    chance,
    darker,
    lighter,
    pick,
    tint,
)
from framework.data.procedural.families.hair import HAIR_STYLES, hair
from framework.data.procedural.operators import clip, mirror_x, move, offset, smooth_union, stretch, union
from framework.data.procedural.parts import Part, Pattern, Recipe
from framework.data.procedural.primitives import ellipsoid, lathe, round_cone, sphere
from framework.data.procedural.solid import Solid, Vector


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """Joint places of the right half (x >= 0) and sizes; the left half mirrors it."""

    head: float
    """Head radius."""
    head_y: float
    shoulder: Vector
    elbow: Vector
    hand: Vector
    hip: Vector
    knee: Vector
    foot: Vector
    limb: float
    """Radius of the upper arm."""
    girth: float
    """Radius of the chest."""


def character(rng: Rng) -> Recipe:
    """Chibi to cartoon proportions, arms hanging to spread; shirt or dress, trousers or skirt, shoes, hair."""
    bones = _skeleton(rng)
    outfit = pick(rng, ("trousers", "shorts", "skirt", "dress"))
    skin, hair_color = tint(rng, SKINS, 0.005), tint(rng, HAIRS)
    top, bottom = tint(rng, VIVIDS + FABRICS), tint(rng, FABRICS)
    torso, arm, leg = _torso(bones), _arm(bones), _leg(bones)
    head = ellipsoid((0.94 * bones.head, bones.head, 0.92 * bones.head), (0.0, bones.head_y, 0.0))
    body = union(smooth_union(0.03, torso, mirror_x(arm), mirror_x(leg)), head)
    stripes = Pattern(kind="stripes", color=lighter(top, 0.6), size=0.035) if chance(rng, 0.3) else None
    parts = [
        Part(label="body", color=skin, sdf=body),
        Part(label="shirt", color=top, pattern=stripes, sdf=_shirt(rng, bones, torso, arm)),
        Part(label=outfit, color=top if outfit == "dress" else bottom, sdf=_bottom(bones, outfit, torso, leg)),
        Part(label="shoes", color=darker(tint(rng, VIVIDS), 0.3) if chance(rng, 0.6) else DARK, sdf=_shoes(bones)),
    ]
    parts += _face(rng, bones)
    style = pick(rng, HAIR_STYLES[:6])
    skull = ellipsoid((0.47, 0.5, 0.46))
    locks = stretch(hair(rng, style, skull, 0.47), (2.0 * bones.head,) * 3)
    parts.append(Part(label="hair", color=hair_color, sdf=move(locks, (0.0, bones.head_y, 0.0))))
    return Recipe(parts=tuple(parts), caption=f"a character with {style} hair and {outfit}")


def _skeleton(rng: Rng) -> Skeleton:
    head = between(rng, 0.13, 0.24)
    leg, torso = between(rng, 0.2, 0.42), between(rng, 0.2, 0.34)
    spread = between(rng, 0.1, 0.95)
    girth, limb = between(rng, 0.095, 0.14), between(rng, 0.038, 0.055)
    shoulder_y = leg + torso
    x = 0.85 * girth
    reach = 0.42 * (leg + torso)
    out, down = reach * (0.35 + 0.6 * spread), reach * (1.0 - 0.75 * spread)
    hip_x = between(rng, 0.06, 0.075)
    stance = between(rng, 0.0, 0.03)
    return Skeleton(
        head=head,
        head_y=shoulder_y + 0.9 * head + 0.05,
        shoulder=(x, shoulder_y, 0.0),
        elbow=(x + 0.5 * out, shoulder_y - 0.5 * down, 0.0),
        hand=(x + out, shoulder_y - down, 0.02),
        hip=(hip_x, leg, 0.0),
        knee=(hip_x + 0.5 * stance, 0.52 * leg, 0.008),
        foot=(hip_x + stance, 0.045, 0.0),
        limb=limb,
        girth=girth,
    )


def _torso(bones: Skeleton) -> Solid:
    chest_y, hip_y = bones.shoulder[1] - 0.05, bones.hip[1] + 0.02
    trunk = round_cone((0.0, chest_y, 0.0), (0.0, hip_y, 0.0), bones.girth, 0.98 * bones.girth)
    neck = round_cone((0.0, chest_y, 0.0), (0.0, bones.head_y, 0.0), 0.045, 0.045)
    return smooth_union(0.05, trunk, neck)


def _arm(bones: Skeleton) -> Solid:
    r = bones.limb
    upper = round_cone(bones.shoulder, bones.elbow, 1.1 * r, r)
    lower = round_cone(bones.elbow, bones.hand, r, 0.85 * r)
    return union(upper, lower, sphere(1.2 * r, bones.hand))


def _leg(bones: Skeleton) -> Solid:
    r = 1.35 * bones.limb
    return union(round_cone(bones.hip, bones.knee, 1.15 * r, r), round_cone(bones.knee, bones.foot, r, 0.8 * r))


def _shirt(rng: Rng, bones: Skeleton, torso: Solid, arm: Solid) -> Solid:
    """Torso up to the neck with sleeves that end between elbow and hand, or above the elbow."""
    trunk = clip(
        clip(offset(torso, 0.022), (0.0, -1.0, 0.0), -bones.hip[1] - 0.01), (0.0, 1.0, 0.0), bones.shoulder[1] + 0.045
    )
    along = (bones.hand[0] - bones.shoulder[0], bones.hand[1] - bones.shoulder[1], 0.0)
    share = pick(rng, (0.4, 0.8))
    end = tuple(s + share * a for s, a in zip(bones.shoulder, along, strict=True))
    sleeve = clip(offset(arm, 0.02), along, sum(e * a for e, a in zip(end, along, strict=True)))
    return smooth_union(0.02, trunk, mirror_x(sleeve))


def _bottom(bones: Skeleton, outfit: str, torso: Solid, leg: Solid) -> Solid:
    waist = bones.hip[1] + 0.07
    hips = clip(offset(torso, 0.028), (0.0, 1.0, 0.0), waist)
    if outfit in ("trousers", "shorts"):
        low = 0.09 if outfit == "trousers" else bones.knee[1] - 0.01
        legs = clip(offset(leg, 0.024), (0.0, -1.0, 0.0), -low)
        return smooth_union(0.02, hips, mirror_x(legs))
    low = bones.knee[1] + (0.02 if outfit == "skirt" else -0.06)
    flare = bones.girth + (0.1 if outfit == "skirt" else 0.12)
    skirt = lathe([(0.0, low), (flare, low), (bones.girth + 0.02, waist - 0.02), (0.0, waist - 0.02)], 0.012)
    return union(hips, skirt)


def _shoes(bones: Skeleton) -> Solid:
    x, y, z = bones.foot
    sole = ellipsoid((0.058, 0.05, 0.09), (x, 0.048, z + 0.025))
    flat = clip(sole, (0.0, -1.0, 0.0), 0.0)
    ankle = round_cone((x, 0.05, z), (x, 0.1, z), 1.3 * bones.limb, 1.3 * bones.limb)
    return mirror_x(smooth_union(0.02, flat, ankle))


def _face(rng: Rng, bones: Skeleton) -> list[Part]:
    r, y = bones.head, bones.head_y - 0.12 * bones.head
    size = between(rng, 0.16, 0.2) * r
    eye = stretch(sphere(1.0), (size, 1.5 * size, 0.5 * size))
    shine = sphere(0.35 * size, (0.34 * r + 0.3 * size, y + 0.6 * size, 0.9 * r))
    return [
        Part(label="eyes", color=darker(tint(rng, IRISES), 0.25), sdf=mirror_x(move(eye, (0.34 * r, y, 0.85 * r)))),
        Part(label="highlights", color=WHITE, sdf=mirror_x(shine)),
        Part(
            label="mouth",
            color=(0.66, 0.27, 0.3),
            sdf=ellipsoid((0.13 * r, 0.05 * r, 0.05 * r), (0.0, bones.head_y - 0.5 * r, 0.8 * r)),
        ),
    ]
