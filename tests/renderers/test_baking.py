"""Textures from views and from fields, against surfaces whose colours are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

from framework.geometry.appearance import Appearance, Material
from framework.geometry.camera import Camera, orbit
from framework.geometry.mesh import Mesh, MeshError, concatenate
from framework.geometry.unwrap import unwrap
from framework.renderers.baking import bake_field, bake_views, texels_of
from framework.renderers.baking import colors_of as colors_of_surface
from framework.renderers.shading import CLAY
from framework.renderers.torch_rasterizer import TorchRasterizer
from framework.renderers.views import render_mesh

RASTERIZER = TorchRasterizer()


def waves(points: Tensor) -> Tensor:
    """A smooth colour for every place."""
    return 0.5 + 0.4 * torch.sin(points * 7 + points.roll(1, dims=-1) * 3)


def flat_box() -> Mesh:
    """A cube of side 1 with the six sides in a 3 x 2 grid, by hand: no package needed."""
    box = trimesh.creation.box((1, 1, 1))
    triangles, normals = box.triangles, box.face_normals
    uv = np.zeros((12, 3, 2))
    for face, normal in enumerate(normals):
        axis = int(np.abs(normal).argmax())
        rest = [a for a in range(3) if a != axis]
        place = np.array([axis, int(normal[axis] > 0)])
        uv[face] = (place + 0.1 + 0.8 * (triangles[face][:, rest] + 0.5)) / [3, 2]
    corners = np.arange(36).reshape(12, 3)
    return Mesh(
        box.vertices, box.faces, appearance=Appearance([Material()], np.zeros(12, int), uv.reshape(-1, 2), corners)
    )


def ring(offset: float = 0.0, perspective: bool = False) -> Camera:
    azimuths = torch.arange(8) * 45.0 + offset
    poses = orbit(azimuths, torch.tensor([35.0, -35.0]).repeat(4), 3.0)
    return Camera.perspective(poses, 0.6) if perspective else Camera.orthographic(poses, 0.95)


def psnr(found: Tensor, expected: Tensor) -> float:
    both = (found[..., 3] > 0.99) & (expected[..., 3] > 0.99)
    return float(-10 * (found[both] - expected[both])[..., :3].square().mean().log10())


def colors_of(mesh: Mesh, cameras: Camera, resolution: int) -> Tensor:
    return render_mesh(mesh, cameras, resolution, RASTERIZER, ("color",), 2)["color"]


def test_texels_are_points_of_the_surface() -> None:
    texels = texels_of(flat_box(), 96, RASTERIZER)
    torch.testing.assert_close(texels.positions.abs().amax(1), torch.full((len(texels.positions),), 0.5))
    assert len(texels.number.unique()) == len(texels.number)
    share = len(texels.number) / 96**2
    assert share == pytest.approx(0.64, abs=0.02)  # each of the six sides fills 0.8 x 0.8 of its cell


def test_a_field_is_baked_where_it_is_asked() -> None:
    mesh = bake_field(flat_box(), waves, RASTERIZER, size=256, chunk=1000)
    cameras = ring(20.0)
    picture = colors_of(mesh, cameras, 128)
    dense = trimesh.Trimesh(mesh.vertices, mesh.faces).subdivide().subdivide().subdivide().subdivide().subdivide()
    truth = Mesh(dense.vertices, dense.faces, vertex_colors=waves(torch.from_numpy(dense.vertices)).numpy())
    assert psnr(picture, colors_of(truth, cameras, 128)) > 38


@pytest.mark.parametrize("perspective", [False, True])
def test_eight_views_give_the_texture_back(perspective: bool) -> None:
    original = bake_field(flat_box(), waves, RASTERIZER, size=256)
    cameras = ring(perspective=perspective)
    baked = bake_views(flat_box(), cameras, colors_of(original, cameras, 192), RASTERIZER, size=256)
    other = ring(22.5, perspective)
    assert psnr(colors_of(baked, other, 128), colors_of(original, other, 128)) > 33


def test_what_lies_behind_takes_no_colour_from_what_is_before_it() -> None:
    """A red plate before a white one, seen from the front only: the middle of the white one is filled from its rim."""
    sheet = trimesh.creation.box((1, 1, 0.02)).subdivide().subdivide().subdivide()
    white = Mesh(sheet.vertices, sheet.faces)
    red = white.transformed(np.diag([0.4, 0.4, 1.0, 1.0])).transformed(
        trimesh.transformations.translation_matrix([0, 0, 0.3])
    )
    pytest.importorskip("xatlas", reason="needs the extra 'mesh'")
    both = concatenate([white, red])
    paint = np.repeat([[1.0, 1, 1], [1, 0, 0]], [len(white.vertices), len(red.vertices)], axis=0)
    camera = Camera.orthographic(orbit([0.0], 0.0, 3.0), 0.7)
    pictures = colors_of(replace(both, vertex_colors=paint), camera, 128)
    baked = bake_views(unwrap(both, 256), camera, pictures, RASTERIZER, size=256)
    field = torch.from_numpy(baked.appearance.materials[0].base_color_picture).float() / 255  # type: ignore[union-attr, arg-type]
    texels = texels_of(baked, 256, RASTERIZER)
    colors, towards = field.view(-1, 3)[texels.number], texels.normals[:, 2] > 0.9
    behind = towards & (texels.positions[:, 2] < 0.1)
    assert colors[behind, 1].min() > 0.9  # white everywhere, in the shadow of the red plate too
    assert colors[towards & ~behind, 1].max() < 0.1


def test_looks_are_brought_to_a_copy() -> None:
    """Two materials and a plain part become one texture of another mesh in the same place."""
    original = bake_field(flat_box(), waves, RASTERIZER, size=128)
    looks = original.appearance
    assert looks is not None
    two = Appearance(
        [looks.materials[0], Material(base_color=(0.0, 1.0, 0.0, 1.0))],
        (original.face_normals()[:, 1] > 0.5).astype(int),
        looks.uv,
        looks.corners,
    )
    copy = bake_field(flat_box(), colors_of_surface(replace(original, appearance=two)), RASTERIZER, size=128)
    cameras = ring(20.0)
    truth = colors_of(replace(original, appearance=two), cameras, 96)
    assert psnr(colors_of(copy, cameras, 96), truth) > 28  # the two colours meet at an edge
    clay = colors_of_surface(replace(original, appearance=None))(torch.zeros(2, 3))
    torch.testing.assert_close(clay, torch.tensor([CLAY, CLAY]))


def test_the_weights_of_views_count() -> None:
    mesh, cameras = flat_box(), Camera.orthographic(orbit([0.0, 0.0], 0.0, 3.0), 0.7)
    pictures = torch.ones(2, 32, 32, 4)
    pictures[0, ..., 1:3] = 0.0  # red, then white
    for weights, green in ((None, 0.5), (torch.tensor([1.0, 0.0]), 0.0), (torch.tensor([1.0, 3.0]), 0.75)):
        baked = bake_views(mesh, cameras, pictures, RASTERIZER, 64, weights)
        front = render_mesh(baked, cameras[:1], 16, RASTERIZER, ("color",))["color"][0, 8, 8]
        assert float(front[1]) == pytest.approx(green, abs=0.01)


def test_transparent_pixels_say_nothing() -> None:
    cameras = Camera.orthographic(orbit([0.0], 0.0, 3.0), 0.7)
    pictures = torch.ones(1, 32, 32, 4)
    pictures[:, :, :16] = torch.tensor([1.0, 0, 0, 0])  # a clear left half that hides red
    baked = bake_views(flat_box(), cameras, pictures, RASTERIZER, 64)
    front = render_mesh(baked, cameras, 16, RASTERIZER, ("color",))["color"][0, 2:14, 2:14, :3]
    assert front.min() > 0.95


def test_islands_have_a_margin() -> None:
    mesh = bake_field(flat_box(), lambda points: torch.ones_like(points), RASTERIZER, size=64)
    assert mesh.appearance is not None
    assert (mesh.appearance.materials[0].base_color_picture == 255).all()


def test_unusable_coordinates_are_named() -> None:
    plain = replace(flat_box(), appearance=None)
    with pytest.raises(MeshError, match="no texture coordinates"):
        bake_field(plain, waves, RASTERIZER)
    looks = flat_box().appearance
    assert looks is not None
    with pytest.raises(MeshError, match="run from"):
        bake_field(replace(plain, appearance=replace(looks, uv=looks.uv * 2)), waves, RASTERIZER)
    with pytest.raises(ValueError, match=r"expected \(8, H, W, 4\)"):
        bake_views(flat_box(), ring(), torch.ones(2, 8, 8, 4), RASTERIZER)
