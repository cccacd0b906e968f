"""Cartoon heads, looking to +Z: skin, eyes, hair and accessories. Units: skull radius about 0.5."""

from __future__ import annotations

from framework.data.procedural.families.draw import (
    DARK,
    HAIRS,
    IRISES,
    SKINS,
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
from framework.data.procedural.families.hair import HAIR_STYLES, hair
from framework.data.procedural.operators import (
    clip,
    mirror_x,
    move,
    rotate,
    smooth_union,
    stretch,
    union,
)
from framework.data.procedural.parts import Part, Recipe
from framework.data.procedural.primitives import (
    capsule,
    cylinder,
    ellipsoid,
    lathe,
    round_cone,
    smooth_outline,
    sphere,
    torus,
    torus_arc,
)
from framework.data.procedural.solid import Solid

MOUTH = hex_color("a8434a")


def head(rng: Rng) -> Recipe:
    """Skull, jaw, ears, nose and neck smoothly joined; eyes, brows, mouth; hair of six styles; maybe hat or glasses."""
    width, jaw = between(rng, 0.4, 0.5), between(rng, 0.22, 0.4)
    skin_color, hair_color = tint(rng, SKINS, 0.005), tint(rng, HAIRS)
    style = pick(rng, HAIR_STYLES)
    eye_size, eye_x, eye_y = between(rng, 0.085, 0.12), between(rng, 0.15, 0.19), between(rng, -0.1, -0.02)
    skull = ellipsoid((width, 0.5, 0.47))
    face_z = 0.47
    parts = [
        Part(label="skin", color=skin_color, sdf=_skin(rng, skull, width, jaw)),
        Part(label="eyes", color=WHITE, sdf=_eyes(eye_x, eye_y, face_z, eye_size, 0.0)),
        Part(label="irises", color=tint(rng, IRISES), sdf=_eyes(eye_x, eye_y, face_z, 0.7 * eye_size, 0.033)),
        Part(label="pupils", color=DARK, sdf=_eyes(eye_x, eye_y, face_z, 0.42 * eye_size, 0.062)),
        Part(label="mouth", color=mixed(MOUTH, skin_color, 0.15), sdf=_mouth(rng, jaw)),
    ]
    accessory = pick(rng, ("glasses", "hat", "none", "none", "none", "none"))
    if style != "bald":
        locks = hair(rng, style, skull, width)
        # Under a hat the hair ends, or its volume would break through the crown.
        locks = clip(locks, (0.0, 1.0, 0.0), 0.27) if accessory == "hat" else locks
        parts.append(Part(label="hair", color=hair_color, sdf=locks))
    brow = darker(hair_color, 0.25)
    parts.append(Part(label="brows", color=brow, sdf=_brows(rng, eye_x, eye_y + eye_size + 0.05)))
    if accessory != "none":
        color = DARK if accessory == "glasses" and chance(rng, 0.5) else tint(rng, VIVIDS)
        solid = _glasses(eye_x, eye_y) if accessory == "glasses" else _hat(rng, width)
        parts.append(Part(label=accessory, color=color, sdf=solid))
    tail = "" if accessory == "none" else f" and {accessory}" if accessory == "glasses" else " and a hat"
    return Recipe(parts=tuple(parts), caption=f"a cartoon head, {style if style == 'bald' else style + ' hair'}{tail}")


def _skin(rng: Rng, skull: Solid, width: float, jaw: float) -> Solid:
    chin = ellipsoid((jaw, 0.26, 0.34), (0.0, -0.32, 0.07))
    neck = round_cone((0.0, -0.4, -0.04), (0.0, -0.72, -0.06), 0.16, 0.2)
    neck = clip(neck, (0.0, -1.0, 0.0), 0.76)
    nose_size = between(rng, 0.045, 0.075)
    nose = round_cone((0.0, -0.1, 0.42), (0.0, -0.2, 0.49), 0.6 * nose_size, nose_size)
    ear = mirror_x(ellipsoid((0.06, 0.13, 0.09), (width + 0.01, -0.12, 0.0)))
    return smooth_union(0.07, smooth_union(0.12, skull, chin), neck, ear, nose)


def _eyes(x: float, y: float, z: float, size: float, forward: float) -> Solid:
    ball = stretch(sphere(1.0), (size, 1.15 * size, 0.6 * size))
    return mirror_x(move(rotate(ball, "y", 14.0), (x, y, z - 0.09 + forward + 0.15 * size)))


def _brows(rng: Rng, x: float, y: float) -> Solid:
    tilt = between(rng, -0.03, 0.005)
    return mirror_x(capsule((x - 0.07, y - tilt, 0.44), (x + 0.08, y + tilt, 0.39), 0.026))


def _mouth(rng: Rng, jaw: float) -> Solid:
    width = between(rng, 0.09, 0.14)
    arc = rotate(torus_arc(width, 0.026, between(rng, 0.7, 1.1)), "z", -90.0)
    return move(rotate(arc, "x", 10.0), (0.0, -0.36 + width, 0.425))


def _glasses(eye_x: float, eye_y: float) -> Solid:
    ring = rotate(torus(0.135, 0.024), "x", 90.0)
    rings = mirror_x(move(rotate(ring, "y", 10.0), (eye_x + 0.01, eye_y, 0.5)))
    bridge = capsule((-0.05, eye_y + 0.03, 0.53), (0.05, eye_y + 0.03, 0.53), 0.024)
    temple = mirror_x(capsule((eye_x + 0.14, eye_y + 0.02, 0.47), (0.47, eye_y + 0.02, 0.0), 0.024))
    return union(rings, bridge, temple)


def _hat(rng: Rng, width: float) -> Solid:
    if chance(rng, 0.5):
        side = [(width + 0.07, 0.2), (width + 0.07, 0.42), (0.36, 0.66), (0.0, 0.68)]
        crown = lathe([(0.0, 0.2), *smooth_outline(side, 2)], 0.03)
        peak = stretch(cylinder(1.0, 0.2, 0.26, 0.02), (0.36, 1.0, 0.34))
        return union(crown, move(peak, (0.0, 0.0, 0.42)))
    brim = cylinder(width + 0.26, 0.24, 0.31, 0.03)
    return union(brim, cylinder(width + 0.07, 0.26, 0.72, 0.06, width - 0.04))
