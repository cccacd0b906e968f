"""A photo studio for pictures that people look at: light backdrop, soft shadow on the floor, framing, smooth edges.

Dimension letters: B cameras, V vertices, H rows, W columns, G points along one side of the floor.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from framework.geometry.camera import Camera, homogeneous, orbit
from framework.geometry.mesh import Mesh
from framework.renderers.occlusion import exposure, with_exposure
from framework.renderers.rasterizer import Rasterizer
from framework.renderers.surface import Surface, surface_of
from framework.renderers.views import render_surface

# Edges sharper than this stay sharp, so that furniture doesn't look inflated.
_CREASE_DEGREES = 50.0
_FIELD_OF_VIEW = torch.pi / 7
# The floor reaches this many times further than the object, in _FLOOR_POINTS x _FLOOR_POINTS points.
_FLOOR_SIZE, _FLOOR_POINTS = 2.2, 72
_FLOOR_COLOR = (0.16, 0.15, 0.17)
_FLOOR_DARKNESS = 0.62
_BACKDROP_LIGHT, _BACKDROP_DARK = (0.965, 0.962, 0.955), (0.845, 0.845, 0.850)


@dataclass(frozen=True, eq=False)
class Exhibit:
    """A mesh in the studio: centred, with soft shadows on itself and on the floor."""

    surface: Surface
    """The mesh, its box centred on the origin and its longest side 2 units long."""

    floor: Surface
    """A square grid below it."""

    floor_shadow: Tensor
    """(G * G,) darkness of the floor's points in [0, 1], 0 at its rim."""


def exhibit(mesh: Mesh, rasterizer: Rasterizer, device: torch.device | str = "cpu") -> Exhibit:
    """Prepare `mesh`, of any size and place, for photographs."""
    surface = with_exposure(_centred(surface_of(mesh, _CREASE_DEGREES, device)), rasterizer)
    floor = _floor(float(surface.positions[:, 1].min()), device)
    seen = _blurred(exposure(floor.positions, floor.normals, surface, rasterizer, directions=120), _FLOOR_POINTS)
    rim = (floor.positions[:, 0].hypot(floor.positions[:, 2]) / _FLOOR_SIZE).clamp(max=1)
    return Exhibit(surface, floor, (1 - seen) * (1 - rim**2))


def photograph(
    shown: Exhibit, cameras: Camera, resolution: tuple[int, int], rasterizer: Rasterizer, supersample: int = 2
) -> Tensor:
    """Return (B, H, W, 3) sRGB pictures in [0, 1] of the exhibit before its backdrop; resolution (H, W) in pixels."""
    picture = render_surface(shown.surface, cameras, resolution, rasterizer, ("shaded",), supersample)["shaded"]
    color, alpha = picture.split((3, 1), 3)
    shadow = _FLOOR_DARKNESS * _shadow_picture(shown, cameras, resolution, rasterizer)
    behind = _backdrop(resolution).to(picture)
    behind = behind + shadow * (behind.new_tensor(_FLOOR_COLOR) - behind)
    return behind + alpha * (color - behind)


def around(
    shown: Exhibit, azimuths: Tensor, elevation_degrees: float, aspect: float = 1.0, fill: float = 0.8
) -> Camera:
    """Return perspective cameras at `azimuths` (B,) degrees, all so far away that the object fills `fill` of the frame.

    aspect: width / height of the picture. All cameras share one distance, so that an object that turns keeps its size.
    """
    positions = shown.surface.positions
    poses = orbit(azimuths, elevation_degrees, 1.0).to(positions)
    in_camera = positions @ poses[:, :3, :3]
    tangent = fill * torch.tan(torch.tensor(_FIELD_OF_VIEW / 2)).to(positions)
    reach = torch.maximum(in_camera[..., 0].abs() / aspect, in_camera[..., 1].abs()) / tangent + in_camera[..., 2]
    poses = orbit(azimuths, elevation_degrees, float(reach.max())).to(positions)
    return Camera.perspective(poses, _FIELD_OF_VIEW, aspect, near=0.1, far=100.0)


def _centred(surface: Surface) -> Surface:
    low, high = surface.positions.amin(0), surface.positions.amax(0)
    scale = 2 / (high - low).max().clamp(min=1e-12)
    return replace(surface, positions=(surface.positions - (low + high) / 2) * scale)


def _floor(height: float, device: torch.device | str) -> Surface:
    """A square grid of `_FLOOR_POINTS` x `_FLOOR_POINTS` points at y = `height`."""
    line = torch.linspace(-_FLOOR_SIZE, _FLOOR_SIZE, _FLOOR_POINTS, device=device)
    z, x = torch.meshgrid(line, line, indexing="ij")
    positions = torch.stack([x, torch.full_like(x, height), z], 2).view(-1, 3)
    number = torch.arange(_FLOOR_POINTS**2, device=device).view(_FLOOR_POINTS, -1)
    corners = number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]
    a, b, c, d = (part.reshape(-1) for part in corners)
    faces = torch.cat([torch.stack([a, b, c], 1), torch.stack([a, c, d], 1)])
    return Surface(positions, faces, faces, positions.new_tensor((0.0, 1.0, 0.0)).expand_as(positions))


def _blurred(values: Tensor, side: int) -> Tensor:
    """(G * G,) values on a grid, each averaged with its surroundings: the lamps above are few, their shadows hard."""
    grid = values.view(1, 1, side, side)
    for _ in range(4):
        grid = avg_pool2d(pad(grid, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return grid.flatten()


def _shadow_picture(shown: Exhibit, cameras: Camera, resolution: tuple[int, int], rasterizer: Rasterizer) -> Tensor:
    """(B, H, W, 1) darkness of the floor in [0, 1]; drawn at half resolution, for it has no sharp edges."""
    half = max(resolution[0] // 2, 1), max(resolution[1] // 2, 1)
    floor = shown.floor
    clip = homogeneous(floor.positions) @ cameras.clip_from_world.transpose(1, 2)
    fragments = rasterizer.rasterize(clip, floor.faces, half)
    shadow = rasterizer.interpolate(shown.floor_shadow[None, :, None], fragments, floor.faces)
    return interpolate(shadow.permute(0, 3, 1, 2), resolution, mode="bilinear").permute(0, 2, 3, 1)


def _backdrop(resolution: tuple[int, int]) -> Tensor:
    """(H, W, 3) sRGB: a light circle that fades towards the corners."""
    height, width = resolution
    y = torch.linspace(-0.8, 1.2, height)[:, None]
    x = torch.linspace(-1, 1, width)
    away = ((x**2 + y**2).sqrt() / 1.56).clamp(max=1)[..., None] ** 1.6
    light, dark = torch.tensor(_BACKDROP_LIGHT), torch.tensor(_BACKDROP_DARK)
    return light + away * (dark - light)
