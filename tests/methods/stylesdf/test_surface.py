"""Surfaces of fields that are known, and noise that is drawn on them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from framework.geometry.icosphere import icosphere
from framework.geometry.isosurface import EmptySurface
from framework.geometry.mesh import Mesh
from framework.geometry.normals import angle_normals
from framework.renderers.torch_rasterizer import TorchRasterizer
from framework.renderers.volume.fields import FieldSamples
from methods.stylesdf.cameras import ViewCameras, cameras_at
from methods.stylesdf.config import CameraConfig
from methods.stylesdf.noise_projection import ProjectedNoise, project, subdivisions
from methods.stylesdf.surface import FrontalSolid, frontal_mesh


class Ball:
    """Signed distance of a ball around `centre`, coloured by its place."""

    def __init__(self, radius: float, centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> None:
        self.radius, self.centre = radius, torch.tensor(centre)

    def distance(self, points: Tensor) -> Tensor:
        return (points - self.centre).norm(dim=-1) - self.radius

    def query(self, points: Tensor, directions: Tensor) -> FieldSamples:
        return FieldSamples(sdf=self.distance(points), colour=points / 0.24 + 0.5)


def mesh_of(ball: Ball, resolution: int) -> Mesh:
    solid = FrontalSolid(ball, math.tan(math.radians(6.0)), 0.12)
    return frontal_mesh(solid, resolution, 65_536, torch.device("cpu"))


def test_the_grid_has_the_right_size_place_and_normals() -> None:
    """Acceptance: radius within 0.2 % at 128 cells."""
    centre = (0.01, -0.02, 0.015)
    mesh = mesh_of(Ball(0.06, centre), 128)
    outward = mesh.vertices - np.array(centre, np.float32)
    radius = np.linalg.norm(outward, axis=1)
    assert np.abs(radius / 0.06 - 1).max() < 2e-3
    assert mesh.is_watertight and mesh.volume == pytest.approx(4 / 3 * math.pi * 0.06**3, rel=0.005)
    assert mesh.vertex_normals is not None and mesh.vertex_colors is not None
    assert ((outward / radius[:, None] * mesh.vertex_normals).sum(axis=1) > 0.999).all()
    assert np.abs(mesh.vertex_colors[:, :3] - (mesh.vertices / 0.24 + 0.5)).max() < 1e-5


def test_what_the_frontal_camera_can_not_see_is_cut_off() -> None:
    mesh = mesh_of(Ball(0.2, (0.0, 0.0, -0.12)), 64)
    tangent = math.tan(math.radians(6.0))
    x, y, z = mesh.vertices.T
    assert mesh.is_watertight
    assert (np.maximum(abs(x), abs(y)) <= (1 - z) * tangent + 1e-3).all() and z.min() > -0.121
    assert z.max() == pytest.approx(0.08, abs=1e-3)
    assert mesh.vertex_colors is not None
    front = np.linalg.norm(mesh.vertices + (0.0, 0.0, 0.12), axis=1) > 0.199
    walls = (1 - z) * tangent - np.maximum(abs(x), abs(y)) < 1e-4
    inner = front & ((1 - z) * tangent - np.maximum(abs(x), abs(y)) > 1e-3)
    assert np.abs(mesh.vertex_colors[inner, :3] - (mesh.vertices[inner] / 0.24 + 0.5)).max() < 1e-5
    assert (mesh.vertex_colors[walls & ~front, :3] == 0.5).all() and (walls & ~front).sum() > 100


def test_nothing_and_everything_have_no_surface() -> None:
    with pytest.raises(EmptySurface, match="never crosses"):
        mesh_of(Ball(-1.0), 32)
    with pytest.raises(EmptySurface, match="negative everywhere in view"):
        mesh_of(Ball(5.0), 32)


def test_angle_normals_do_not_depend_on_diagonals() -> None:
    """At a corner of a box the three sides count alike, however they are cut into triangles."""
    corners = torch.tensor([[x, y, z] for x in (0.0, 1.0) for y in (0.0, 1.0) for z in (0.0, 1.0)])
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = torch.tensor([face for a, b, c, d in sides for face in ((a, b, c), (a, c, d))])
    expected = torch.nn.functional.normalize(corners - 0.5, dim=1)
    assert torch.allclose(angle_normals(corners, faces), expected, atol=1e-6)


def camera(azimuth: float = 0.0, elevation: float = 0.0) -> ViewCameras:
    return cameras_at(torch.tensor([[azimuth, elevation]]), CameraConfig())


def ball_mesh(radius: float = 0.06) -> Mesh:
    positions, faces = icosphere(3, radius)
    return Mesh(positions.numpy(), faces.numpy())


@pytest.mark.parametrize("blending", ["nearest", "exact"])
def test_values_of_vertices_are_drawn_where_they_are(blending: str) -> None:
    mesh = ball_mesh()
    positions, faces = torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.faces)
    lens = camera(0.3, -0.2).to_camera()
    drawn, covered = project(positions, faces, positions, lens, 48, TorchRasterizer(), blending)  # type: ignore[arg-type]
    inside = covered & (drawn.norm(dim=-1) > 0.058)
    assert 0.15 < covered.double().mean() < 0.35
    seen = lens[0].project(drawn[inside])
    rows, columns = torch.where(inside)
    expected = torch.stack([(columns + 0.5) / 24 - 1, 1 - (rows + 0.5) / 24], dim=1)
    assert (seen[:, :2] - expected).abs().max() < 0.02


def test_exact_and_nearest_agree_away_from_outlines() -> None:
    """Values that change slowly; only where front and back come close do the two differ."""
    mesh = ball_mesh()
    positions, faces = torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.faces)
    values = positions / 0.06
    found = [
        project(positions, faces, values, camera().to_camera(), 40, TorchRasterizer(), blending)
        for blending in ("nearest", "exact")
    ]
    both = found[0][1] & found[1][1]
    difference = (found[0][0] - found[1][0])[both].norm(dim=-1)
    assert difference.median() < 2e-3 and both.sum() > 0.98 * found[1][1].sum()


def test_noise_sticks_to_the_surface() -> None:
    maps = [torch.full((1, 1, 16, 16), 7.0), torch.full((1, 1, 32, 32), 8.0), torch.full((1, 1, 32, 32), 9.0)]
    noise = ProjectedNoise(ball_mesh(), maps, 5, TorchRasterizer())
    front, again, side = noise(camera()), noise(camera()), noise(camera(0.1))
    assert [layer.shape for layer in front] == [given.shape for given in maps]
    for layer, given in zip(front, maps, strict=True):
        edge = 3 * layer.shape[-1] // 8
        assert torch.equal(layer[..., 0, :], given[..., 0, :])
        assert (layer[..., edge:-edge, edge:-edge] != given.max()).all()
    assert not torch.equal(front[1][..., 16, 16], front[2][..., 16, 16])  # each layer has its own
    assert all(torch.equal(*pair) for pair in zip(front, again, strict=True))
    middle, moved = front[1][0, 0, 12:20, 12:20], side[1][0, 0, 12:20]
    # The front of the ball moves to the left by sin(0.1) * 0.06, which is a pixel.
    likeness = [float(((moved[:, shift : shift + 8] - middle) ** 2).mean()) for shift in range(9, 15)]
    assert np.argmin(likeness) in (1, 2)
    other = ProjectedNoise(ball_mesh(), maps, 6, TorchRasterizer())(camera())
    assert not torch.equal(other[1], front[1])


def test_subdivision_by_the_side_of_a_layer() -> None:
    assert [subdivisions(side) for side in (16, 64, 128, 256, 512, 1024)] == [0, 0, 0, 1, 2, 3]
    assert [subdivisions(side, official=True) for side in (128, 256, 512, 1024)] == [0, 1, 3, 3]
    noise = ProjectedNoise(ball_mesh(), [torch.zeros(1, 1, 256, 256), torch.zeros(1, 1, 8, 8)], 0, TorchRasterizer())
    assert [len(faces) for _, faces in noise.meshes] == [1280, 5120]
    assert [len(values) for values in noise.values] == [2562, 642]


def test_blending_of_nothing() -> None:
    positions, faces = torch.tensor([[5.0, 5.0, 0.0], [6.0, 5.0, 0.0], [5.0, 6.0, 0.0]]), torch.tensor([[0, 1, 2]])
    drawn, covered = project(positions, faces, positions, camera().to_camera(), 8, TorchRasterizer(), "exact")
    assert not covered.any() and not drawn.any()
