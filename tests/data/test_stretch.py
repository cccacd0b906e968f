"""Stretched items show the stretched object, in points, normals and pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from framework.data.config import ShapesConfig
from framework.data.procedural.catalogue import generate
from framework.data.procedural.sampling import build_mesh
from framework.data.shape_samples import draw_stretch, stretch
from framework.data.shapes import ShapesData
from framework.renderers.config import TorchRasterizerConfig
from framework.renderers.torch_rasterizer import TorchRasterizer
from framework.renderers.views import canonical_cameras, render_mesh
from tests.data.balls import RADIUS, inside, write_balls

FACTORS = np.array([1.3, 0.8, 0.9])


def ball_item(root: Path, **options: object) -> dict[str, torch.Tensor]:
    sizes = {"surface_points": 100, "supervision_points": 100, "validation_points": 50}
    return ShapesData(ShapesConfig(root=str(root), **sizes, **options)).dataset("train")[0, 0]


def test_points_normals_and_occupancy_are_those_of_an_ellipsoid(tmp_path: Path) -> None:
    item = {
        name: value.numpy()
        for name, value in ball_item(write_balls(tmp_path)).items()
        if name in ("surface", "points", "occupancy")
    }
    stretch(item, FACTORS)
    back = item["surface"][:, :3] / FACTORS - [0.2, 0, 0]
    np.testing.assert_allclose(np.linalg.norm(back, axis=1), RADIUS, atol=2e-3)
    expected = back / FACTORS
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(item["surface"][:, 3:], expected, atol=5e-3)
    np.testing.assert_array_equal(item["occupancy"], inside((item["points"] / FACTORS).astype(np.float32)))


def test_pictures_are_those_of_the_stretched_mesh() -> None:
    mesh, rasterizer = build_mesh(generate("mug", 0), resolution=48), TorchRasterizer(TorchRasterizerConfig())
    wide = replace(mesh, vertices=(mesh.vertices * FACTORS).astype(np.float32))
    views = [render_mesh(each, canonical_cameras(), 128, rasterizer, supersample=2)["shaded"] for each in (mesh, wide)]
    surface = np.concatenate([mesh.vertices, np.ones_like(mesh.vertices)], axis=1)
    item = {"surface": surface, "points": mesh.vertices, "views": views[0].permute(0, 3, 1, 2).numpy()}
    stretch(item, FACTORS)
    shown, expected = torch.from_numpy(item["views"])[:, 3], views[1][..., 3]
    assert (shown - expected).abs().mean() < 0.01
    assert (torch.from_numpy(views[0].numpy())[..., 3] - expected).abs().mean() > 0.05


def test_the_longest_side_stays_and_factors_keep_their_range() -> None:
    random, surface = (
        np.random.default_rng(0),
        np.random.default_rng(1).uniform(-1, 1, (500, 6)) * [0.9, 0.3, 0.5, 1, 1, 1],
    )
    sides = np.ptp(surface[:, :3], axis=0)
    for _ in range(20):
        factors = draw_stretch(surface, (0.5, 0.2, 0.0), random)
        assert (sides * factors).max() == pytest.approx(sides.max())
        assert 1 / 1.2 <= factors[1] / factors[2] <= 1.2
        assert 1 / 1.5 <= factors[0] / factors[2] <= 1.5


def test_items_are_stretched_in_training_alone(tmp_path: Path) -> None:
    root = write_balls(tmp_path)
    plain, stretched = (ball_item(root, stretch=shares) for shares in ((0.0, 0.0, 0.0), (0.4, 0.4, 0.4)))
    assert not torch.equal(plain["surface"], stretched["surface"])
    sides = [np.ptp(item["surface"][:, :3].numpy(), axis=0) for item in (plain, stretched)]
    assert sides[1].max() == pytest.approx(sides[0].max(), rel=0.1)
    config = ShapesConfig(
        root=str(root), surface_points=100, supervision_points=50, validation_points=50, stretch=(0.4, 0.4, 0.4)
    )
    points = ShapesData(config).dataset("val")[0, 0]["surface"].numpy()
    np.testing.assert_allclose(np.linalg.norm(points[:, :3] - [0.2, 0, 0], axis=1), RADIUS, atol=1e-3)


def test_what_cannot_be_stretched_is_refused() -> None:
    with pytest.raises(ValueError, match="distances"):
        stretch({"sdf": np.zeros(3)}, FACTORS)
    with pytest.raises(ValueError, match="view_groups"):
        ShapesConfig(stretch=(0.1, 0.0, 0.0), view_groups="all")
    with pytest.raises(ValueError, match="below 0"):
        ShapesConfig(stretch=(0.1, -0.1, 0.0))
