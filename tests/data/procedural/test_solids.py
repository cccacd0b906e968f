"""Primitives and operators: 1-Lipschitz always, Euclidean outside where a solid says so, inside its box."""

import numpy as np
import pytest

from framework.data.procedural import operators as op
from framework.data.procedural import primitives as prim
from framework.data.procedural.solid import Solid, columns

PROFILE = [(0.0, -0.5), (0.4, -0.5), (0.3, 0.1), (0.2, 0.5), (0.0, 0.5)]

PRIMITIVES = {
    "box": prim.box((0.8, 0.5, 1.0), 0.1, (0.1, 0.0, 0.0)),
    "sphere": prim.sphere(0.4, (0.0, 0.2, 0.0)),
    "ellipsoid": prim.ellipsoid((0.5, 0.2, 0.4)),
    "capsule": prim.capsule((-0.3, -0.2, 0.0), (0.4, 0.3, 0.2), 0.2),
    "round_cone": prim.round_cone((-0.3, -0.2, 0.0), (0.4, 0.3, 0.2), 0.3, 0.1),
    "swallowed": prim.round_cone((0.0, 0.0, 0.0), (0.1, 0.0, 0.0), 0.4, 0.1),
    "torus": prim.torus(0.4, 0.15),
    "torus_arc": prim.torus_arc(0.4, 0.1, 1.9),
    "lathe": prim.lathe(PROFILE, 0.02),
    "lathe_wall": prim.lathe_wall([(0.0, -0.5), (0.4, -0.4), (0.2, 0.5)], 0.08),
    "cylinder": prim.cylinder(0.4, -0.3, 0.4, 0.05, 0.2),
    "prism": prim.prism([(-0.5, -0.4), (0.5, -0.4), (0.3, 0.4), (-0.1, 0.1)], 0.3, "zy", 0.04),
    "sweep": prim.sweep(prim.bezier([(-0.5, 0, 0), (0, 0.6, 0), (0.5, 0, 0.2)], 6), 0.08),
}

BALL, BLOCK = prim.sphere(0.35, (0.1, 0.1, 0.0)), prim.box((0.5, 0.7, 0.4), 0.02, (0.25, 0.0, 0.2))

OPERATORS = {
    "union": op.union(BALL, BLOCK, PRIMITIVES["lathe"]),
    "smooth_union": op.smooth_union(0.15, BALL, BLOCK),
    "subtract": op.subtract(BLOCK, BALL),
    "intersect": op.intersect(BLOCK, BALL),
    "clip": op.clip(BALL, (0.0, -2.0, 0.0), 0.1),
    "offset": op.offset(BLOCK, 0.05),
    "shell": op.shell(BALL, 0.06),
    "mirror_x": op.mirror_x(op.move(BALL, (0.4, 0.0, 0.0))),
    "mirror_z": op.mirror_z(op.move(BALL, (0.0, 0.0, 0.4))),
    "around_y": op.around_y(prim.capsule((0.2, 0.0, 0.0), (0.6, 0.1, 0.0), 0.06), 5, 0.3),
    "rotate": op.rotate(BLOCK, "z", 30.0),
    "stretch": op.stretch(BALL, (1.5, 0.5, 1.0)),
    "twist": op.twist(prim.box((0.6, 1.0, 0.4), 0.05), 1.5, 0.4),
    "ribbed": op.ribbed(PRIMITIVES["lathe_wall"], 8, 0.07),
}
ALL = PRIMITIVES | OPERATORS


def _points(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1.2, 1.2, (count, 3)).astype(np.float32)


def _gradient(solid: Solid, points: np.ndarray, step: float = 1e-3) -> np.ndarray:
    moved = points[:, None] + step * np.concatenate([np.eye(3), -np.eye(3)]).astype(np.float32)
    values = solid(moved.reshape(-1, 3)).reshape(-1, 6)
    return (values[:, :3] - values[:, 3:]) / (2 * step)


@pytest.mark.parametrize("name", ALL)
def test_values_grow_no_faster_than_the_distance(name: str) -> None:
    points = _points(6000)
    near = points + np.random.default_rng(1).normal(0.0, 0.03, points.shape).astype(np.float32)
    for other in (near, points[::-1]):
        rise = np.abs(ALL[name](points) - ALL[name](other))
        assert (rise <= np.linalg.norm(points - other, axis=1) * 1.001 + 1e-5).all()


@pytest.mark.parametrize("name", [name for name, solid in ALL.items() if solid.exact])
def test_exact_solids_give_the_euclidean_distance_outside(name: str) -> None:
    """Going back by the value along the gradient arrives at the surface; with the bound above, it is the distance."""
    solid = ALL[name]
    points = _points(4000)
    points = points[solid(points) > 0.01]
    values, gradient = solid(points), _gradient(solid, points)
    smooth = np.abs(np.linalg.norm(gradient, axis=1) - 1.0) < 5e-3
    arrived = solid((points - values[:, None] * gradient)[smooth])
    assert smooth.mean() > 0.97
    assert np.quantile(np.abs(arrived), 0.99) < 5e-3


@pytest.mark.parametrize("name", ALL)
def test_boxes_contain_their_solids(name: str) -> None:
    solid, points = ALL[name], _points(20000, 2)
    inside = points[solid(points) <= 0]
    assert len(inside) > 20
    assert (inside >= np.array(solid.lower) - 1e-5).all() and (inside <= np.array(solid.upper) + 1e-5).all()


def test_bounds_are_said_to_be_bounds() -> None:
    inexact = {name for name, solid in ALL.items() if not solid.exact}
    assert inexact == {
        "ellipsoid", "smooth_union", "subtract", "intersect", "clip", "shell", "stretch", "twist", "ribbed"
    }  # fmt: skip


def test_single_precision_everywhere() -> None:
    points = _points(16).astype(np.float64)
    assert {str(solid(points).dtype) for solid in ALL.values()} == {"float32"}


@pytest.mark.parametrize(
    ("name", "point", "value"),
    [
        ("torus", (0.4, 0.0, 0.0), -0.15),
        ("torus_arc", (-0.4, 0.0, 0.0), 0.4 * np.hypot(1 + np.cos(1.9), np.sin(1.9)) - 0.1),
        ("cylinder", (0.0, 0.9, 0.0), 0.5),
        ("lathe_wall", (0.0, 0.0, 0.0), 0.28 / np.hypot(0.2, 0.9) - 0.04),
        ("swallowed", (0.9, 0.0, 0.0), 0.5),
    ],
)
def test_known_values(name: str, point: tuple[float, float, float], value: float) -> None:
    assert ALL[name](np.array([point]))[0] == pytest.approx(value, abs=2e-3)


def test_a_union_skips_far_solids_without_changing_a_value() -> None:
    solids = [prim.sweep([(x, 0, 0), (x, 0.5, 0), (x + 0.1, 0.6, 0)], 0.05) for x in (-0.9, -0.3, 0.3, 0.9)]
    points = _points(3000)
    plain = np.min([solid(points) for solid in solids], axis=0)
    np.testing.assert_allclose(op.union(*solids)(points), plain, atol=1e-6)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="radius"):
        prim.box((1.0, 0.1, 1.0), 0.2)
    with pytest.raises(ValueError, match="sweep"):
        prim.sweep([(0, 0, 0)], 0.1)
    with pytest.raises(ValueError, match=r"shape \(P, 3\)"):
        columns(np.zeros((3, 4)))
