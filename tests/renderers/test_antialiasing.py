"""Smooth silhouettes against a loop over pixels in float64, areas of triangles, and finite differences."""

import itertools

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

from framework.geometry.camera import Camera, homogeneous, orbit
from framework.renderers.antialiasing import NeighbourMemory, find_neighbours
from framework.renderers.rasterizer import Fragments
from framework.renderers.torch_rasterizer import TorchRasterizer

RASTERIZER = TorchRasterizer()


class Oracle:
    """One picture, one pair of pixels at a time, one edge at a time; nothing shared with the code under test."""

    def __init__(self, fragments: Fragments, clip: Tensor, faces: Tensor) -> None:
        self.face = fragments.face_index.tolist()
        self.depth = fragments.depth.double().tolist()
        self.faces = faces.tolist()
        height, width = fragments.face_index.shape
        ndc = clip.double()[:, :2] / clip.double()[:, 3:]
        self.points = torch.stack([(ndc[:, 0] + 1) / 2 * width - 0.5, (1 - ndc[:, 1]) / 2 * height - 0.5], 1).tolist()

    def area(self, a: int, b: int, c: int) -> float:
        (ax, ay), (bx, by), (cx, cy) = (self.points[corner] for corner in (a, b, c))
        return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)

    def is_silhouette(self, face: int, a: int, b: int) -> bool:
        others = [f for f in range(len(self.faces)) if f != face and {a, b} <= set(self.faces[f])]
        if not others:
            return True
        assert len(others) == 1, "the oracle knows edges of one or two faces"
        own, beyond = ((set(self.faces[f]) - {a, b}).pop() for f in (face, others[0]))
        return (self.area(a, b, own) > 0) == (self.area(a, b, beyond) > 0)

    def share(self, base: tuple[int, int], other: tuple[int, int]) -> float | None:
        """How much of the border between two pixels the face of `base` leaves over, in [-0.5, 0.5]; none: all."""
        row, column = base
        step_x, step_y = other[1] - column, other[0] - row
        face = self.face[row][column]
        best, edge = -np.inf, None
        for i in range(3):
            ends = self.faces[face][(i + 1) % 3], self.faces[face][(i + 2) % 3]
            (x1, y1), (x2, y2) = ((self.points[v][0] - column, self.points[v][1] - row) for v in ends)
            if step_y:
                x1, y1, x2, y2 = y1, x1, y2, x2
            if (y1 < 0) == (y2 < 0):
                continue
            crossing = (x1 - y1 * (x2 - x1) / (y2 - y1)) * (step_x + step_y)
            if crossing > best:
                best, edge, steep = crossing, ends, abs(y2 - y1) >= abs(x2 - x1)
        if edge is None or not steep or not -1 / 16 < best < 17 / 16 or not self.is_silhouette(face, *edge):
            return None
        return 0.5 - min(max(best, 0.0), 1.0)

    def draw(self, image: np.ndarray) -> np.ndarray:
        smooth = image.copy()
        height, width = image.shape[:2]
        for row, column, (down, right) in itertools.product(range(height), range(width), ((0, 1), (1, 0))):
            here, there = (row, column), (row + down, column + right)
            if there[0] >= height or there[1] >= width or self.face[row][column] == self.face[there[0]][there[1]]:
                continue
            of_here, of_there = self.face[row][column] >= 0, self.face[there[0]][there[1]] >= 0
            nearer = self.depth[row][column] < self.depth[there[0]][there[1]]
            base, other = (here, there) if of_here and (nearer or not of_there) else (there, here)
            share = self.share(base, other)
            if share is not None:
                smooth[base if share > 0 else other] += share * (image[other] - image[base])
        return smooth


