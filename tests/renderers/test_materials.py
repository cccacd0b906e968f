"""Materials: sampling their pictures, and views of textured meshes whose colours are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from framework.geometry.appearance import Appearance, Material
from framework.geometry.mesh import Mesh
from framework.renderers.materials import sample_texture
from framework.renderers.shading import CLAY
from framework.renderers.surface import surface_of
from framework.renderers.torch_rasterizer import TorchRasterizer
from framework.renderers.views import canonical_cameras, render_mesh

QUARTERS = np.zeros((8, 8, 3), np.uint8)
QUARTERS[:4, :4], QUARTERS[:4, 4:], QUARTERS[4:, :4], QUARTERS[4:, 4:] = (255, 0, 0), (0, 255, 0), (0, 0, 255), 51
CORNERS = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
FACES = np.array([[0, 1, 2], [0, 2, 3]])
UV = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])


def sheet(*materials: Material, uv: np.ndarray = UV) -> Mesh:
    """A square that faces the front camera; its second triangle has the last material."""
    return Mesh(CORNERS, FACES, appearance=Appearance(materials, np.array([0, len(materials) - 1]), uv, FACES))


def front(mesh: Mesh) -> torch.Tensor:
    return render_mesh(mesh, canonical_cameras(1.0)[:1], 16, TorchRasterizer(), ("color",))["color"][0, ..., :3]


def test_samples_are_bilinear_and_repeat() -> None:
    picture = torch.rand(4, 8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    centre = torch.tensor([[(3 + 0.5) / 8, 1 - (1 + 0.5) / 4]], dtype=torch.float64)
    torch.testing.assert_close(sample_texture(picture, centre)[0], picture[1, 3])
    torch.testing.assert_close(sample_texture(picture, centre + torch.tensor([[3, -2]]))[0], picture[1, 3])
    between = torch.tensor([[4 / 8, 1 - 2 / 4]], dtype=torch.float64)
    torch.testing.assert_close(sample_texture(picture, between)[0], picture[1:3, 3:5].mean((0, 1)))


def test_gradients_reach_the_picture_and_the_coordinates() -> None:
    random = torch.Generator().manual_seed(1)
    picture = torch.rand(3, 4, 2, dtype=torch.float64, generator=random, requires_grad=True)
    uv = (torch.rand(5, 2, dtype=torch.float64, generator=random) * 3 - 1).requires_grad_()
    assert torch.autograd.gradcheck(sample_texture, (picture, uv))


def test_a_picture_lies_the_right_way_up() -> None:
    picture = front(sheet(Material(base_color_picture=QUARTERS)))
    corners = picture[[2, 2, 13, 13], [2, 13, 2, 13]]  # upper left, upper right, lower left, lower right
    expected = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0.2, 0.2, 0.2]])
    torch.testing.assert_close(corners, expected)


def test_pictures_repeat() -> None:
    one = front(sheet(Material(base_color_picture=QUARTERS)))
    again = front(sheet(Material(base_color_picture=QUARTERS), uv=UV + [[2, -3]]))
    torch.testing.assert_close(again, one, atol=1e-5, rtol=0)


def test_each_face_shows_its_material() -> None:
    tint = Material("tint", base_color=(0.0, 1.0, 0.0, 1.0))
    picture = front(sheet(Material(base_color_picture=np.full((1, 1, 3), 102, np.uint8)), tint))
    torch.testing.assert_close(picture[13, 8], torch.full((3,), 0.4))  # the lower right half
    torch.testing.assert_close(picture[2, 8], torch.tensor([0.0, 1, 0]), atol=1e-6, rtol=0)


def test_a_factor_multiplies_in_linear_light() -> None:
    dark = Material(base_color=(0.5, 0.5, 0.5, 1.0), base_color_picture=np.full((2, 2, 3), 255, np.uint8))
    torch.testing.assert_close(front(sheet(dark))[8, 8], torch.full((3,), 0.7354), atol=1e-3, rtol=0)


def test_vertex_colours_show_where_there_is_no_picture() -> None:
    painted = replace(sheet(Material()), vertex_colors=np.tile([[1.0, 0.5, 0.0]], (4, 1)))
    torch.testing.assert_close(front(painted)[8, 8], torch.tensor([1.0, 0.5, 0.0]))
    torch.testing.assert_close(front(replace(painted, vertex_colors=None))[8, 8], torch.tensor(CLAY))
    pictured = replace(painted, appearance=sheet(Material(base_color_picture=QUARTERS)).appearance)
    torch.testing.assert_close(front(pictured)[2, 2], torch.tensor([1.0, 0, 0]))


@pytest.mark.parametrize("crease", [None, 50.0])
def test_seams_of_a_texture_do_not_show_in_the_normals(crease: float | None) -> None:
    bent = Mesh(np.array([[-1, 0, 0], [0, 0, 0.3], [0, 1, 0.3], [1, 0, 0]]), np.array([[0, 1, 2], [1, 3, 2]]))
    doubled = Mesh(
        bent.triangles.reshape(-1, 3),
        np.arange(6).reshape(2, 3),
        appearance=Appearance([Material()], np.zeros(2, int), np.zeros((6, 2)), np.arange(6).reshape(2, 3)),
    )
    surface, whole = surface_of(doubled, crease), surface_of(bent, crease)
    torch.testing.assert_close(surface.normals[surface.corner_faces], whole.normals[whole.corner_faces])
