"""Vases, mugs and bottles: lathes around Y. Vases and mugs are hollow; a mug with its handle has genus 1."""

from __future__ import annotations

import numpy as np

from framework.data.procedural.families.draw import (
    CERAMICS,
    GLASSES,
    METALS,
    VIVIDS,
    WHITE,
    Rng,
    between,
    chance,
    darker,
    hex_color,
    lighter,
    pick,
    tint,
)
from framework.data.procedural.operators import mirror_x, move, ribbed, stretch, subtract, twist
from framework.data.procedural.parts import Part, Pattern, Recipe
from framework.data.procedural.primitives import cylinder, lathe, lathe_wall, smooth_outline, torus_arc
from framework.data.procedural.solid import Solid

COFFEE = hex_color("5a3520")


def vase(rng: Rng) -> Recipe:
    """An open wall through five radii, sometimes ribbed or twisted, sometimes with two handles."""
    wall = between(rng, 0.036, 0.05)
    foot, belly = between(rng, 0.1, 0.26), between(rng, 0.2, 0.42)
    neck, lip = between(rng, 0.08, 0.24), between(rng, 0.1, 0.32)
    belly_y, neck_y = between(rng, 0.22, 0.55), between(rng, 0.68, 0.86)
    side = [(foot, 0.0), (0.5 * (foot + belly) + 0.05, 0.5 * belly_y), (belly, belly_y), (neck, neck_y), (lip, 1.0)]
    profile = [(0.0, 0.0), *smooth_outline(side, 2)]
    body = lathe_wall(profile, wall)
    style = pick(rng, ("plain", "plain", "ribbed", "twisted"))
    if style != "plain":
        body = ribbed(body, pick(rng, (6, 8, 10)), between(rng, 0.04, 0.07))
    if style == "twisted":
        body = twist(body, between(rng, 0.8, 1.8), body.upper[0])
    glaze = tint(rng, CERAMICS)
    parts = [Part(label="body", color=glaze, sdf=body, pattern=_glaze(rng, glaze))]
    if style == "plain" and neck < 0.17 and chance(rng, 0.4):
        parts.append(Part(label="handles", color=darker(glaze), sdf=_vase_handles(profile, neck_y)))
    return Recipe(parts=tuple(parts), caption=f"a {style} vase" + (" with two handles" if len(parts) > 1 else ""))


def mug(rng: Rng) -> Recipe:
    """A cup with a thick wall, a handle at +X, often with coffee; straight, flared or rounded."""
    kind = pick(rng, ("straight", "flared", "rounded"))
    radius, tall = between(rng, 0.36, 0.46), between(rng, 0.8, 1.05)
    wall = between(rng, 0.055, 0.075)
    foot = {"straight": 1.0, "flared": 0.75, "rounded": 0.62}[kind] * radius
    side = [(foot - 0.05, 0.0), (foot, 0.03), (0.5 * (foot + radius), 0.4 * tall), (radius, 0.7 * tall), (radius, tall)]
    if kind == "rounded":
        side[2] = (radius, 0.3 * tall)
    profile = [(0.0, 0.0), *smooth_outline(side, 2)]
    glaze = tint(rng, CERAMICS + VIVIDS)
    parts = [
        Part(label="cup", color=glaze, sdf=lathe_wall(profile, wall), pattern=_glaze(rng, glaze, tall)),
        Part(label="handle", color=glaze if chance(rng, 0.6) else lighter(glaze), sdf=_mug_handle(rng, profile, tall)),
    ]
    if chance(rng, 0.4):
        level = between(rng, 0.55, 0.75) * tall
        below = [(r, y) for r, y in profile[1:] if y < level]
        coffee = lathe([(0.0, 0.0), *below, (_radius_at(profile, level), level), (0.0, level)])
        parts.append(Part(label="coffee", color=COFFEE, sdf=coffee))
    return Recipe(parts=tuple(parts), caption=f"a {kind} mug")


