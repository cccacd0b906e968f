"""Small sets of balls for the tests of shape data."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from framework.data.shape_files import ShapeArrays, write_arrays, write_split, write_views

RADIUS = 0.6


def ball_arrays(seed: int, count: int = 400) -> ShapeArrays:
    """Samples of a ball of radius 0.6 around (0.2, 0, 0), float16 as in files."""
    random = np.random.default_rng(seed)
    centre = np.array([0.2, 0.0, 0.0])
    normals = random.normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    points = random.uniform(-1.1, 1.1, (count, 3)).astype(np.float16)
    near = (centre + (RADIUS + random.normal(0, 0.02, (count, 1))) * normals).astype(np.float16)
    surface = np.concatenate([centre + RADIUS * normals, normals], axis=1).astype(np.float16)
    return ShapeArrays(
        surface=surface,
        points=points,
        occupancy=np.packbits(inside(points)),
        near_points=near,
        near_occupancy=np.packbits(inside(near)),
    )


def inside(points: np.ndarray) -> np.ndarray:
    """Whether points lie in the ball, by its equation."""
    return np.linalg.norm(points.astype(np.float32) - np.float32([0.2, 0, 0]), axis=1) < RADIUS


def ball_views(groups: int = 1, size: int = 8) -> np.ndarray:
    """Views whose red tells the number of the file (times 10) and whose green grows to the right."""
    views = np.full((4 * groups, size, size, 4), 255, np.uint8)
    views[..., 0] = 10 * np.arange(4 * groups)[:, None, None]
    views[..., 1] = np.arange(size) * 20
    return views


def write_balls(root: Path, train: int = 6, val: int = 2, groups: int = 1) -> Path:
    """A set in the first layout; further groups are turned about the vertical."""
    turn = np.array([[0.8, -0.6, 0, 0], [0.6, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    rotations = np.repeat(np.stack([np.eye(4), *[turn] * (groups - 1)]), 4, axis=0)
    names = {"train": [f"s/t{i}" for i in range(train)], "val": [f"s/v{i}" for i in range(val)], "test": []}
    for number, name in enumerate(names["train"] + names["val"]):
        write_arrays(root / "geometry" / name, ball_arrays(number))
        write_views(root / "images" / name, ball_views(groups), rotations)
    for split, members in names.items():
        write_split(root, split, [f"geometry/{name}" for name in members])
    return root
