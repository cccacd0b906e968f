"""Gradients that are good for something: shapes and poses found from pictures alone, from random starts."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

from framework import registry
from framework.geometry.camera import Camera, homogeneous, orbit
from framework.renderers.rasterizer import Rasterizer
from framework.renderers.texturing import screen_derivatives
from framework.renderers.torch_rasterizer import TorchRasterizer

CAMERAS = Camera.perspective(orbit((0.0, 90.0, 180.0, 270.0), (0.0, 35.0, -20.0, 10.0), 3.0), 0.8)
SIZE = (64, 64)


def ball(subdivisions: int = 2) -> tuple[Tensor, Tensor]:
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions)
    return torch.tensor(mesh.vertices, dtype=torch.float32), torch.tensor(np.array(mesh.faces))


def silhouettes(rasterizer: Rasterizer, positions: Tensor, faces: Tensor) -> Tensor:
    clip = homogeneous(positions) @ CAMERAS.clip_from_world.mT
    fragments = rasterizer.rasterize(clip, faces, SIZE)
    return rasterizer.antialias(fragments.mask[..., None].float(), fragments, clip, faces)


def rasterizer_called(name: str) -> Rasterizer:
    if name == "torch":
        return TorchRasterizer()
    pytest.importorskip("warp", reason="extra 'warp'")
    return registry.load_class("renderer", name)(registry.config_class("renderer", name)())


STARTS = pytest.mark.parametrize(
    ("name", "seed"),
    [
        ("torch", 0),
        *(pytest.param(*start, marks=pytest.mark.slow) for start in (("warp", 0), ("torch", 1), ("torch", 2))),
    ],
)
"""By whom it is drawn, and where it starts."""


@STARTS
def test_a_ball_finds_its_silhouette(name: str, seed: int) -> None:
    """Place and size from the outlines in four views; the ball starts elsewhere, of another size."""
    rasterizer, generator = rasterizer_called(name), torch.Generator().manual_seed(seed)
    unit, faces = ball()
    wanted = torch.tensor([0.15, -0.1, 0.2, 0.55])
    target = silhouettes(rasterizer, unit * wanted[3] + wanted[:3], faces)
    place = (torch.rand(3, generator=generator) - 0.5) * 0.9
    found = torch.cat([place, torch.rand(1, generator=generator) * 0.7 + 0.2]).requires_grad_()
    optimizer = torch.optim.Adam([found], lr=0.05)
    for step in range(150):
        optimizer.param_groups[0]["lr"] = 0.05 * 0.97**step
        optimizer.zero_grad()
        ((silhouettes(rasterizer, unit * found[3] + found[:3], faces) - target) ** 2).mean().backward()
        optimizer.step()
    assert (found.detach() - wanted).abs().max() < 0.005


def crumpled(unit: Tensor, seed: int) -> Tensor:
    """A start far from a ball: every vertex at a random distance."""
    generator = torch.Generator().manual_seed(seed)
    return unit * (0.35 + 0.4 * torch.rand(len(unit), 1, generator=generator))


def edges_of(faces: Tensor) -> Tensor:
    return torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).sort(1)[0].unique(dim=0)


def test_a_crumpled_mesh_becomes_a_ball() -> None:
    """Every vertex is free; outlines from 12 sides and a little smoothness."""
    rasterizer = TorchRasterizer()
    unit, faces = ball()
    poses = orbit(
        [30.0 * number for number in range(12)], [(-50.0, 0.0, 50.0)[number % 3] for number in range(12)], 3.0
    )
    clip_from_world = Camera.perspective(poses, 0.8).clip_from_world
    radius, edges = 0.7, edges_of(faces)

    def draw(positions: Tensor) -> Tensor:
        clip = homogeneous(positions) @ clip_from_world.mT
        fragments = rasterizer.rasterize(clip, faces, SIZE)
        return rasterizer.antialias(fragments.mask[..., None].float(), fragments, clip, faces)

    target = draw(unit * radius)
    positions = crumpled(unit, 0).requires_grad_()
    degree = torch.bincount(edges.flatten(), minlength=len(unit))[:, None]
    optimizer = torch.optim.Adam([positions], lr=0.02)
    for step in range(200):
        optimizer.param_groups[0]["lr"] = 0.02 * 0.98**step
        optimizer.zero_grad()
        around = torch.zeros_like(positions).index_add(0, edges[:, 0], positions[edges[:, 1]])
        around = around.index_add(0, edges[:, 1], positions[edges[:, 0]]) / degree
        smoothness = ((positions - around) ** 2).sum(1).mean()
        (((draw(positions) - target) ** 2).mean() + 0.5 * smoothness).backward()
        optimizer.step()
    distance = positions.detach().norm(dim=1)
    overlap = draw(positions.detach())
    common = torch.minimum(overlap, target).sum() / torch.maximum(overlap, target).sum()
    assert common > 0.98
    assert (distance - radius).abs().max() < 0.06


class Cube:
    """A cube whose sides carry different, smooth pictures, in one texture of 3 x 2 fields."""

    def __init__(self) -> None:
        box = trimesh.creation.box((0.9, 0.9, 0.9))
        corners = torch.tensor(box.vertices[box.faces], dtype=torch.float32)
        self.vertices = torch.tensor(box.vertices, dtype=torch.float32)
        self.faces = torch.tensor(np.array(box.faces))
        normals = torch.tensor(box.face_normals, dtype=torch.float32)
        axis = normals.abs().argmax(1)
        side = axis + 3 * (normals.gather(1, axis[:, None])[:, 0] > 0)
        others = torch.tensor([[1, 2], [0, 2], [0, 1]])[axis]
        within = corners.gather(2, others[:, None].expand(-1, 3, -1)) / 0.9 * 0.94 + 0.5
        field = torch.stack([side % 3, side // 3], 1)[:, None]
        self.uv = ((within + field) / torch.tensor([3.0, 2.0])).view(1, -1, 2)
        self.uv_faces = torch.arange(36).view(12, 3)
        coarse = torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(5))
        self.texture = torch.nn.functional.interpolate(coarse, (64, 96), mode="bicubic").clamp(0, 1).permute(0, 2, 3, 1)

    def draw(self, rasterizer: Rasterizer, turn: Tensor, shift: Tensor) -> Tensor:
        """(1, H, W, 4) picture; `turn` is a rotation vector in radians, `shift` a translation."""
        zero = torch.zeros_like(turn[0])
        x, y, z = turn.unbind(0)
        cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).view(3, 3)
        positions = self.vertices @ torch.linalg.matrix_exp(cross).mT + shift
        clip = homogeneous(positions) @ CAMERAS[:1].clip_from_world.mT
        fragments = rasterizer.rasterize(clip, self.faces, SIZE)
        uv = rasterizer.interpolate(self.uv, fragments, self.uv_faces)
        of_corners = clip[:, self.faces.flatten()]
        steps = screen_derivatives(self.uv, fragments, of_corners, self.uv_faces)
        color = rasterizer.texture(self.texture, uv, steps, "clamp") * fragments.mask[..., None]
        picture = torch.cat([color, fragments.mask[..., None].float()], 3)
        return rasterizer.antialias(picture, fragments, clip, self.faces)


@STARTS
def test_a_textured_cube_finds_its_pose(name: str, seed: int) -> None:
    """Rotation and place from one picture; the cube starts turned by 25 degrees about a random axis."""
    rasterizer, cube = rasterizer_called(name), Cube()
    generator = torch.Generator().manual_seed(seed)
    wanted_turn, wanted_shift = torch.tensor([0.4, 0.6, -0.2]), torch.tensor([0.1, -0.05, 0.1])
    target = cube.draw(rasterizer, wanted_turn, wanted_shift)
    axis = torch.nn.functional.normalize(torch.randn(3, generator=generator), dim=0)
    turn = (wanted_turn + np.deg2rad(25) * axis).requires_grad_()
    shift = (wanted_shift + 0.15 * (torch.rand(3, generator=generator) - 0.5)).requires_grad_()
    optimizer = torch.optim.Adam([turn, shift], lr=0.03)
    for step in range(150):
        optimizer.param_groups[0]["lr"] = 0.03 * 0.97**step
        optimizer.zero_grad()
        ((cube.draw(rasterizer, turn, shift) - target) ** 2).mean().backward()
        optimizer.step()
    assert (turn.detach() - wanted_turn).norm() < np.deg2rad(1.0)
    assert (shift.detach() - wanted_shift).abs().max() < 0.02


def test_the_example_of_the_page_finds_its_ball() -> None:
    text = (Path(__file__).parents[2] / "docs" / "rasterizers.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    names: dict = {}
    exec(example, names)
    assert abs(float(names["radius"].detach()) - 0.6) < 0.01
