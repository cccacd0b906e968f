"""The field that RodinHD's rendering fixtures look at: three feature planes and a small shared network.

Written out from the specification, because these fixtures test what draws a field and not the field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate, linear, normalize, softplus

from framework.renderers.volume.densities import truncated_exp
from framework.renderers.volume.fields import FieldSamples
from framework.renderers.volume.rays import Rays
from tests.parity import fill
from tests.parity.fixture import Fixture, FixtureError

PLANES = ((0, 1), (0, 2), (1, 2))
"""Coordinates (column, row) of each plane."""
DEGREE = 2


@dataclass(frozen=True, eq=False)
class TriplaneField:
    """Density and colour from planes (3, C, R, R) and the network's official weights."""

    planes: Tensor
    weights: dict[str, Tensor]
    factor: float = 1.0
    """Densities are multiplied by this."""

    @cached_property
    def colour_channels(self) -> int:
        """The first three quarters of the channels feed colour, the others density."""
        return self.planes.shape[1] * 3 // 4

    def query(self, points: Tensor, directions: Tensor) -> FieldSamples:
        """Density and colour at points (..., 3)."""
        features = self._features(points)
        density, geometry = self._density(features)
        colour = torch.cat([encoded(features[..., : self.colour_channels]), geometry, encoded(directions)], dim=-1)
        for number in range(3):
            colour = linear(colour, self.weights[f"color_net.{number}.weight"])
            colour = colour.relu() if number < 2 else colour.sigmoid()
        return FieldSamples(density=density * self.factor, colour=colour)

    def density(self, points: Tensor) -> Tensor:
        """Density (P,) alone."""
        return self._density(self._features(points))[0] * self.factor

    def _density(self, features: Tensor) -> tuple[Tensor, Tensor]:
        hidden = encoded(features[..., self.colour_channels :])
        hidden = softplus(linear(hidden, self.weights["sigma_net.0.weight"], self.weights["sigma_net.0.bias"]))
        hidden = linear(hidden, self.weights["sigma_net.2.weight"], self.weights["sigma_net.2.bias"])
        return truncated_exp(hidden[..., 0]), hidden[..., 1:]

    def _features(self, points: Tensor) -> Tensor:
        flat = points.reshape(-1, 3)
        pairs = torch.stack([flat[:, list(pair)] for pair in PLANES])
        found = grid_sample(self.planes, pairs[:, :, None], mode="bilinear", align_corners=True)[..., 0]
        inside = (pairs.abs() <= 1).all(dim=-1)[:, None]
        return torch.where(inside, found, 0.0).mean(dim=0).t().reshape(*points.shape[:-1], -1)


def encoded(values: Tensor) -> Tensor:
    """Values, then sines and cosines of them and of their doubles, block by block."""
    waves = [wave(values * 2**level) for level in range(DEGREE) for wave in (torch.sin, torch.cos)]
    return torch.cat([values, *waves], dim=-1)


def field_of(fixture: Fixture, planes: Tensor, factor: float = 1.0) -> TriplaneField:
    """The fixture's network over `planes` (3, C, R, R)."""
    weights = {key: value for key, value in fixture.network_weights().items() if key.startswith(("sigma", "color"))}
    return TriplaneField(planes, weights, factor)


def planes_of(fixture: Fixture) -> Tensor:
    """The input `triplane` (3, 1, C, R, R) without its second axis, brought to another size if the text says so."""
    sentence = fixture.descriptions.get("triplane")
    planes = fixture.tensor("triplane").squeeze(1)
    size = re.search(r"resized to (\d+)x(\d+), bicubic", sentence) if isinstance(sentence, str) else None
    if size is None:
        return planes
    return interpolate(planes, (int(size[1]), int(size[2])), mode="bicubic", align_corners=False)


def rays_of(fixture: Fixture, count: int) -> Rays:
    """The rays (count, 3) of the sentence `inputs.rays`.

    It has calls `rays_o=...`, rows replaced by `rays_in`, `target=...`, and the number of rows at the end whose
    direction is turned round.
    """
    sentence = str(fixture.descriptions.get("rays"))
    calls = re.findall(r'uniform\("(\w+)",\((\d+)(?://(\d+))?,3\),(-?[\d.]+),(-?[\d.]+)', sentence)
    turned = re.search(r"sign flipped for the last (\d+)(?://(\d+))?", sentence)
    drawn = {name: _drawn(fixture, name, _rows(rows, by), low, high) for name, rows, by, low, high in calls}
    if set(drawn) != {"rays_o", "rays_in", "rays_t"} or turned is None or len(drawn["rays_o"]) != count:
        raise FixtureError(f"inputs.rays is not understood: {sentence!r}")
    origins, inner, target = (drawn[name].copy() for name in ("rays_o", "rays_in", "rays_t"))
    origins[: len(inner)] = inner
    directions = normalize(torch.from_numpy(target - origins), dim=-1)
    directions[count - _rows(*turned.groups()) :] *= -1
    return Rays(torch.from_numpy(origins), directions)


def _rows(total: str, divisor: str | None) -> int:
    return int(total) // int(divisor or 1)


def _drawn(fixture: Fixture, name: str, rows: int, low: str, high: str) -> np.ndarray:
    return fill.uniform(name, (rows, 3), float(low), float(high), fixture.salt)
