"""The network learns a sphere before it learns faces."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from framework.geometry.grid import evaluate_grid
from framework.geometry.isosurface import marching_cubes
from framework.geometry.mesh import Mesh
from methods.stylesdf.cameras import angles_from, cameras_at
from methods.stylesdf.config import CameraConfig, RendererConfig
from methods.stylesdf.nets.mapping import RendererMapping
from methods.stylesdf.nets.renderer import SdfRenderer
from methods.stylesdf.sphere import sphere_loss, sphere_points, sphere_targets

CAMERA = CameraConfig()


class Shapes(nn.Module):
    """A generator without its decoder."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.style = RendererMapping(width)
        self.renderer = SdfRenderer(RendererConfig(width=width, depth=depth), width)


def trained(steps: int, rate: float) -> tuple[Shapes, list[float]]:
    """A small network after some steps on three latents with 16 x 16 rays of 12 samples, and its losses."""
    torch.manual_seed(0)
    shapes, losses = Shapes(64, 4), []
    optimizer = torch.optim.Adam(shapes.parameters(), lr=rate, betas=(0.0, 0.9))
    for _ in range(steps):
        cameras = cameras_at(angles_from(torch.randn(3, 2), CAMERA), CAMERA)
        loss = sphere_loss(shapes, torch.randn(3, 64), cameras, torch.rand(3, 256, 12))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return shapes, losses


def surface(shapes: Shapes, seed: int) -> Mesh:
    latent = shapes.style(torch.randn(1, 64, generator=torch.Generator().manual_seed(seed)))
    grid = evaluate_grid(lambda points: shapes.renderer.sdf(latent, points[None], 0.12)[0], 32, 0.12)
    return marching_cubes(grid.values, 0.12, inside="negative")


def test_targets_are_distances_to_a_sphere_of_half_the_radius() -> None:
    points = torch.tensor([[0.0, 0.0, 0.06], [0.1, 0.0, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(sphere_targets(points, CAMERA), torch.tensor([0.0, 0.04, -0.06]))


def test_points_lie_along_the_rays_between_near_and_far() -> None:
    shapes, cameras = Shapes(8, 1), cameras_at(torch.zeros(1, 2), CAMERA)
    points = sphere_points(shapes.renderer, cameras, torch.rand(1, 16, 6))
    depths = 1.0 - points[..., 2]
    assert points.shape == (1, 16, 6, 3) and float(depths.min()) >= 0.88 - 1e-6 and float(depths.max()) <= 1.12
    assert bool((depths.diff(dim=-1) >= 0).all())
    with pytest.raises(ValueError, match=r"expected \(B, R \* R, N\)"):
        sphere_points(shapes.renderer, cameras, torch.rand(1, 15, 6))


def test_the_sharpness_has_no_part_in_it_and_the_loss_falls() -> None:
    shapes, losses = trained(60, 2e-4)
    assert shapes.renderer.sigmoid_beta.grad is None
    assert np.mean(losses[-5:]) < 0.5 * losses[0]


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "most"), [(2e-5, 0.02), (2e-4, 0.01)])
def test_a_small_network_becomes_a_sphere(rate: float, most: float) -> None:
    """Acceptance: the mean of the last 50 of 600 losses; at the higher rate, closed spheres for any latent."""
    shapes, losses = trained(600, rate)
    assert np.mean(losses[-50:]) < most
    if rate < 1e-4:
        return
    meshes = [surface(shapes, seed) for seed in range(3)]
    radii = [np.linalg.norm(mesh.vertices, axis=1) for mesh in meshes]
    assert all(mesh.is_watertight for mesh in meshes) and all(radius.std() < 0.01 for radius in radii)
    # Of all three together: at this rate that of one latent moves by a tenth from step to step.
    assert np.concatenate(radii).mean() == pytest.approx(0.06, abs=0.006)
