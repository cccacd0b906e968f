"""The rasterizer against ray casting, finite differences, closed surfaces and hostile triangles."""

import itertools

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

from framework.geometry.camera import Camera, homogeneous, orbit
from framework.renderers.config import TorchRasterizerConfig
from framework.renderers.rasterizer import Fragments
from framework.renderers.torch_rasterizer import TorchRasterizer

RASTERIZER = TorchRasterizer()


def tensors(mesh: trimesh.Trimesh) -> tuple[Tensor, Tensor]:
    """Positions (V, 3) float32 and faces (F, 3)."""
    return torch.tensor(mesh.vertices, dtype=torch.float32), torch.tensor(np.array(mesh.faces), dtype=torch.int64)


def bumpy_torus(rings: int = 96) -> trimesh.Trimesh:
    """A closed mesh with folds: several layers lie behind each other in most views."""
    mesh = trimesh.creation.torus(0.6, 0.25, major_sections=rings, minor_sections=rings // 2)
    wave = 1 + 0.15 * np.sin(9 * mesh.vertices[:, 0]) * np.cos(7 * mesh.vertices[:, 1] + 5 * mesh.vertices[:, 2])
    return trimesh.Trimesh(mesh.vertices * wave[:, None], mesh.faces, process=False)


def cameras(kind: str) -> Camera:
    poses = orbit((20.0, 130.0, 250.0), (10.0, -35.0, 60.0), 3.0)
    return Camera.orthographic(poses, 1.1) if kind == "orthographic" else Camera.perspective(poses, 0.7)


def rasterize(positions: Tensor, faces: Tensor, camera: Camera, size: int, **options: object) -> Fragments:
    rasterizer = TorchRasterizer(TorchRasterizerConfig(**options))  # type: ignore[arg-type]
    return rasterizer.rasterize(homogeneous(positions) @ camera.clip_from_world.mT, faces, (size, size))


def nearest_by_brute_force(clip: Tensor, faces: Tensor, size: int) -> Tensor:
    """(H, W) nearest face of each pixel."""
    return layers_by_brute_force(clip, faces, size)[0]


def layers_by_brute_force(clip: Tensor, faces: Tensor, size: int) -> Tensor:
    """(3, H, W) nearest faces of each pixel, every face against every pixel, in float64 and by another formula."""
    corners = clip.double()[faces]
    ndc = corners[..., :3] / corners[..., 3:]
    centres = (torch.arange(size, dtype=torch.float64) + 0.5) * 2 / size - 1
    y, x = torch.meshgrid(-centres, centres, indexing="ij")
    matrix = torch.cat([ndc[..., :2], torch.ones_like(ndc[..., :1])], 2).mT
    pixels = torch.stack([x, y, torch.ones_like(x)], -1).view(-1, 3)
    weights = torch.linalg.solve(matrix[:, None], pixels.expand(len(faces), -1, 3)[..., None])[..., 0]
    depth = (weights * ndc[:, None, :, 2]).sum(2)
    depth = depth.masked_fill((weights < 0).any(2) | (depth.abs() > 1), torch.inf)
    lowest, face = depth.topk(3, dim=0, largest=False)
    return torch.where(lowest.isinf(), -1, face).view(3, size, size)


@pytest.mark.parametrize("kind", ["orthographic", "perspective"])
def test_agrees_with_brute_force(kind: str) -> None:
    positions, faces = tensors(bumpy_torus(16))
    for camera in cameras(kind):
        clip = homogeneous(positions) @ camera.clip_from_world.mT
        found = RASTERIZER.rasterize(clip[None], faces, (48, 48)).face_index[0]
        assert (found == nearest_by_brute_force(clip, faces, 48)).float().mean() > 0.999


@pytest.mark.parametrize("kind", ["orthographic", "perspective"])
def test_agrees_with_ray_casting(kind: str) -> None:
    pytest.importorskip("embreex", reason="extra 'mesh': embreex")
    mesh, size = bumpy_torus(), 160
    positions, faces = tensors(mesh)
    seen_from = cameras(kind)
    fragments = rasterize(positions, faces, seen_from, size)
    origins, directions = (part.double().reshape(-1, 3).numpy() for part in seen_from.rays(size, size))
    hit = mesh.ray.intersects_first(origins, directions).reshape(3, size, size)
    agreement = (fragments.face_index.numpy() == hit).mean()
    assert agreement >= 0.999
    assert 0.1 < (hit >= 0).mean() < 0.9


def test_barycentrics_and_depth_reproduce_the_ray() -> None:
    positions, faces = tensors(bumpy_torus(24))
    seen_from, size = cameras("perspective"), 64
    fragments = rasterize(positions, faces, seen_from, size)
    points = RASTERIZER.interpolate(positions[None], fragments, faces)
    origins, directions = seen_from.rays(size, size)
    off_ray = torch.linalg.cross(points - origins, directions).norm(dim=-1)
    assert off_ray[fragments.mask].max() < 1e-4
    ndc = seen_from.project(points.view(3, -1, 3)).view(3, size, size, 3)
    assert (ndc[..., 2] - fragments.depth)[fragments.mask].abs().max() < 1e-4
    torch.testing.assert_close(fragments.barycentric.sum(-1), fragments.mask.float())
    assert (fragments.depth[~fragments.mask] == 1).all() and (points[~fragments.mask] == 0).all()


def grid_on_screen(cells: int, jitter: float, seed: int) -> tuple[Tensor, Tensor]:
    """Clip positions and faces of a crumpled sheet that covers more than the whole screen."""
    generator = torch.Generator().manual_seed(seed)
    line = torch.linspace(-1.2, 1.2, cells + 1)
    y, x = torch.meshgrid(line, line, indexing="ij")
    inner = jitter * 2.4 / cells * (torch.rand(cells + 1, cells + 1, 2, generator=generator) - 0.5)
    inner[[0, -1]] = 0
    inner[:, [0, -1]] = 0
    positions = torch.stack([x + inner[..., 0], y + inner[..., 1], torch.zeros_like(x), torch.ones_like(x)], 2)
    number = torch.arange((cells + 1) ** 2).view(cells + 1, -1)
    a, b, c, d = (part.reshape(-1) for part in (number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]))
    return positions.view(1, -1, 4), torch.cat([torch.stack([a, b, c], 1), torch.stack([a, c, d], 1)])