def scene(kind: str, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Clip positions (2, V, 4) and faces: a torus and an open sheet that pass through each other."""
    torus = trimesh.creation.torus(0.55, 0.25, major_sections=14, minor_sections=8)
    sheet = trimesh.Trimesh([[-0.9, 0.1, -0.3], [0.8, -0.2, -0.5], [0.1, 0.9, 0.8]], [[0, 1, 2]])
    both = trimesh.util.concatenate([torus, sheet])
    positions, faces = torch.tensor(both.vertices, dtype=dtype), torch.tensor(np.array(both.faces))
    poses = orbit((25.0, 140.0), (15.0, -40.0), 3.0)
    camera = Camera.orthographic(poses, 1.1) if kind == "orthographic" else Camera.perspective(poses, 0.7, 1.4)
    return homogeneous(positions) @ camera.clip_from_world.to(dtype).mT, faces


@pytest.mark.parametrize(("kind", "size"), [("orthographic", (30, 30)), ("perspective", (25, 35))])
def test_equals_a_loop_over_pixels(kind: str, size: tuple[int, int]) -> None:
    clip, faces = scene(kind)
    fragments = RASTERIZER.rasterize(clip, faces, size)
    image = torch.rand(2, *size, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    smooth = RASTERIZER.antialias(image, fragments, clip, faces)
    changed = 0
    for number in range(2):
        seen = Fragments(fragments.face_index[number], fragments.barycentric[number], fragments.depth[number])
        expected = Oracle(seen, clip[number], faces).draw(image[number].numpy())
        np.testing.assert_allclose(smooth[number].numpy(), expected, atol=1e-9)
        changed += (expected != image[number].numpy()).any(2).sum()
    assert changed > 50


def polygon_area(clip: Tensor, size: int) -> Tensor:
    """Area in pixels of the triangle of the first three positions."""
    (ax, ay), (bx, by), (cx, cy) = (clip[0, i, :2] / clip[0, i, 3] * size / 2 for i in range(3))
    return ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)).abs() / 2


def test_covered_share_and_its_gradient_follow_the_area() -> None:
    """Summed over the picture, coverage is the triangle's area, and moves with it."""
    generator = torch.Generator().manual_seed(1)
    faces, size = torch.tensor([[0, 1, 2]]), 96
    plain_error, smooth_error = [], []
    for _ in range(20):
        corners = torch.tensor([[-0.7, -0.6], [0.75, -0.4], [0.1, 0.8]], dtype=torch.float64)
        corners = corners + 0.1 * torch.rand(3, 2, generator=generator, dtype=torch.float64)
        w = 1 + torch.rand(3, 1, generator=generator, dtype=torch.float64)
        clip = torch.cat([corners * w, 0 * w, w], 1)[None].requires_grad_()
        fragments = RASTERIZER.rasterize(clip, faces, (size, size))
        mask = fragments.mask[..., None].double()
        smooth = RASTERIZER.antialias(mask, fragments, clip, faces)
        area = polygon_area(clip, size)
        (of_coverage,) = torch.autograd.grad(smooth.sum(), clip)
        (of_area,) = torch.autograd.grad(area, clip)
        assert (of_coverage - of_area).abs().max() < 0.06 * of_area.abs().max()
        smooth_error.append(float((smooth.sum() - area).detach().abs()))
        plain_error.append(float((mask.sum() - area).detach().abs()))
    assert 3 * sum(smooth_error) < sum(plain_error)


@pytest.mark.parametrize("kind", ["orthographic", "perspective"])
def test_gradients_equal_finite_differences(kind: str) -> None:
    """Through rasterize, interpolate and antialias together, over steps too small to change which face is seen."""
    size, generator = (20, 20), torch.Generator().manual_seed(3)
    clip, faces = scene(kind)
    # A few large faces: short edges and slivers have bounded gradients on purpose.
    faces = faces[[-1, 0, 40, 80]]
    weights = torch.rand(2, *size, 4, generator=generator, dtype=torch.float64)
    attributes = torch.rand(1, clip.shape[1], 3, generator=generator, dtype=torch.float64)

    def loss(clip: Tensor) -> Tensor:
        fragments = RASTERIZER.rasterize(clip, faces, size)
        colours = RASTERIZER.interpolate(attributes, fragments, faces)
        image = torch.cat([colours, fragments.mask[..., None].double()], 3)
        return (RASTERIZER.antialias(image, fragments, clip, faces) * weights).sum()

    clip = clip.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(clip), clip)
    step, checked = 1e-6, 0
    with torch.no_grad():
        for place in itertools.product(range(2), faces[0].tolist(), (0, 1, 3)):
            moved = [clip.clone(), clip.clone()]
            moved[0][place] += step
            moved[1][place] -= step
            numeric = (loss(moved[0]) - loss(moved[1])) / (2 * step)
            assert abs(gradient[place] - numeric) < 2e-3 * gradient.abs().max(), place
            checked += int(abs(numeric) > 0.05 * gradient.abs().max())
    assert checked >= 12


def test_gradient_of_the_image() -> None:
    clip, faces = scene("perspective")
    fragments = RASTERIZER.rasterize(clip, faces, (6, 5))
    image = torch.rand(2, 6, 5, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda picture: RASTERIZER.antialias(picture, fragments, clip, faces), (image,))


