"""Runners of surface extraction."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from torch import Tensor

from framework.geometry.flexicubes.cubes import SurfaceCubes, surface_cubes
from framework.geometry.flexicubes.surface import extract_surface
from framework.geometry.flexicubes.weights import CubeWeights, activated_weights
from tests.parity.expressions import evaluate
from tests.parity.fixture import Fixture


def flexicubes(fixture: Fixture) -> dict[str, Any]:
    """Family flexicubes: `config.res` cubes, `config.weight_scale`; the inputs `sdf` and `positions` are expressions of
    the lattice points (x, y, z, grid) and their number V, `weights` of the number of cubes.

    Gradients are those of sum(train_vertices^2) + sum(L_dev).
    """
    points = _grid(fixture)
    names = _names(fixture, points)
    values = torch.from_numpy(evaluate_field(fixture.descriptions["sdf"], fixture.salt, names))
    positions, raw = (fixture.tensor(name, **names).float() for name in ("positions", "weights"))
    leaves = [tensor.requires_grad_() for tensor in (values, positions, raw)]
    cubes = surface_cubes(_shaped(values, fixture))
    weights = activated_weights(raw[cubes.cube], fixture.config["weight_scale"])
    plain = _surface(fixture, cubes, positions, values)
    given = _surface(fixture, cubes, positions, values, weights)
    trained = _surface(fixture, cubes, positions, values, weights, centred=True)
    total = trained["vertices"].square().sum() + trained["L_dev"].sum()
    of_values, of_positions, of_raw = torch.autograd.grad(total, leaves)
    return (
        _lattice(points, fixture, names)
        | {"case_ids": cubes.case, **given}
        | {f"train_{name}": trained[name] for name in ("vertices", "faces")}
        | {f"plain_{name}": plain[name] for name in ("vertices", "faces")}
        | {"grad_sdf": of_values, "grad_positions": of_positions, "grad_weights_l2": of_raw.norm()}
    )


def flexicubes_random(fixture: Fixture) -> dict[str, Any]:
    """Family flexicubes_random: random values `sdf` (an expression of V) on `config.res` cubes, without weights."""
    points = _grid(fixture)
    values = fixture.tensor("sdf", **_names(fixture, points)).float()
    cubes = surface_cubes(_shaped(values, fixture))
    return {
        "raw_case_ids": cubes.raw_case,
        "case_ids": cubes.case,
        **_surface(fixture, cubes, points.view(-1, 3), values),
    }


def evaluate_field(sentence: str, salt: int, names: dict[str, Any]) -> np.ndarray:
    """A field as people write it: `float32 of sin(17x+salt), evaluated in float64, plus 0.1*inputs('n',(V,),salt)`."""
    formula, _, rest = sentence.removeprefix("float32 of ").partition(", evaluated in float64")
    formula = re.sub(r"(?<![\w.])(\d+\.?\d*|\.\d+)([xyz])\b", r"\1*\2", formula)
    field = np.asarray(evaluate(formula, salt, names), np.float32)
    added = rest.removeprefix(", plus ")
    return field + np.float32(evaluate(added, salt, names)) if added else field


def _grid(fixture: Fixture) -> Tensor:
    """The original's lattice points (X, Y, Z, 3): in single precision, rounded to five decimals, then centred."""
    axes = [torch.round(torch.arange(count + 1).float() / count * 1e5) / 1e5 - 0.5 for count in fixture.config["res"]]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)


def _names(fixture: Fixture, points: Tensor) -> dict[str, Any]:
    grid = points.view(-1, 3).numpy()
    x, y, z = grid.T.astype(np.float64)
    cubes = int(np.prod(fixture.config["res"]))
    return {"grid": grid, "x": x, "y": y, "z": z, "V": len(grid), "cubes": cubes}


def _shaped(values: Tensor, fixture: Fixture) -> Tensor:
    """Flat values, or positions, as one object's lattice."""
    return values.view(1, *(count + 1 for count in fixture.config["res"]), *values.shape[1:])


def _surface(
    fixture: Fixture,
    cubes: SurfaceCubes,
    positions: Tensor,
    values: Tensor,
    weights: CubeWeights | None = None,
    centred: bool = False,
) -> dict[str, Tensor]:
    surface = extract_surface(cubes, _shaped(positions, fixture), _shaped(values, fixture), weights, centred)
    return {"vertices": surface.vertices, "faces": surface.faces, "L_dev": surface.deviation}


def _lattice(points: Tensor, fixture: Fixture, names: dict[str, Any]) -> dict[str, Any]:
    """The first lattice points, and the corners of the first cubes."""
    sizes = [count + 1 for count in fixture.config["res"]]
    number = torch.arange(names["V"]).view(sizes)
    corners = [
        number[
            i & 1 : sizes[0] - 1 + (i & 1), i >> 1 & 1 : sizes[1] - 1 + (i >> 1 & 1), i >> 2 : sizes[2] - 1 + (i >> 2)
        ]
        for i in range(8)
    ]
    cubes = torch.stack(corners, -1).view(-1, 8)
    ends = {name: len(fixture.expected.get(f"{name}_head", [])) for name in ("grid_vertices", "cubes")}
    return {
        "grid_vertices_head": points.view(-1, 3)[: ends["grid_vertices"]],
        "cubes_head": cubes[: ends["cubes"]],
    }