@pytest.mark.parametrize(("cells", "jitter"), list(itertools.product((1, 7, 60, 300), (0.0, 0.6))))
def test_a_sheet_has_no_holes(cells: int, jitter: float) -> None:
    positions, faces = grid_on_screen(cells, jitter, cells)
    for size in (65, 128):
        assert RASTERIZER.rasterize(positions, faces, (size, size)).mask.all()


def test_no_holes_where_corners_and_edges_lie_on_pixel_centres() -> None:
    size = 16
    line = (torch.arange(size + 2) - 0.5) * 2 / size - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    positions = torch.stack([x, y, torch.zeros_like(x), torch.ones_like(x)], 2).view(1, -1, 4)
    _, faces = grid_on_screen(size + 1, 0.0, 0)
    assert RASTERIZER.rasterize(positions, faces, (size, size)).mask.all()


def test_no_holes_in_a_fan_of_slivers() -> None:
    angle = torch.linspace(0, 2 * torch.pi, 4001)[:-1]
    centre = torch.tensor([[1 / 64, -1 / 64, 0.0, 1.0]])  # a pixel centre
    rim = torch.stack([3 * angle.cos(), 3 * angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)], 1)
    first = torch.arange(1, 4001)
    faces = torch.stack([torch.zeros_like(first), first, first % 4000 + 1], 1)
    assert RASTERIZER.rasterize(torch.cat([centre, rim])[None], faces, (64, 64)).mask.all()


