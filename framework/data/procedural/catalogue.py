"""The families by name, objects by seed, and the lists of objects that make up a split."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module

import numpy as np

from framework.data.procedural.parts import LONGEST_SIDE, ProceduralObject, Recipe, part_bounds, tight_bounds
from framework.data.procedural.proportions import Build, Proportions
from framework.data.procedural.solid import Vector, vector

# Raise it whenever an object of an old seed changes: caches of older recipes are then not read any more.
RECIPE_VERSION = 2

_PLACES = {
    "chair": "seating",
    "table": "tables",
    "lamp": "lamps",
    "vase": "vessels",
    "mug": "vessels",
    "airplane": "aircraft",
    "car": "cars",
    "house": "houses",
    "head": "heads",
    "character": "characters",
    "sofa": "seating",
    "tree": "trees",
    "rocket": "aircraft",
    "bottle": "vessels",
}

FAMILIES: tuple[str, ...] = tuple(_PLACES)

# How far the build of a family varies. Families that are not here keep their recipe's own proportions.
_BUILDS = {
    "chair": Build(width=1.4, rise=0.4, taper=0.2),
    "lamp": Build(width=1.45, rise=0.5, taper=0.3, waist=0.25, round=True),
    "vase": Build(width=1.35, rise=0.4, taper=0.25, waist=0.2, round=True),
    "mug": Build(width=1.3, rise=0.3, taper=0.2, waist=0.2, round=True),
    "airplane": Build(width=1.5),
    "car": Build(width=1.45, rise=0.15, taper=0.2),
    "house": Build(width=1.3, rise=0.3, taper=0.2),
    "head": Build(width=1.5, rise=0.6, taper=0.35, waist=0.3),
    "character": Build(width=1.5, rise=0.6, taper=0.35, waist=0.25, round=True),
    "tree": Build(width=1.6, rise=0.6, taper=0.4, waist=0.3, round=True),
    "rocket": Build(width=1.7, rise=0.6, taper=0.4, waist=0.4, round=True),
    "bottle": Build(width=1.7, rise=0.6, taper=0.4, waist=0.4, round=True),
}

# Seeds of a split start here; the ranges cannot meet below a billion objects per split.
_SPLIT_STARTS = {"train": 0, "val": 1_000_000_000, "test": 2_000_000_000}


def generate(family: str, seed: int) -> ProceduralObject:
    """The object of a family and a seed: the same bytes each time, on every machine.

    Raises ValueError for an unknown family.
    """
    builder = _builder(family)
    recipe = builder(np.random.default_rng(zlib.crc32(f"{family}/{seed}".encode())))
    proportions = draw_proportions(family, seed, *part_bounds(recipe.parts))
    lower, upper = tight_bounds(recipe.parts, proportions)
    scale = LONGEST_SIDE / float((upper - lower).max())
    return ProceduralObject(
        family=family,
        seed=seed,
        parts=recipe.parts,
        caption=recipe.caption,
        scale=scale,
        offset=vector((lower + upper) / 2.0),
        proportions=proportions,
    )


def draw_proportions(family: str, seed: int, lower: Vector, upper: Vector) -> Proportions | None:
    """The proportions of an object whose recipe fills the box from `lower` to `upper`; None: those of the recipe."""
    if family not in _BUILDS:
        return None
    random = np.random.default_rng(zlib.crc32(f"{family}/{seed}/proportions".encode()))
    return _BUILDS[family].draw(random, lower, upper)


def object_list(split: str, count: int, seed: int = 0) -> list[tuple[str, int]]:
    """(family, object seed) of the `count` objects of a split, families in rotation.

    `seed` moves the split's range of object seeds; ranges of different splits never meet.
    Raises ValueError for an unknown split or numbers outside the ranges.
    """
    if split not in _SPLIT_STARTS:
        raise ValueError(f"split: unknown '{split}'. Expected one of {', '.join(_SPLIT_STARTS)}")
    if count < 0 or not 0 <= seed < 1000 or count > 1_000_000:
        raise ValueError(f"object_list: expected 0 <= count <= 1,000,000 and 0 <= seed < 1000, got {count}, {seed}")
    start = _SPLIT_STARTS[split] + seed * 1_000_000
    return [(FAMILIES[index % len(FAMILIES)], start + index) for index in range(count)]


def _builder(family: str) -> Callable[[np.random.Generator], Recipe]:
    if family not in _PLACES:
        raise ValueError(f"family: unknown '{family}'. Expected one of {', '.join(FAMILIES)}")
    module = import_module(f"framework.data.procedural.families.{_PLACES[family]}")
    builder: Callable[[np.random.Generator], Recipe] = getattr(module, family)
    return builder
