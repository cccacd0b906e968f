from functools import partial

import pytest
import torch
from torch import Tensor

from framework.geometry.camera import Camera, orbit
from framework.geometry.icosphere import icosphere
from framework.geometry.mesh import Mesh, MeshError
from framework.geometry.normals import smooth_normals
from framework.geometry.remeshing.collapse import random_picks
from framework.geometry.remeshing.config import RemeshingConfig
from framework.renderers.carving import NormalTargets, carve, draw_vectors
from framework.renderers.config import CarvingConfig
from framework.renderers.torch_rasterizer import TorchRasterizer
from tests.geometry.shapes import torus

SIZE = (64, 64)
CAMERAS = Camera.orthographic(orbit((0.0, 45.0, 90.0, 180.0, 270.0, 315.0), 0.0, 5.0), 1.5)


def targets_of(positions: Tensor, faces: Tensor) -> NormalTargets:
    clip_from_world = CAMERAS.clip_from_world
    picture = draw_vectors(smooth_normals(positions, faces), positions, faces, clip_from_world, SIZE, TorchRasterizer())
    return NormalTargets(picture[..., :3], picture[..., 3], clip_from_world, torch.ones(6))


def carved(targets: NormalTargets, steps: int, seed: int = 0, **options: object) -> tuple[Mesh, list[float]]:
    rasterizer, start = TorchRasterizer(), icosphere(2, radius=0.7)
    config = CarvingConfig(steps=steps, remeshing=RemeshingConfig(shortest_edge=0.06, longest_edge=0.2), **options)  # type: ignore[arg-type]
    picks = partial(random_picks, generator=torch.Generator().manual_seed(seed))
    result = carve(*start, lambda *mesh: torch.stack(targets.losses(*mesh, rasterizer)).sum(), config, picks)
    return Mesh(result.positions, result.faces), result.losses


def test_a_picture_holds_normals_and_coverage() -> None:
    positions, faces = icosphere(3)
    picture = targets_of(positions, faces)
    assert picture.mask.mean() == pytest.approx(torch.pi / 9, rel=0.01)
    # In the middle of the first picture the ball looks to the camera, at +z; in the third the camera stands at +x.
    torch.testing.assert_close(picture.normals[0, 32, 32], torch.tensor([0.5, 0.5, 1.0]), atol=0.03, rtol=0)
    torch.testing.assert_close(picture.normals[2, 32, 32], torch.tensor([1.0, 0.5, 0.5]), atol=0.03, rtol=0)
    assert (picture.normals[:, 0] == 0).all()


def test_a_ball_is_carved_into_a_bumpy_ellipsoid() -> None:
    unit, faces = icosphere(3)
    bumps = 1 + 0.15 * torch.sin(5 * unit[:, :1]) * torch.cos(4 * unit[:, 1:2])
    goal = unit * bumps * torch.tensor([0.6, 1.2, 0.8])
    mesh, losses = carved(targets_of(goal, faces), 50)
    assert losses[-1] < 0.12 * losses[0]
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(Mesh(goal, faces).volume, rel=0.02)


def test_normals_alone_refine_a_ball_and_the_relative_laplacian_keeps_its_volume() -> None:
    """Fine bumps from pictures of normals, without a mask: nothing but the smoothing knows how large the ball is."""
    unit, faces = icosphere(4)
    goal = unit * (1 + 0.04 * (6 * unit).sin().prod(1, keepdim=True))
    cameras = Camera.orthographic(orbit((0.0, 90.0, 180.0, 270.0, 0.0, 0.0), (0.0,) * 4 + (90.0, -90.0), 5.0), 1.3)
    clip_from_world, rasterizer = cameras.clip_from_world, TorchRasterizer()

    def drawn(positions: Tensor, faces: Tensor) -> Tensor:
        return draw_vectors(smooth_normals(positions, faces), positions, faces, clip_from_world, SIZE, rasterizer)

    target = drawn(goal, faces)
    seen = target[..., 3] > 0.99

    def difference(positions: Tensor, faces: Tensor) -> Tensor:
        return (drawn(positions, faces) - target)[..., :3].abs()[seen].mean()

    remeshing = RemeshingConfig(shortest_edge=0.05, longest_edge=0.15, smoothing=0.2, keep_shape=True)
    picks = partial(random_picks, generator=torch.Generator().manual_seed(0))
    start = icosphere(3)
    result = carve(*start, difference, CarvingConfig(steps=50, remeshing=remeshing), picks)
    assert difference(result.positions, result.faces) < 0.4 * difference(*start)
    assert Mesh(result.positions, result.faces).volume == pytest.approx(Mesh(goal, faces).volume, rel=0.01)


def test_the_same_seed_gives_the_same_mesh() -> None:
    targets = targets_of(icosphere(3)[0] * torch.tensor([0.6, 1.2, 0.8]), icosphere(3)[1])
    first, second = (carved(targets, 8, seed=1)[0] for _ in range(2))
    assert (first.vertices == second.vertices).all() and (first.faces == second.faces).all()


def test_steps_and_intervals_are_kept() -> None:
    targets = targets_of(*torus(30, 12))
    mesh, losses = carved(targets, 0)
    assert losses == [] and len(mesh.vertices) == 162
    mesh, losses = carved(targets, 3, remesh_every=5)
    assert len(losses) == 3
    config = CarvingConfig(adapt_every=((1, 4), (500, 2), (800, 1)))
    assert [config.adaptation_interval(step) for step in (1, 499, 500, 799, 800)] == [4, 4, 2, 2, 1]


def test_a_loss_that_is_not_finite_is_named() -> None:
    with pytest.raises(MeshError, match="step 1: the gradient of 162 of 162 vertices is not finite"):
        carve(*icosphere(2), lambda positions, _: positions.sum() * torch.nan, CarvingConfig(steps=2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"remesh_every": 0}, "remesh_every 0"),
        ({"adapt_every": ((2, 1),)}, "the first from step 1"),
        ({"adapt_every": ((1, 0),)}, "adapt_every is"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CarvingConfig(**options)  # type: ignore[arg-type]
