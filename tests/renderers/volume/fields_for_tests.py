"""Fields with known answers."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from framework.renderers.volume.fields import FieldSamples


@dataclass
class Ball:
    """Signed distance of a ball around the origin; colour is the position."""

    radius: float = 0.5
    asked: list[int] = field(default_factory=list)
    """Points of each question."""

    def query(self, points: Tensor, directions: Tensor) -> FieldSamples:
        self.asked.append(points[..., 0].numel())
        return FieldSamples(sdf=points.norm(dim=-1) - self.radius, colour=0.5 + 0.5 * points)


@dataclass
class Fog:
    """The same density and colour everywhere."""

    density: float = 2.0
    asked: list[int] = field(default_factory=list)

    def query(self, points: Tensor, directions: Tensor) -> FieldSamples:
        self.asked.append(points[..., 0].numel())
        density = torch.full_like(points[..., 0], self.density)
        return FieldSamples(density=density, colour=torch.ones_like(points) * points.new_tensor([0.2, 0.4, 0.6]))


class Network(nn.Module):
    """A small network of everything, smooth, so that derivatives can be checked."""

    def __init__(self, signed: bool = True, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.signed = signed
        self.first = nn.Linear(6, 16, dtype=dtype)
        self.last = nn.Linear(16, 9, dtype=dtype)

    def query(self, points: Tensor, directions: Tensor) -> FieldSamples:
        hidden = torch.sin(3.0 * self.first(torch.cat([points, directions], dim=-1)))
        out = self.last(hidden)
        surface = points.square().sum(dim=-1) - 0.4 + 0.2 * out[..., 0]
        return FieldSamples(
            sdf=surface if self.signed else None,
            density=None if self.signed else torch.exp(-3.0 * surface),
            colour=out[..., 1:4].sigmoid(),
            features=out[..., 4:7],
            semantics=out[..., 7:].softmax(dim=-1),
        )