def test_inner_edges_and_single_colours_stay() -> None:
    """Edges inside a surface are no silhouettes, and one colour everywhere has nothing to blend."""
    line = torch.linspace(-1.3, 1.3, 6)
    y, x = torch.meshgrid(line, line, indexing="ij")
    clip = torch.stack([x, y, 0.1 * x * y, torch.ones_like(x)], 2).view(1, -1, 4)
    number = torch.arange(36).view(6, 6)
    a, b, c, d = (part.flatten() for part in (number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]))
    faces = torch.cat([torch.stack([a, b, c], 1), torch.stack([a, c, d], 1)])
    fragments = RASTERIZER.rasterize(clip, faces, (40, 40))
    image = torch.rand(1, 40, 40, 3)
    assert torch.equal(RASTERIZER.antialias(image, fragments, clip, faces), image)
    clip, faces = scene("perspective", torch.float32)
    fragments = RASTERIZER.rasterize(clip, faces, (40, 40))
    plain = torch.full((2, 40, 40, 3), 0.7)
    assert torch.equal(RASTERIZER.antialias(plain, fragments, clip, faces), plain)


def test_neighbours_of_a_closed_mesh_a_border_and_three_faces_at_an_edge() -> None:
    faces = torch.tensor(np.array(trimesh.creation.icosphere(subdivisions=1).faces))
    found = find_neighbours(faces)
    assert (found.face >= 0).all() and found.turned.all()
    for edge, face in itertools.product(range(3), range(len(faces))):
        ends = {int(faces[face, (edge + 1) % 3]), int(faces[face, (edge + 2) % 3])}
        across = int(found.face[edge, face])
        assert across != face and ends <= set(faces[across].tolist())
    fan = torch.tensor([[0, 1, 2], [0, 1, 3], [1, 0, 4]])
    found = find_neighbours(fan)
    assert (found.face[:2] == -1).all()
    assert found.face[2].tolist() == [1, 2, 0]
    assert found.turned[2].tolist() == [False, True, True]


def test_memory_sees_changed_faces() -> None:
    memory, faces = NeighbourMemory(), torch.tensor([[0, 1, 2], [2, 1, 3]])
    first = memory.of(faces)
    assert memory.of(faces) is first
    faces[1] = torch.tensor([3, 4, 5])
    assert (memory.of(faces).face == -1).all() and (first.face >= 0).any()
    with torch.inference_mode():
        other = torch.tensor([[0, 1, 2], [2, 1, 3]])
        assert (memory.of(other).face >= 0).any()
        other[1] = torch.tensor([3, 4, 5])
        assert (memory.of(other).face == -1).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1)])
def test_thin_pictures(shape: tuple[int, int]) -> None:
    clip, faces = scene("perspective")
    fragments = RASTERIZER.rasterize(clip, faces, shape)
    image = torch.rand(2, *shape, 1)
    assert RASTERIZER.antialias(image, fragments, clip, faces).shape == image.shape


def test_nothing_to_smooth() -> None:
    clip, faces = torch.zeros(1, 0, 4), torch.zeros(0, 3, dtype=torch.int64)
    fragments = RASTERIZER.rasterize(clip, faces, (3, 4))
    image = torch.rand(1, 3, 4, 2)
    assert torch.equal(RASTERIZER.antialias(image, fragments, clip, faces), image)


def test_edges_behind_the_camera_move_nothing() -> None:
    """A floor that passes below the camera: its visible far border is smooth, gradients are finite."""
    floor = torch.tensor([[-5.0, -1, -5], [5, -1, -5], [5, -1, 5], [-5, -1, 5]], requires_grad=True)
    camera = Camera.perspective(orbit((20.0,), 5.0, 1.0), 0.9, near=0.05, far=100.0)
    faces = torch.tensor([[0, 2, 1], [0, 3, 2]])
    clip = homogeneous(floor) @ camera.clip_from_world.mT
    fragments = RASTERIZER.rasterize(clip, faces, (48, 48))
    smooth = RASTERIZER.antialias(fragments.mask[..., None].float(), fragments, clip, faces)
    between = (smooth > 0.02) & (smooth < 0.98)
    assert between.sum() > 10 and (smooth >= 0).all() and (smooth <= 1).all()
    smooth.sum().backward()
    assert floor.grad is not None and floor.grad.isfinite().all() and floor.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": torch.rand(2, 8, 7, 3)}, "expected .* like the fragments"),
        ({"image": torch.ones(2, 8, 8, 3, dtype=torch.uint8)}, "expected floating"),
        ({"clip_positions": torch.rand(1, 123, 4)}, "of 1 pictures, the fragments of 2"),
        ({"faces": torch.tensor([[0, 1, 2]])}, "the fragments name face"),
    ],
)
def test_wrong_arguments(change: dict[str, Tensor], message: str) -> None:
    clip, faces = scene("perspective", torch.float32)
    fragments = RASTERIZER.rasterize(clip, faces, (8, 8))
    arguments = {"image": torch.rand(2, 8, 8, 3), "clip_positions": clip, "faces": faces} | change
    with pytest.raises(ValueError, match=message):
        RASTERIZER.antialias(fragments=fragments, **arguments)
