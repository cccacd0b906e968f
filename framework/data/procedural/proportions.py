"""Proportions: a smooth map from an object's space back to that of its recipe, so that one recipe gives many builds.

Independent draws stretch the recipe sideways, move its middle up or down, and make its top or its waist wider. The map
acts on all parts at once, so they keep touching, nesting and mirroring. Heights are preserved at both ends.

P points; coordinates are (3, P), as solids take them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from framework.data.procedural.solid import Array, Vector, box_distance, vector


@dataclass(frozen=True, kw_only=True)
class Proportions:
    """How an object differs from its recipe; the defaults change nothing."""

    lower: Vector
    """Lower corner of the recipe's box."""
    upper: Vector
    """Upper corner of the recipe's box."""
    width: float = 1.0
    """Factor along x."""
    depth: float = 1.0
    """Factor along z."""
    rise: float = 0.0
    """How far the recipe's middle moves up, as a share of a quarter of its height; within (-1, 1)."""
    taper: float = 0.0
    """Width added at the top and taken away at the bottom, as a share; within (-1, 1)."""
    waist: float = 0.0
    """Width added at half height, as a share; above taper - 1."""

    @cached_property
    def box(self) -> tuple[Vector, Vector]:
        """A box that holds the object, with a margin."""
        widest = float(self._spread(np.linspace(0.0, 1.0, 65)).max()) * 1.01
        sides = np.array([self.width * widest, 1.0, self.depth * widest])
        margin = float(self._margin)
        return vector(np.multiply(self.lower, sides) - margin), vector(np.multiply(self.upper, sides) + margin)

    @cached_property
    def stretching(self) -> float:
        """The Lipschitz constant of `to_recipe`: its Jacobian's largest norm, which lies at the recipe's corners."""
        share = np.linspace(0.0, 1.0, 65)
        spread, height = self._spread(share), self.upper[1] - self.lower[1]
        swing = np.abs(2.0 * self.taper - 4.0 * self.waist * (2.0 * share - 1.0)) / (height * spread)
        corner = np.maximum(np.abs(self.lower), np.abs(self.upper)) + self._margin
        jacobian = np.zeros((len(share), 3, 3))
        jacobian[:, 0, 0], jacobian[:, 2, 2] = 1.0 / (self.width * spread), 1.0 / (self.depth * spread)
        jacobian[:, 1, 1] = np.maximum(1.0, 1.0 - self.rise * (1.0 - 2.0 * share))
        jacobian[:, 0, 1], jacobian[:, 2, 1] = corner[0] * swing, corner[2] * swing
        # One per cent covers what lies between the 65 heights.
        return 1.01 * float(np.linalg.norm(jacobian, ord=2, axis=(1, 2)).max())

    def to_recipe(self, xyz: Array) -> Array:
        """Coordinates (3, P) in the recipe's space; what lies far outside the recipe's box is brought to its edge.

        Bringing it there keeps the map's stretching bounded everywhere.
        """
        low, height = np.float32(self.lower[1]), np.float32(self.upper[1] - self.lower[1])
        share = (xyz[1] - low) / height
        within = np.clip(share, 0.0, 1.0)
        spread = self._spread(within)
        risen = within - self.rise * within * (1.0 - within)
        mapped = np.stack(
            [xyz[0] / (self.width * spread), low + height * (share - within + risen), xyz[2] / (self.depth * spread)]
        )
        corners = np.array([self.lower, self.upper], dtype=np.float32)[..., None]
        return np.clip(mapped, corners[0] - self._margin, corners[1] + self._margin)

    def distance(self, xyz: Array, recipe_values: Array) -> Array:
        """A lower bound (P,) of the distance in the object's space, from the recipe's values at `to_recipe(xyz)`."""
        return np.maximum(recipe_values / np.float32(self.stretching), box_distance(xyz, *self.box))

    @property
    def _margin(self) -> np.float32:
        return np.float32(0.02 * np.subtract(self.upper, self.lower).max())

    def _spread(self, share: Array) -> Array:
        """Factor of the width at a share of the height."""
        across = 2.0 * share - 1.0
        return 1.0 + self.taper * across + self.waist * (1.0 - across * across)


@dataclass(frozen=True, kw_only=True)
class Build:
    """How far a family's proportions may go."""

    width: float = 1.0
    """Largest factor along x; the smallest is its inverse."""
    rise: float = 0.0
    """Largest `Proportions.rise`, up or down."""
    taper: float = 0.0
    """Largest `Proportions.taper`, either way."""
    waist: float = 0.0
    """Largest `Proportions.waist`, either way."""
    round: bool = False
    """Keep circles around the vertical axis: the depth follows the width."""

    def draw(self, random: np.random.Generator, lower: Vector, upper: Vector) -> Proportions:
        """Independent draws: the factor log-uniform, the others uniform."""
        width, rise, taper, waist = (float(value) for value in random.uniform(-1.0, 1.0, 4))
        factor = float(self.width**width)
        return Proportions(
            lower=lower,
            upper=upper,
            width=factor,
            depth=factor if self.round else 1.0,
            rise=self.rise * rise,
            taper=self.taper * taper,
            waist=self.waist * waist,
        )
