"""Where StyleSDF's cameras stand, and their rays; the one border to the framework's cameras.

Cameras stand on the unit sphere and look at the origin; (azimuth, elevation) = (0, 0) is the front, at +Z. Angles are
radians, angles of view degrees. All of it is float32, as the original's.

Dimension letters: B cameras, R rows and columns of a picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, radians

import torch
from torch import Tensor
from torch.nn.functional import normalize

from framework.geometry.camera import Camera
from framework.renderers.volume.rays import Rays
from methods.stylesdf.config import CameraConfig

FIXED_VIEWS = (
    (0.0, 0.0),
    *((azimuth, 0.0) for azimuth in (-1.5, -1.0, -0.5, 0.5, 1.0, 1.5)),
    *((0.0, elevation) for elevation in (-1.5, -1.0, -0.5, 0.5, 1.0, 1.5)),
)
"""The 13 published views, (azimuth, elevation) in units of the camera's `azim` and `elev`."""

SHORTEST = 1e-5
"""Vectors shorter than this are divided by it, as in the original."""


@dataclass(frozen=True, eq=False)
class ViewCameras:
    """B cameras on the unit sphere; ValueError where shapes do not fit."""

    angles: Tensor
    """(B, 2) azimuth and elevation in radians."""

    half_fov: Tensor
    """(B,) half the angle of view in degrees."""

    dist_radius: float
    """Depths reach from 1 - this to 1 + this."""

    def __post_init__(self) -> None:
        if self.angles.ndim != 2 or self.angles.shape[1] != 2 or self.half_fov.shape != self.angles.shape[:1]:
            raise ValueError(
                f"cameras: angles of shape {tuple(self.angles.shape)} and half_fov of shape "
                f"{tuple(self.half_fov.shape)}, expected (B, 2) and (B,)"
            )

    @property
    def near(self) -> float:
        """Depth along the optical axis where looking begins."""
        return 1.0 - self.dist_radius

    @property
    def far(self) -> float:
        """Depth along the optical axis where looking ends."""
        return 1.0 + self.dist_radius

    @property
    def world_from_camera(self) -> Tensor:
        """(B, 3, 4) poses: columns are the camera's right, up, backward directions and its position.

        Straight above or below, right follows from up (within 5e-3), or is rounding noise: as in the original.
        """
        azimuth, elevation = self.angles.unbind(dim=-1)
        eye = torch.stack([elevation.cos() * azimuth.sin(), elevation.sin(), elevation.cos() * azimuth.cos()], dim=-1)
        backward = normalize(eye, dim=-1, eps=SHORTEST)
        right = normalize(torch.linalg.cross(eye.new_tensor([[0.0, 1.0, 0.0]]), backward), dim=-1, eps=SHORTEST)
        up = normalize(torch.linalg.cross(backward, right), dim=-1, eps=SHORTEST)
        lost = (right.abs() < 5e-3).all(dim=-1, keepdim=True)
        right = torch.where(lost, normalize(torch.linalg.cross(up, backward), dim=-1, eps=SHORTEST), right)
        return torch.stack([right, up, backward, eye], dim=-1)

    def focal(self, resolution: int) -> Tensor:
        """(B,) focal lengths in pixels of a picture of `resolution` pixels a side."""
        return 0.5 * resolution / torch.tan(self.half_fov * (pi / 180.0))

    def rays(self, resolution: int, static: bool = False) -> Rays:
        """Rays (B, R * R, 3) through the pixel centres, row by row from the top; t is the depth along the optical axis.

        The field is told unit directions in the world's axes or, with `static`, in the camera's. ValueError for a
        picture without pixels.
        """
        if resolution < 1:
            raise ValueError(f"rays of a picture of {resolution} pixels a side, expected at least 1")
        pose = self.world_from_camera
        offset = torch.arange(resolution, dtype=pose.dtype, device=pose.device) + (0.5 - 0.5 * resolution)
        offset = offset / self.focal(resolution)[:, None]
        x = offset[:, None, :].expand(-1, resolution, -1)
        in_camera = torch.stack([x, -x.transpose(1, 2), -torch.ones_like(x)], dim=-1).flatten(1, 2)
        directions = in_camera @ pose[:, :, :3].transpose(1, 2)
        views = normalize(in_camera if static else directions, dim=-1)
        return Rays(pose[:, None, :, 3].expand_as(directions), directions, views)

    def __len__(self) -> int:
        return len(self.angles)

    def __getitem__(self, rows: slice) -> ViewCameras:
        """Some of the cameras."""
        return ViewCameras(self.angles[rows], self.half_fov[rows], self.dist_radius)

    def to(self, device: torch.device | str) -> ViewCameras:
        """The same cameras on another device."""
        return ViewCameras(self.angles.to(device), self.half_fov.to(device), self.dist_radius)

    def to_camera(self) -> Camera:
        """The framework's cameras (B,), clipping at 0.01 and 10."""
        pose = self.world_from_camera
        last = pose.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(len(pose), 1, 4)
        whole = torch.cat([pose, last], dim=1)
        lenses = [
            Camera.perspective(matrix, 2.0 * radians(half), near=0.01, far=10.0).clip_from_camera
            for matrix, half in zip(whole, self.half_fov.tolist(), strict=True)
        ]
        return Camera(whole, torch.stack(lenses))


def cameras_at(angles: Tensor, config: CameraConfig, half_fov: Tensor | None = None) -> ViewCameras:
    """Cameras at `angles` (B, 2); `half_fov` (B,) in degrees replaces the one of `config`."""
    angles = angles.float()
    half = angles.new_full((len(angles),), config.fov) if half_fov is None else half_fov.to(angles)
    return ViewCameras(angles, half, config.dist_radius)


def angles_from(numbers: Tensor, config: CameraConfig) -> Tensor:
    """(B, 2) angles from random `numbers` (B, 2): standard normal ones, or in [0, 1) where `config.uniform`."""
    spread = numbers.new_tensor([config.azim, config.elev])
    return spread * (2.0 * numbers - 1.0 if config.uniform else numbers)


def sweep_angles(shares: Tensor, config: CameraConfig, views: int = 8) -> Tensor:
    """(I * views, 2) angles of a sample sheet: all azimuths at each elevation, chosen by `shares` (I,) in [0, 1)."""
    azimuth = torch.linspace(-config.azim, config.azim, views, dtype=shares.dtype, device=shares.device)
    elevation = config.elev * (2.0 * shares - 1.0)
    return torch.stack([azimuth.repeat(len(shares)), elevation.repeat_interleave(views)], dim=-1)


def video_angles(count: int, config: CameraConfig, azim_video: bool = False) -> Tensor:
    """(count, 2) angles of a video that ends where it begins: to and fro (`azim_video`), else along an ellipse.

    Cameras of a normal distribution go to 1.5 deviations; evenly spread ones to the end of their range in azimuth,
    and over the upper half of it in elevation.
    """
    turn = torch.linspace(0.0, 1.0, count, dtype=torch.float64) * 2.0 * pi
    azimuth = (1.0 if config.uniform else 1.5) * config.azim * turn.cos()
    elevation = 0.5 * config.elev * (1.0 + turn.sin()) if config.uniform else 1.5 * config.elev * turn.sin()
    return torch.stack([azimuth, torch.zeros_like(azimuth) if azim_video else elevation], dim=-1).float()
