"""Views of shapes whose pictures are known: a sphere, a box with painted sides, an open sheet."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from framework.geometry.camera import Camera, orbit
from framework.geometry.mesh import Mesh
from framework.geometry.normals import smooth_normals
from framework.renderers.shading import CLAY, PointLight
from framework.renderers.surface import surface_of
from framework.renderers.torch_rasterizer import TorchRasterizer
from framework.renderers.views import CANONICAL_VIEWS, MODES, canonical_cameras, render_mesh, render_surface

RASTERIZER = TorchRasterizer()


def sphere(radius: float = 1.0) -> Mesh:
    shape = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    return Mesh(shape.vertices, shape.faces)


def painted_box() -> Mesh:
    """A box whose side towards +Z is red, +X green, -Z blue, -X white; top and bottom black."""
    paint = {(0, 0, 1): (1, 0, 0), (1, 0, 0): (0, 1, 0), (0, 0, -1): (0, 0, 1), (-1, 0, 0): (1, 1, 1)}
    box = trimesh.creation.box((1, 1, 1))
    colors = [paint.get(tuple(np.rint(normal).astype(int)), (0, 0, 0)) for normal in box.face_normals]
    return Mesh(
        box.triangles.reshape(-1, 3), np.arange(36).reshape(12, 3), np.repeat(np.array(colors, float), 3, axis=0)
    )


def test_canonical_views_are_front_right_back_left() -> None:
    picture = render_mesh(painted_box(), canonical_cameras(), 16, RASTERIZER, ("color",))["color"]
    centre = picture[:, 8, 8]
    expected = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]], dtype=torch.float32)
    torch.testing.assert_close(centre, expected, atol=1e-5, rtol=0)
    assert CANONICAL_VIEWS == ("front", "right", "back", "left")


def test_canonical_pictures_reach_from_minus_to_plus_half_extent() -> None:
    mask = render_mesh(sphere(), canonical_cameras(1.25), 100, RASTERIZER, ("mask",))["mask"][..., 0]
    for view in mask:
        rows, columns = view.any(1).nonzero(), view.any(0).nonzero()
        assert [int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())] == [10, 89, 10, 89]


def test_normals_and_depth_of_a_sphere() -> None:
    cameras = canonical_cameras(1.2)
    drawn = render_mesh(sphere(), cameras, 64, RASTERIZER, ("normal", "depth"))
    origins, directions = cameras.rays(64, 64)
    across = (origins**2).sum(-1) - (origins * directions).sum(-1) ** 2
    inside, outside = across < 0.98, across > 1.001
    distance = -(origins * directions).sum(-1) - (1 - across).clamp(min=0).sqrt()
    points = origins + distance[..., None] * directions
    assert (drawn["normal"][..., :3] * 2 - 1 - points)[inside].abs().max() < 0.03
    assert (drawn["depth"][..., 0] - distance)[inside].abs().max() < 0.02
    assert (drawn["depth"][outside] == 0).all() and (drawn["normal"][outside] == 0).all()


def test_depth_in_perspective_is_measured_along_the_axis() -> None:
    sheet = Mesh([[-9, -9, 1], [9, -9, 1], [9, 9, 1], [-9, 9, 1]], [[0, 1, 2], [0, 2, 3]])
    camera = Camera.perspective(orbit([0.0], 0.0, 3.0), 1.0)
    depth = render_mesh(sheet, camera, 8, RASTERIZER, ("depth",))["depth"]
    torch.testing.assert_close(depth, torch.full((1, 8, 8, 1), 2.0), atol=1e-4, rtol=0)


@pytest.mark.parametrize("orthographic", [True, False])
def test_normals_turn_towards_the_viewer(orthographic: bool) -> None:
    sheet = Mesh([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], [[0, 1, 2], [0, 2, 3]])
    poses = orbit([30.0, 150.0], 0.0, 3.0)
    cameras = Camera.orthographic(poses, 1.0) if orthographic else Camera.perspective(poses, 0.6)
    normal = render_mesh(sheet, cameras, 8, RASTERIZER, ("normal",))["normal"][:, 4, 4, :3] * 2 - 1
    torch.testing.assert_close(normal, torch.tensor([[0.0, 0, 1], [0, 0, -1]]), atol=1e-5, rtol=0)


def test_every_mode_has_its_shape_and_range() -> None:
    drawn = render_mesh(sphere(0.8), canonical_cameras(), (24, 32), RASTERIZER, MODES, supersample=2)
    assert list(drawn) == list(MODES)
    for mode, picture in drawn.items():
        assert picture.shape == (4, 24, 32, 1 if mode in ("depth", "label", "mask") else 4)
        assert picture.isfinite().all() and picture.min() >= (-1 if mode in ("position", "label") else 0)
        if mode != "depth":
            assert picture.max() <= 1
    for mode in ("shaded", "lambert", "phong", "color", "normal", "position"):
        torch.testing.assert_close(drawn[mode][..., 3:], drawn["mask"])


def test_positions_are_where_the_rays_meet_a_sphere() -> None:
    cameras = Camera.perspective(orbit((30.0, 200.0), (20.0, -60.0), 3.0), 0.8)
    drawn = render_mesh(sphere(0.8), cameras, 48, RASTERIZER, ("position", "depth"))
    points, alpha = drawn["position"].split((3, 1), 3)
    seen = alpha[..., 0] > 0
    assert (points.norm(dim=-1) - 0.8)[seen].abs().max() < 0.01 and (points[~seen] == 0).all()
    away = ((points - cameras.origins[:, None, None]) * cameras.forward[:, None, None]).sum(-1)
    torch.testing.assert_close(drawn["depth"][..., 0][seen], away[seen])


def test_labels_are_never_mixed() -> None:
    """The upper half of a sphere is 7, the lower 3; pixels between hold one of them, also with several samples."""
    surface = surface_of(sphere(0.8))
    surface = replace(surface, labels=torch.where(surface.positions[:, 1] > 0, 7, 3))
    for supersample in (1, 2, 3):
        drawn = render_surface(surface, canonical_cameras(), 40, RASTERIZER, ("label", "mask"), supersample)
        labels = drawn["label"][..., 0]
        assert set(labels.unique().tolist()) == {-1.0, 3.0, 7.0}
        whole = drawn["mask"][..., 0] == 1
        assert (labels[:, :18][whole[:, :18]] == 7).all() and (labels[:, 22:][whole[:, 22:]] == 3).all()
        assert (labels[drawn["mask"][..., 0] == 0] == -1).all()


def test_lamp_in_the_world_lights_what_turns_to_it() -> None:
    """Of a white sphere lit from +X: Lambert's cosine, a highlight half-way to the viewer, ambient light behind."""
    mesh, light = sphere(0.8), PointLight((1000.0, 0.0, 0.0), ambient=0.1, diffuse=0.6, specular=0.3, shininess=40)
    mesh = replace(mesh, vertex_colors=np.ones((len(mesh.vertices), 3)))
    drawn = render_mesh(mesh, canonical_cameras(1.0), 81, RASTERIZER, ("lambert", "phong", "normal"), light=light)
    normals = drawn["normal"][..., :3] * 2 - 1
    inside = drawn["normal"][..., 3] == 1
    expected = 0.1 + 0.6 * normals[..., 0].clamp(min=0)
    torch.testing.assert_close(drawn["lambert"][..., 0][inside], expected[inside], atol=0.01, rtol=0)
    highlight = (drawn["phong"] - drawn["lambert"])[0, ..., 0]
    row, column = divmod(int(highlight.argmax()), 81)
    assert abs(row - 40) <= 1 and abs(column - (40 + 0.8 * 40.5 * np.sin(np.pi / 4))) <= 1
    assert 0.28 < highlight.max() <= 0.3 and (highlight[:, :40] == 0).all()
    assert (drawn["phong"][3, 40, 40, :3] - 0.1).abs().max() < 0.01, "the side away from the lamp"


