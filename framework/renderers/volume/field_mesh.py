"""The surface of a field as a mesh, coloured by the field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from framework.geometry.grid import evaluate_grid
from framework.geometry.isosurface import marching_cubes
from framework.geometry.mesh import Mesh, smooth_normals
from framework.renderers.volume.fields import Field, ask

FORWARD = (0.0, 0.0, 1.0)
"""The direction told to a field that is asked for its shape, which does not depend on it."""


def field_mesh(
    field: Field,
    resolution: int,
    bounds: ArrayLike = 1.0,
    level: float = 0.0,
    method: Literal["coarse_to_fine", "dense"] = "coarse_to_fine",
    chunk: int = 65536,
    device: torch.device | str = "cpu",
) -> Mesh:
    """Where the field's signed distance (else its density) crosses `level`, faces outwards, with vertex colours.

    See `geometry.grid.evaluate_grid` and `geometry.isosurface.marching_cubes` for the grid, its bounds and the errors:
    EmptySurface where nothing is crossed, FieldError for NaN.
    """
    probe = torch.zeros(1, 3, device=device)
    with torch.no_grad():
        signed = ask(field, probe, probe.new_tensor([FORWARD])).sdf is not None

    def shape(points: Tensor) -> Tensor:
        return ask(field, points, points.new_tensor(FORWARD).expand_as(points)).shape()

    samples = evaluate_grid(shape, resolution, bounds, method=method, level=level, chunk=chunk, device=device)
    mesh = marching_cubes(samples.values, bounds, level, inside="negative" if signed else "positive")
    return with_field_colors(mesh, field, chunk, device)


def with_field_colors(mesh: Mesh, field: Field, chunk: int = 65536, device: torch.device | str = "cpu") -> Mesh:
    """The mesh with the field's colours at its vertices, each seen along its normal; as it is if the field has none."""
    directions = -smooth_normals(mesh)
    with torch.no_grad():
        colors = list(_colors(field, mesh.vertices, directions, chunk, device))
    return replace(mesh, vertex_colors=np.concatenate(colors)) if colors else mesh


def _colors(
    field: Field, points: np.ndarray, directions: np.ndarray, chunk: int, device: torch.device | str
) -> Iterator[np.ndarray]:
    for start in range(0, len(points), chunk):
        rows = slice(start, start + chunk)
        asked = (torch.from_numpy(values[rows]).to(device) for values in (points, directions))
        colour = ask(field, *asked).colour
        if colour is not None:
            yield colour.clamp(0.0, 1.0).cpu().numpy()
