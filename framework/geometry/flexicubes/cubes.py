"""Which cubes of a lattice the surface passes through, and how.

Dimension letters: B objects, X, Y, Z lattice points along the axes, S surface cubes of all objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from framework.geometry.flexicubes.tables import CASES, tables
from framework.geometry.isosurface import FieldError


@dataclass(frozen=True, eq=False)
class SurfaceCubes:
    """The cubes that have corners on both sides, in order of their number."""

    cube: Tensor
    """(S,) int64 number among all cubes (B, X - 1, Y - 1, Z - 1); weights of a dense prediction are taken by it."""

    corners: Tensor
    """(S, 8) int64 numbers of the corners among all points (B, X, Y, Z)."""

    raw_case: Tensor
    """(S,) int64 case as the signs give it."""

    case: Tensor
    """(S,) int64 case whose groups are used: inverted where two ambiguous cubes face each other."""

    lattice: tuple[int, int, int, int]
    """B, X, Y, Z."""

    @property
    def owner(self) -> Tensor:
        """(S,) int64 number of the object that each cube belongs to."""
        _, x, y, z = self.lattice
        return self.cube // ((x - 1) * (y - 1) * (z - 1))


def lattice_points(cubes: Sequence[int], half_extent: float = 0.5) -> Tensor:
    """Points (X, Y, Z, 3) float32 of a lattice of `cubes` (three numbers) over [-half_extent, half_extent]^3."""
    if len(cubes) != 3 or min(cubes) < 1:
        raise ValueError(f"cubes are {tuple(cubes)}, expected the number of cubes along each of the three axes")
    axes = [(torch.arange(count + 1, dtype=torch.float64) / count - 0.5) * (2 * half_extent) for count in cubes]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).float()


def surface_cubes(values: Tensor) -> SurfaceCubes:
    """The cubes with a zero crossing of `values` (B, X, Y, Z), signed distances or the like, negative inside.

    Costs a few bytes per lattice point. FieldError for another shape, or values that are not finite.
    """
    _check(values)
    cases = _cases(values.detach() < 0)
    cube = ((cases > 0) & (cases < CASES - 1)).view(-1).nonzero().squeeze(1)
    raw_case = cases.view(-1)[cube].long()
    place = torch.stack(torch.unravel_index(cube, cases.shape), 1)
    objects, x, y, z = values.shape
    lattice = (objects, x, y, z)
    return SurfaceCubes(cube, _corners(place, lattice), raw_case, _inverted(raw_case, place, cases), lattice)


def _check(values: Tensor) -> None:
    if values.ndim != 4 or min(values.shape) < 1 or min(values.shape[1:]) < 2:
        raise FieldError(f"field: expected (B, X, Y, Z) of at least 2 points per axis, got {tuple(values.shape)}")
    bad = values.numel() - int(values.isfinite().sum())
    if bad:
        raise FieldError(f"field: {bad} of {values.numel()} samples are NaN or infinite")


def _cases(inside: Tensor) -> Tensor:
    """(B, X - 1, Y - 1, Z - 1) uint8 cases: corner bits are gathered along one axis after the other."""
    bits = inside.to(torch.uint8)
    bits = bits[:, :-1] | bits[:, 1:] << 1
    bits = bits[:, :, :-1] | bits[:, :, 1:] << 2
    return bits[..., :-1] | bits[..., 1:] << 4


def _corners(place: Tensor, lattice: Sequence[int]) -> Tensor:
    """(S, 8) point numbers of the corners of the cubes at `place` (S, 4)."""
    _, x, y, z = lattice
    strides = place.new_tensor([x * y * z, y * z, z, 1])
    steps = place.new_tensor([[corner & 1, corner >> 1 & 1, corner >> 2] for corner in range(8)])
    return (place * strides).sum(1, keepdim=True) + (steps * strides[1:]).sum(1)


def _inverted(case: Tensor, place: Tensor, cases: Tensor) -> Tensor:
    """The cases (S,) of the cubes at `place` (S, 4), inverted where the cube behind the ambiguous face has one too."""
    direction = tables(case.device).direction
    ambiguous = direction.any(1)
    neighbour = place[:, 1:] + direction[case]
    sizes = neighbour.new_tensor(cases.shape[1:])
    within = ((neighbour >= 0) & (neighbour < sizes)).all(1)
    x, y, z = torch.minimum(neighbour.clamp(min=0), sizes - 1).unbind(1)
    behind = cases[place[:, 0], x, y, z].long()
    return torch.where(ambiguous[case] & within & ambiguous[behind], CASES - 1 - case, case)