def test_gradients_equal_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    mesh = trimesh.creation.icosphere(subdivisions=1)
    positions, faces = tensors(mesh)
    clip = (homogeneous(positions.double() * 0.8) @ cameras("perspective")[:1].clip_from_world.double().mT).detach()
    # Gradients of slivers are bounded on purpose: keep faces that look towards the camera.
    a, b, c = (clip[0, :, :2] / clip[0, :, 3:])[faces.t()]
    faces = faces[(b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0] > 0.02]
    attributes = torch.rand(1, len(positions), 2, generator=generator, dtype=torch.float64)
    weights = torch.rand(1, 12, 12, 2, generator=generator, dtype=torch.float64)
    fixed = RASTERIZER.rasterize(clip, faces, (12, 12)).face_index

    def loss(clip: Tensor, attributes: Tensor) -> Tensor:
        fragments = RASTERIZER.rasterize(clip, faces, (12, 12))
        # Visibility jumps and has no gradient: compare where it does not change.
        same = (fragments.face_index == fixed)[..., None]
        assert same.all()
        colour = RASTERIZER.interpolate(attributes, fragments, faces)
        return (colour * weights).sum() + (fragments.depth * weights[..., 0]).sum()

    clip.requires_grad_(), attributes.requires_grad_()
    assert torch.autograd.gradcheck(loss, (clip, attributes), eps=1e-7, atol=1e-5, rtol=1e-4)


def test_same_bits_again_in_chunks_and_alone() -> None:
    positions, faces = tensors(bumpy_torus(48))
    seen_from = cameras("perspective")
    fragments = rasterize(positions, faces, seen_from, 96)
    for other in (rasterize(positions, faces, seen_from, 96), rasterize(positions, faces, seen_from, 96, chunk=97)):
        assert torch.equal(other.face_index, fragments.face_index)
        assert torch.equal(other.barycentric, fragments.barycentric) and torch.equal(other.depth, fragments.depth)
    for number in range(3):
        alone = rasterize(positions, faces, seen_from[number : number + 1], 96)
        assert torch.equal(alone.face_index[0], fragments.face_index[number])


def test_culling_changes_nothing_for_a_closed_mesh() -> None:
    positions, faces = tensors(bumpy_torus(48))
    plain = rasterize(positions, faces, cameras("perspective"), 96)
    culled = rasterize(positions, faces, cameras("perspective"), 96, cull_backfaces=True)
    assert (plain.face_index == culled.face_index).float().mean() > 0.9999


def test_culling_drops_clockwise_faces() -> None:
    clip = torch.tensor([[[-0.9, -0.9, 0.0, 1.0], [0.9, -0.9, 0.0, 1.0], [0.0, 0.9, 0.0, 1.0]]])
    culling = TorchRasterizer(TorchRasterizerConfig(cull_backfaces=True))
    assert culling.rasterize(clip, torch.tensor([[0, 1, 2]]), (8, 8)).mask.any()
    assert not culling.rasterize(clip, torch.tensor([[0, 2, 1]]), (8, 8)).mask.any()


@pytest.mark.parametrize("faces", [[[0, 1, 2], [0, 2, 3]], [[1, 2, 3], [1, 3, 0]], [[2, 1, 0], [3, 2, 0]]])
def test_a_floor_that_passes_below_and_behind_the_camera(faces: list[list[int]]) -> None:
    floor = torch.tensor([[-50.0, -1, -50], [50, -1, -50], [50, -1, 50], [-50, -1, 50]])
    camera = Camera.perspective(orbit((0.0, 70.0), 5.0, 2.0), 0.9, near=0.05, far=100.0)
    fragments = rasterize(floor, torch.tensor(faces), camera, 64)
    origins, directions = camera.rays(64, 64)
    distance = (-1 - origins[..., 1]) / directions[..., 1]
    expected = origins + distance[..., None] * directions
    inside = (distance > 0) & (expected[..., [0, 2]].abs().amax(-1) < 49) & (distance < 90)
    outside = (distance < 0) | (expected[..., [0, 2]].abs().amax(-1) > 51)
    assert fragments.mask[inside].all() and not fragments.mask[outside].any()
    points = RASTERIZER.interpolate(floor[None], fragments, torch.tensor(faces))
    error = (points - expected).norm(dim=-1) / distance
    assert error[inside].max() < 1e-3


def test_near_and_far_plane_cut_single_pixels() -> None:
    """A ramp from far in front of the near plane to far behind the far plane, parallel rays."""
    clip = torch.tensor([[[-1.0, -1, -3, 1], [1, -1, 3, 1], [1, 1, 3, 1], [-1, 1, -3, 1]]])
    fragments = RASTERIZER.rasterize(clip, torch.tensor([[0, 1, 2], [0, 2, 3]]), (30, 30))
    assert fragments.mask[0, :, 10:20].all()
    assert not fragments.mask[0, :, :10].any() and not fragments.mask[0, :, 20:].any()


