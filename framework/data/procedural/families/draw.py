"""Draws from a family's random generator: numbers, choices and colours from fixed palettes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from framework.data.procedural.parts import Color

T = TypeVar("T")
Rng = np.random.Generator


def hex_color(code: str) -> Color:
    """RGB in [0, 1] of six hexadecimal digits."""
    r, g, b = (int(code[i : i + 2], 16) / 255.0 for i in (0, 2, 4))
    return r, g, b


def _palette(codes: str) -> tuple[Color, ...]:
    return tuple(hex_color(code) for code in codes.split())


WOODS = _palette("c98f58 a86f47 8a5a3b dcb482 6e4a34 b98252 e3c08f")
FABRICS = _palette("2f9c8f e2725b 2f4f6f e5b955 83a878 b57f8b 6d5d80 4a7fa6 ef9f5d 8895a3 c44e52 d9c8ae")
VIVIDS = _palette("e4463f f2802b f7bd45 2ba084 2480c4 7a48b8 ec6a91 42b2cf 5fae4e")
METALS = _palette("8d99ae 4b5358 c6a03a b87a4b 2f3542 d0d4d9")
CERAMICS = _palette("f2ece0 d7e3dc a9bfce 40648a c26b6b e2b266 7fa09d 64806a efd9ce 35536b 9c6f8c")
GLASSES = _palette("2f6b4a 7a4a26 3f7f9f a8c8c0 54386b c9d8dc 1f4d3a")
WALLS = _palette("f3ead8 e9d3b0 d9e2e6 f0c7a4 c9d6c0 e7b8a6 f5f1ea b9cbd8")
ROOFS = _palette("b5503c 8c3f38 4d5d6c 6b4b3a 3e6d68 a8643a")
LEAVES = _palette("4f9a4b 3b7d4f 7db24d 9cbf4a 2f6f55 d98f3a c9573c e8a7b8")
BARKS = _palette("7a5539 6a4a36 8f6a4a 5a4438")
SKINS = _palette("f7d7bd efc0a0 dca07a b97a56 8d5a3f fbe3d2")
HAIRS = _palette("2d2422 5a3a26 8a5a33 d9a955 b5452f e8d9a8 3d4a7a d77fa1 7a4fa0 5fb0b5")
DARK = hex_color("2b2d33")
RUBBER = hex_color("33353b")
WHITE = hex_color("f6f4ef")
GLASS_BLUE = hex_color("8fc3de")
IRISES = _palette("3b6ea5 4a7c4a 6b4226 7a4fa0 2f8f8a 3a3330")


def between(rng: Rng, low: float, high: float) -> float:
    """Uniform draw in [low, high)."""
    return float(rng.uniform(low, high))


def chance(rng: Rng, probability: float) -> bool:
    """True with the given probability."""
    return float(rng.random()) < probability


def pick(rng: Rng, options: Sequence[T]) -> T:
    """One of the options, all equally likely."""
    return options[int(rng.integers(len(options)))]


def tint(rng: Rng, palette: Sequence[Color], hue: float = 0.02) -> Color:
    """A palette colour, slightly changed in brightness and, by up to `hue` per channel, in hue."""
    base = np.asarray(pick(rng, palette))
    shade = base * rng.uniform(0.95, 1.05) + rng.uniform(-hue, hue, size=3)
    r, g, b = np.clip(shade, 0.0, 1.0).tolist()
    return r, g, b


def two_tints(rng: Rng, palette: Sequence[Color]) -> tuple[Color, Color]:
    """Two colours from different entries of the palette."""
    first, second = rng.choice(len(palette), size=2, replace=False)
    return tint(rng, [palette[int(first)]]), tint(rng, [palette[int(second)]])


def mixed(color: Color, other: Color, amount: float) -> Color:
    """`color` moved towards `other` by `amount` in [0, 1]."""
    r, g, b = ((1.0 - amount) * a + amount * o for a, o in zip(color, other, strict=True))
    return r, g, b


def darker(color: Color, amount: float = 0.25) -> Color:
    """`color` moved towards black."""
    return mixed(color, (0.0, 0.0, 0.0), amount)


def lighter(color: Color, amount: float = 0.35) -> Color:
    """`color` moved towards white."""
    return mixed(color, (1.0, 1.0, 1.0), amount)
