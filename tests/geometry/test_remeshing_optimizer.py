from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from framework.geometry.icosphere import icosphere
from framework.geometry.mesh import Mesh, MeshError
from framework.geometry.remeshing.collapse import random_picks
from framework.geometry.remeshing.config import RemeshingConfig
from framework.geometry.remeshing.connectivity import edges_of
from framework.geometry.remeshing.optimizer import Picks, RemeshingOptimizer

AXES = torch.tensor([0.6, 1.6, 0.5])


def to_ellipsoid(positions: Tensor) -> Tensor:
    return ((positions / AXES).norm(dim=1) - 1).square().sum()


def seeded() -> Picks:
    return partial(random_picks, generator=torch.Generator().manual_seed(0))


def optimised(
    config: RemeshingConfig, steps: int, loss: Callable[[Tensor], Tensor] = to_ellipsoid, remesh: bool = True
) -> RemeshingOptimizer:
    optimizer = RemeshingOptimizer(*icosphere(2), config)
    picks = seeded()
    for _ in range(steps):
        loss(optimizer.positions).backward()
        optimizer.step()
        if remesh:
            optimizer.remesh(picks)
    return optimizer


def test_a_ball_becomes_an_ellipsoid() -> None:
    optimizer = optimised(RemeshingConfig(shortest_edge=0.05, longest_edge=0.15), 80)
    distance = ((optimizer.positions.detach() / AXES).norm(dim=1) - 1).abs()
    assert distance.mean() < 0.01
    mesh = Mesh(optimizer.positions.detach(), optimizer.faces)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(4 / 3 * torch.pi * 0.6 * 1.6 * 0.5, rel=0.03)
    # The wanted length started at 0.15 and fell as the vertices came to rest.
    assert optimizer.state.edge_length.mean() < 0.1
    lengths = edges_of(optimizer.faces, len(optimizer.positions)).lengths(optimizer.positions)
    assert lengths.detach().mean() < 0.12


def test_a_steady_gradient_moves_by_the_learning_rate_in_edge_lengths() -> None:
    config = RemeshingConfig(smoothing=0.0, longest_edge=0.2, learning_rate=0.3)
    optimizer = optimised(config, 3, lambda positions: 1e-6 * positions[:, 0].sum(), remesh=False)
    moved = optimizer.positions.detach() - icosphere(2)[0]
    # A fifth of the rate in the first step, two fifths in the second, three in the third; the velocity is one.
    torch.testing.assert_close(moved[:, 0], torch.full((162,), -0.3 * 0.2 * 1.2), rtol=0.02, atol=0)
    assert moved[:, 1:].abs().max() < 1e-6
    torch.testing.assert_close(optimizer.state.speed, torch.ones(162, 1), rtol=0.01, atol=0)


@pytest.mark.parametrize("keep_shape", [False, True])
def test_only_the_relative_laplacian_keeps_the_volume(keep_shape: bool) -> None:
    config = RemeshingConfig(learning_rate=0.05, longest_edge=0.3, smoothing=0.1, keep_shape=keep_shape)
    generator = torch.Generator().manual_seed(0)

    def noise(positions: Tensor) -> Tensor:
        """No direction of its own: what is left is the smoothing."""
        return (positions * 0.001 * torch.randn(positions.shape, generator=generator)).sum()

    before = Mesh(*icosphere(2)).volume
    after = Mesh(optimised(config, 60, noise, remesh=False).positions.detach(), icosphere(2)[1]).volume
    assert after == pytest.approx(before, rel=0.01) if keep_shape else after < 0.2 * before


def test_the_shape_to_keep_is_the_same_in_finer_triangles() -> None:
    config = RemeshingConfig(shortest_edge=0.05, longest_edge=0.1, keep_shape=True)
    optimizer = RemeshingOptimizer(*icosphere(2), config)
    # On a sphere the mean of the neighbours lies below by half the square of the edges' length.
    for _ in range(2):
        assert (optimizer.state.curvature * optimizer.positions.detach()).sum(1).mean() == pytest.approx(0.5, rel=0.03)
        optimizer.remesh(seeded())
    assert len(optimizer.positions) > 600


def test_smoothing_towards_the_start_does_not_inflate_a_mesh_that_is_split() -> None:
    config = RemeshingConfig(shortest_edge=0.05, longest_edge=0.1, keep_shape=True, smoothing=0.2)
    generator = torch.Generator().manual_seed(0)
    volume = Mesh(*icosphere(2)).volume

    def noise(positions: Tensor) -> Tensor:
        return (positions * 0.001 * torch.randn(positions.shape, generator=generator)).sum()

    optimizer = optimised(config, 40, noise)
    assert Mesh(optimizer.positions.detach(), optimizer.faces).volume == pytest.approx(volume, rel=0.03)


def test_one_length_for_all_follows_the_mean_speed() -> None:
    shared = optimised(RemeshingConfig(shared_length=True, shortest_edge=0.05, longest_edge=0.15), 30)
    assert shared.state.edge_length.std() < 1e-6
    single = optimised(RemeshingConfig(shortest_edge=0.05, longest_edge=0.15), 30)
    assert single.state.edge_length.std() > 1e-3


def test_too_many_vertices_are_not_split_further() -> None:
    optimizer = RemeshingOptimizer(*icosphere(2), RemeshingConfig(longest_edge=0.02, most_vertices=1000))
    for _ in range(4):
        optimizer.remesh(seeded())
    assert 1000 <= len(optimizer.positions) < 4 * 1000


def test_unused_vertices_and_degenerate_faces_are_dropped_at_the_start() -> None:
    positions, faces = icosphere(1)
    optimizer = RemeshingOptimizer(
        torch.cat([positions, torch.full((1, 3), 9.0)]), torch.cat([faces, faces[:1, [0, 0, 1]]]), RemeshingConfig()
    )
    assert torch.equal(optimizer.positions, positions)
    assert torch.equal(optimizer.faces, faces)


def test_what_can_not_be_optimised_is_named() -> None:
    positions, faces = icosphere(0)
    with pytest.raises(MeshError, match="no triangle with three different corners"):
        RemeshingOptimizer(positions, faces[:0], RemeshingConfig())
    optimizer = RemeshingOptimizer(positions, faces, RemeshingConfig())
    optimizer.positions.grad = torch.full_like(positions, torch.nan)
    with pytest.raises(MeshError, match="step 1: the gradient of 12 of 12 vertices is not finite"):
        optimizer.step()
    tiny = RemeshingOptimizer(0.001 * positions, faces, RemeshingConfig())
    with pytest.raises(MeshError, match="the mesh has vanished"):
        for _ in range(60):
            tiny.remesh(seeded())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shortest_edge": 0.2, "longest_edge": 0.1}, "0 < shortest_edge <= longest_edge"),
        ({"tolerance": 1.0}, "tolerance is 1.0"),
        ({"betas": (0.8, 1.0, 0.0)}, "betas are"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RemeshingConfig(**options)  # type: ignore[arg-type]
