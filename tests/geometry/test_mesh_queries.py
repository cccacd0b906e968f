"""Distances by warp against shapes with known ones and against libigl."""

import numpy as np
import pytest
import torch
import trimesh

from framework.geometry.mesh import Mesh
from framework.geometry.mesh_queries import MeshQueries
from framework.geometry.occupancy import signed_distance

pytest.importorskip("warp", reason="needs the extra 'warp'")

SPHERE = trimesh.creation.icosphere(subdivisions=4)
BALL = Mesh(SPHERE.vertices, SPHERE.faces)


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_distances_to_a_ball(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    points = (torch.rand(2000, 3, generator=torch.Generator().manual_seed(0)) * 3 - 1.5).to(device)
    queries = MeshQueries(BALL, device)
    points.requires_grad_()
    distance = queries.signed_distance(points)
    radius = points.norm(dim=1)
    torch.testing.assert_close(distance, radius - 1, atol=3e-3, rtol=0)
    clear = (radius - 1).abs() > 5e-3
    assert torch.equal(queries.inside(points)[clear], (radius < 1)[clear])
    (gradient,) = torch.autograd.grad(distance[clear].sum(), points)
    directions = torch.nn.functional.normalize(points.detach(), dim=1)
    assert ((gradient * directions).sum(1)[clear & (radius > 0.2)] > 0.99).float().mean() > 0.98


@pytest.mark.slow
def test_the_same_as_libigl_on_an_open_mesh() -> None:
    pytest.importorskip("igl", reason="needs the extra 'mesh'")
    punched = BALL.subset(BALL.triangles.mean(axis=1)[:, 1] < 0.8)
    points = np.random.default_rng(0).uniform(-1.2, 1.2, (3000, 3)).astype(np.float32)
    expected = signed_distance(punched, points)
    found = MeshQueries(punched).signed_distance(torch.from_numpy(points)).numpy()
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-5)
    assert (np.sign(found) == np.sign(expected)).mean() > 0.995  # both are approximations across the hole


@pytest.mark.slow
def test_points_that_make_no_sense() -> None:
    queries = MeshQueries(BALL)
    assert queries.signed_distance(torch.zeros(0, 3)).shape == (0,)
    for points in (torch.zeros(4, 2), torch.full((1, 3), torch.nan)):
        with pytest.raises(ValueError, match=r"finite values of shape \(P, 3\)"):
            queries.inside(points)
