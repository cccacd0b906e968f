"""Exposure of points whose open sky is known."""

import numpy as np
import torch
import trimesh

from framework.geometry.mesh import Mesh
from framework.renderers.occlusion import exposure, with_exposure
from framework.renderers.surface import surface_of
from framework.renderers.torch_rasterizer import TorchRasterizer

RASTERIZER = TorchRasterizer()


def test_a_convex_body_sees_everything() -> None:
    ball = trimesh.creation.icosphere(subdivisions=3)
    seen = with_exposure(surface_of(Mesh(ball.vertices, ball.faces)), RASTERIZER).exposure
    assert seen is not None and seen.min() > 0.93 and seen.mean() > 0.99


def test_points_inside_see_nothing() -> None:
    ball = trimesh.creation.icosphere(subdivisions=3, radius=2.0)
    surface = surface_of(Mesh(ball.vertices + 7, ball.faces))
    points = torch.tensor([[7.0, 7, 7], [7.5, 6.5, 7.2]])
    up = torch.tensor([[0.0, 1, 0]]).expand(2, 3)
    assert exposure(points, up, surface, RASTERIZER).max() == 0


def test_a_wall_hides_half_of_the_sky() -> None:
    """A point at the foot of an endless wall sees one half of its cosine-weighted hemisphere."""
    wall = Mesh([[0, 0, -30], [0, 0, 30], [0, 30, 30], [0, 30, -30]], [[0, 1, 2], [0, 2, 3]])
    foot = torch.tensor([[1.5, 0.0, 0.0]])
    seen = exposure(foot, torch.tensor([[0.0, 1, 0]]), surface_of(wall), RASTERIZER, directions=800, resolution=200)
    assert abs(float(seen) - 0.52) < 0.04


def test_size_and_place_do_not_matter() -> None:
    mesh = trimesh.creation.torus(0.6, 0.3, major_sections=32, minor_sections=16)
    here = surface_of(Mesh(mesh.vertices, mesh.faces))
    there = surface_of(Mesh(mesh.vertices * 64 + np.array([256, -512, 0]), mesh.faces))
    first, second = (exposure(s.positions, s.normals, s, RASTERIZER, directions=16) for s in (here, there))
    assert (first - second).abs().mean() < 0.01
    hole = here.positions[:, :2].norm(dim=1) < 0.35
    assert first[hole].mean() < first[~hole].mean() - 0.1


def test_coarse_meshes_carry_no_exposure() -> None:
    box = trimesh.creation.box((1, 1, 1))
    assert with_exposure(surface_of(Mesh(box.vertices, box.faces)), RASTERIZER).exposure is None