def test_broken_triangles_are_left_out() -> None:
    good = [[-0.5, -0.5, 0.5, 1], [0.5, -0.5, 0.5, 1], [0.0, 0.5, 0.5, 1]]
    bad = [
        [[float("nan"), 0, 0, 1], [1, 0, 0, 1], [0, 1, 0, 1]],
        [[float("inf"), 0, 0, 1], [1, 0, 0, 1], [0, 1, 0, 1]],
        [[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]],
        [[-1, 0, 0, 1], [0, 0, 0, 1], [1, 0, 0, 1]],
        [[0.1, 0.1, 0, 1]] * 3,
        [[-1e30, -1, 0, 1], [1e30, -1.1, 0, 1], [0, -1.2, 0, 1]],
    ]
    clip = torch.tensor([corner for triangle in [*bad, good] for corner in triangle])[None]
    faces = torch.arange(clip.shape[1]).view(-1, 3)
    fragments = RASTERIZER.rasterize(clip, faces, (32, 32))
    alone = RASTERIZER.rasterize(clip[:, -3:], torch.tensor([[0, 1, 2]]), (32, 32))
    assert torch.equal(fragments.mask, alone.mask) and fragments.mask.any()
    assert (fragments.face_index[fragments.mask] == len(bad)).all()
    assert fragments.barycentric.isfinite().all() and fragments.depth.isfinite().all()


def test_nothing_to_see() -> None:
    fragments = RASTERIZER.rasterize(torch.ones(2, 3, 4) * 5, torch.tensor([[0, 1, 2]]), (4, 6))
    assert fragments.face_index.shape == (2, 4, 6) and not fragments.mask.any()
    assert RASTERIZER.interpolate(torch.ones(1, 3, 5), fragments, torch.tensor([[0, 1, 2]])).shape == (2, 4, 6, 5)


@pytest.mark.parametrize("kind", ["orthographic", "perspective"])
def test_layers_behind_each_other(kind: str) -> None:
    """Peeled layers are the first, second and third hit of a ray."""
    positions, faces = tensors(bumpy_torus(16))
    size = 40
    for camera in cameras(kind):
        clip = (homogeneous(positions) @ camera.clip_from_world.mT)[None]
        expected = layers_by_brute_force(clip[0], faces, size)
        layer = RASTERIZER.rasterize(clip, faces, (size, size))
        for number in range(3):
            assert (layer.face_index[0] == expected[number]).float().mean() > 0.998
            behind = RASTERIZER.peel(clip, faces, layer)
            assert (behind.depth[behind.mask] > layer.depth[behind.mask]).all()
            assert not behind.mask[~layer.mask].any()
            layer = behind
        assert (expected[2] >= 0).any()


def test_a_sheet_has_no_second_layer() -> None:
    """Not even where pixel centres lie on the edges between its triangles, at any slope."""
    positions, faces = grid_on_screen(31, 0.0, 0)
    positions = positions.clone()
    positions[..., 2] = 0.6 * positions[..., 0] - 0.3 * positions[..., 1]
    first = RASTERIZER.rasterize(positions, faces, (62, 62))
    assert first.mask.float().mean() > 0.9
    assert not RASTERIZER.peel(positions, faces, first).mask.any()


def test_equal_depth_takes_the_lower_face() -> None:
    clip = torch.tensor([[[-1.0, -1, 0, 1], [1, -1, 0, 1], [0, 1, 0, 1]]])
    faces = torch.tensor([[1, 2, 0], [0, 1, 2]])
    fragments = RASTERIZER.rasterize(clip, faces, (9, 9))
    assert (fragments.face_index[fragments.mask] == 0).all()


def test_rows_start_at_the_top_and_columns_at_the_left() -> None:
    clip = torch.tensor([[[-1.0, 1, 0, 1], [-0.5, 1, 0, 1], [-1, 0.5, 0, 1]]])
    mask = RASTERIZER.rasterize(clip, torch.tensor([[0, 1, 2]]), (8, 16)).mask[0]
    assert mask[0, 0] and not mask[4:].any() and not mask[:, 8:].any()