def bottle(rng: Rng) -> Recipe:
    """A filled body with neck and cap, and a label around it: wine, soda, round or jar."""
    kind = pick(rng, ("wine", "soda", "round", "jar"))
    belly = {"wine": 0.15, "soda": 0.16, "round": 0.25, "jar": 0.27}[kind] * between(rng, 0.8, 1.25)
    neck = {"wine": 0.05, "soda": 0.06, "round": 0.06, "jar": 0.2}[kind] * between(rng, 0.8, 1.3)
    shoulder = {"wine": 0.58, "soda": 0.55, "round": 0.5, "jar": 0.62}[kind] + between(rng, -0.1, 0.06)
    neck_y = 0.78 if kind != "jar" else 0.72
    if kind == "round":
        side = [(0.5 * belly, 0.0), (belly, 0.12), (belly, shoulder - 0.08), (neck, shoulder + 0.08), (neck, 0.9)]
    else:
        side = [(belly - 0.02, 0.0), (belly, 0.04), (belly, shoulder), (neck, neck_y), (neck, 0.9)]
    outline = smooth_outline(side, 2)
    glass = tint(rng, GLASSES)
    body = lathe([(0.0, 0.0), *outline, (0.0, 0.9)], 0.005)
    cap_low = 0.9 if kind != "jar" else 0.8
    cap = cylinder(neck + 0.018, cap_low, 1.0, 0.014)
    low, high = 0.12 + between(rng, 0.0, 0.05), shoulder - between(rng, 0.08, 0.14)
    label = lathe([(0.0, low), *_between_heights(outline, low, high), (0.0, high)], 0.014)
    paper = tint(rng, (WHITE, *VIVIDS[:4]))
    stripe = Pattern(kind="band", color=tint(rng, VIVIDS), size=0.3 * (high - low), start=low + 0.35 * (high - low))
    parts = (
        Part(label="body", color=glass, sdf=body),
        Part(label="label", color=paper, sdf=label, pattern=stripe),
        Part(label="cap", color=tint(rng, METALS + VIVIDS), sdf=cap),
    )
    return Recipe(parts=parts, caption=f"a {kind} bottle" if kind != "jar" else "a jar")


def _glaze(rng: Rng, color: tuple[float, float, float], tall: float = 1.0) -> Pattern | None:
    kind = pick(rng, ("none", "stripes", "band", "speckle", "dip"))
    other = lighter(color, 0.55) if sum(color) < 1.9 else darker(color, 0.45)
    if kind == "stripes":
        return Pattern(kind="stripes", color=other, size=between(rng, 0.06, 0.11) * tall)
    if kind == "band":
        return Pattern(kind="band", color=other, size=0.16 * tall, start=between(rng, 0.25, 0.6) * tall)
    if kind == "speckle":
        return Pattern(kind="speckle", color=other, size=0.11 * tall)
    if kind == "dip":
        return Pattern(kind="band", color=other, size=2.0 * tall, start=between(rng, 0.45, 0.7) * tall)
    return None


def _vase_handles(profile: list[tuple[float, float]], neck_y: float) -> Solid:
    """Two arcs beside the neck, cut off at the wall's middle so that none of them shows inside."""
    size = 0.17
    arc = stretch(torus_arc(size, 0.032, 0.5 * np.pi), (0.9, 1.0, 1.0))
    y = neck_y - 0.03
    arc = move(arc, (_radius_at(profile, y), y, 0.0))
    inner = lathe([(0.0, profile[0][1]), *profile[1:], (0.0, profile[-1][1])])
    return mirror_x(subtract(arc, inner))


def _mug_handle(rng: Rng, profile: list[tuple[float, float]], tall: float) -> Solid:
    size = between(rng, 0.24, 0.3) * tall
    arc = torus_arc(size, between(rng, 0.045, 0.06), 0.6 * np.pi)
    arc = stretch(arc, (between(rng, 0.85, 1.15), 1.0, 1.0))
    y = between(rng, 0.5, 0.56) * tall
    wall = min(_radius_at(profile, y - size), _radius_at(profile, y + size))
    inner = lathe([(0.0, profile[0][1]), *profile[1:], (0.0, profile[-1][1])])
    return subtract(move(arc, (wall + 0.05, y, 0.0)), inner)


def _radius_at(profile: list[tuple[float, float]], y: float) -> float:
    heights, radii = [p[1] for p in profile], [p[0] for p in profile]
    return float(np.interp(y, heights, radii))


def _between_heights(outline: list[tuple[float, float]], low: float, high: float) -> list[tuple[float, float]]:
    """The part of an outline of rising y between two heights, ends interpolated."""
    middle = [(r, y) for r, y in outline if low < y < high]
    return [(_radius_at(outline, low), low), *middle, (_radius_at(outline, high), high)]