def test_supersampling_averages_colours_over_the_covered_part_only() -> None:
    plain, smooth = (
        render_mesh(sphere(), canonical_cameras(), 40, RASTERIZER, ("color", "mask"), supersample=factor)
        for factor in (1, 4)
    )
    alpha = smooth["mask"]
    assert ((alpha > 0) & (alpha < 1)).any()
    covered = smooth["color"][..., :3][alpha[..., 0] > 0]
    torch.testing.assert_close(covered, torch.tensor(CLAY).expand_as(covered))
    assert abs(float(alpha.mean()) - np.pi / 2.4**2) < 0.002
    assert abs(float(plain["mask"].mean()) - np.pi / 2.4**2) < 0.02


def test_studio_light_comes_from_the_upper_left() -> None:
    shaded = render_mesh(sphere(), canonical_cameras(), 48, RASTERIZER)["shaded"]
    luminance = shaded[..., :3].mean(-1)
    assert (luminance[:, 12, 16] > luminance[:, 36, 32] + 0.2).all()
    # The lights hang on the camera: all views of a sphere look alike.
    assert (luminance - luminance[:1]).abs().max() < 0.05


def test_clay_is_neither_burnt_out_nor_lost_in_the_dark() -> None:
    shaded = render_mesh(sphere(), canonical_cameras(), 48, RASTERIZER)["shaded"]
    values = shaded[..., :3][shaded[..., 3] > 0]
    assert (values > 0.995).float().mean() < 0.02 and values.min() > 0.1
    assert 0.5 < values.mean() < 0.8


def test_creases_keep_the_edges_of_a_box() -> None:
    box = trimesh.creation.box((1, 1, 1))
    mesh = Mesh(box.vertices, box.faces)
    creased = surface_of(mesh, crease_degrees=40)
    expected = torch.from_numpy(mesh.face_normals())[:, None].expand(-1, 3, -1)
    torch.testing.assert_close(creased.normals[creased.corner_faces], expected, atol=1e-5, rtol=0)
    assert torch.equal(creased.corner_vertices[creased.corner_faces], creased.faces)
    assert surface_of(mesh).normals.shape == (8, 3)


def test_a_wide_crease_equals_smooth_normals() -> None:
    mesh = sphere()
    creased = surface_of(mesh, crease_degrees=179)
    smooth = smooth_normals(creased.positions, creased.faces)
    torch.testing.assert_close(creased.normals, smooth[creased.corner_vertices], atol=1e-5, rtol=0)


def test_normals_of_the_mesh_are_used() -> None:
    mesh = Mesh([[-1, -1, 0], [1, -1, 0], [0, 1, 0]], [[0, 1, 2]], vertex_normals=[[0, 1, 0]] * 3)
    normal = render_mesh(mesh, canonical_cameras(), 9, RASTERIZER, ("normal",))["normal"][0, 4, 4, :3]
    torch.testing.assert_close(normal, torch.tensor([0.5, 1.0, 0.5]))


def test_unknown_mode() -> None:
    with pytest.raises(ValueError, match="modes: glossy unknown"):
        render_mesh(sphere(), canonical_cameras(), 8, RASTERIZER, ("glossy",))  # type: ignore[arg-type]