def test_attributes_may_have_their_own_indexing_and_their_own_batch() -> None:
    clip = torch.tensor([[[-1.0, -1, 0, 1], [1, -1, 0, 1], [1, 1, 0, 1], [-1, 1, 0, 1]]]).expand(2, -1, -1)
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    fragments = RASTERIZER.rasterize(clip, faces, (6, 6))
    of_corners = torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]])
    values = RASTERIZER.interpolate(of_corners, fragments, torch.tensor([[0, 0, 0], [1, 1, 1]]))[..., 0]
    expected = fragments.face_index + 1.0 + 2 * torch.arange(2.0)[:, None, None]
    torch.testing.assert_close(values, expected)


FACE = torch.tensor([[0, 1, 2]])


@pytest.mark.parametrize(
    ("clip", "faces", "resolution", "message"),
    [
        (torch.zeros(3, 4), FACE, (4, 4), r"expected \(B, V, 4\)"),
        (torch.zeros(1, 3, 4, dtype=torch.float16), FACE, (4, 4), "expected float32 or float64"),
        (torch.zeros(1, 3, 4, dtype=torch.int64), FACE, (4, 4), "expected float32 or float64"),
        (torch.zeros(1, 3, 4), FACE.float(), (4, 4), "expected int64"),
        (torch.zeros(1, 3, 4), torch.tensor([[0, 1, 3]]), (4, 4), "name vertex 3, expected 0 to 2"),
        (torch.zeros(1, 3, 4), torch.tensor([[0, 1, -1]]), (4, 4), "name vertex -1"),
        (torch.zeros(1, 0, 4), FACE, (4, 4), "for 0 vertices"),
        (torch.zeros(1, 3, 4), FACE.to("meta"), (4, 4), "faces are on meta"),
        (torch.zeros(1, 3, 4), FACE, (0, 4), "at least 1 pixel"),
    ],
)
def test_wrong_arguments(clip: Tensor, faces: Tensor, resolution: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RASTERIZER.rasterize(clip, faces, resolution)


@pytest.mark.parametrize(
    ("attributes", "faces", "message"),
    [
        (torch.zeros(3, 3), FACE, r"expected \(1 or 2, V, C\)"),
        (torch.zeros(3, 3, 1), FACE, r"expected \(1 or 2, V, C\)"),
        (torch.zeros(1, 3, 1, dtype=torch.int64), FACE, "expected floating"),
        (torch.zeros(1, 2, 1), FACE, "name vertex 2, expected 0 to 1"),
        (torch.zeros(1, 3, 1), FACE[:0], "the fragments name face 0"),
        (torch.zeros(1, 3, 1, device="meta"), FACE, "attributes are on meta"),
    ],
)
def test_attributes_that_do_not_fit(attributes: Tensor, faces: Tensor, message: str) -> None:
    clip = torch.tensor([[[-1.0, -1, 0, 1], [1, -1, 0, 1], [0, 1, 0, 1]]]).expand(2, -1, -1)
    fragments = RASTERIZER.rasterize(clip, FACE, (4, 4))
    with pytest.raises(ValueError, match=message):
        RASTERIZER.interpolate(attributes, fragments, faces)


def test_empty_meshes_and_no_pictures() -> None:
    for pictures, vertices in ((1, 0), (2, 3), (0, 3)):
        clip, faces = torch.zeros(pictures, vertices, 4), torch.zeros(0, 3, dtype=torch.int64)
        fragments = RASTERIZER.rasterize(clip, faces, (3, 5))
        assert fragments.face_index.shape == (pictures, 3, 5) and not fragments.mask.any()
        assert not RASTERIZER.peel(clip, faces, fragments).mask.any()
        assert RASTERIZER.interpolate(torch.zeros(1, vertices, 2), fragments, faces).shape == (pictures, 3, 5, 2)


def test_wrong_options() -> None:
    with pytest.raises(ValueError, match="chunk is 0"):
        TorchRasterizerConfig(chunk=0)


@pytest.mark.gpu
def test_same_faces_on_a_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    positions, faces = tensors(bumpy_torus())
    here = rasterize(positions, faces, cameras("perspective"), 256)
    there = rasterize(positions.to("cuda"), faces.to("cuda"), cameras("perspective").to("cuda"), 256)
    assert (here.face_index == there.face_index.cpu()).float().mean() > 0.9999
