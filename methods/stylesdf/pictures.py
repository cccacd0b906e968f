"""What leaves the GAN: pictures in [-1, 1] as PNG and as frames of a film, rows of views, meshes and cameras.

The GAN's world is small: what it shows lies in the cube of half width `dist_radius`, 0.12 as published. Outside, as of
every shape, that cube is [-1, 1]^3.

Dimension letters: V views, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from framework.artifacts.image import Image
from framework.export.images import to_bytes
from framework.geometry.camera import Camera
from framework.geometry.mesh import Mesh
from methods.stylesdf.cameras import ViewCameras


def png_picture(rgb: Tensor) -> Image:
    """A picture (3, H, W) in [-1, 1] as it goes into a PNG, to the nearest step."""
    return Image.from_uint8(to_bytes(_channels_last(rgb)))


def video_frame(rgb: Tensor) -> NDArray[np.uint8]:
    """(H, W, 3) a picture (3, H, W) in [-1, 1] as a frame of a film; fractions of a step are cut off, as published."""
    return to_bytes(_channels_last(rgb), "down")


def _channels_last(rgb: Tensor) -> NDArray[np.float32]:
    """(H, W, 3) in [0, 1] of (3, H, W) in [-1, 1]."""
    return ((rgb.float() + 1.0) * 0.5).permute(1, 2, 0).cpu().numpy()


def side_by_side(pictures: Sequence[Image]) -> Image:
    """All pictures in one row, without a gap."""
    return Image(np.concatenate([picture.pixels for picture in pictures], axis=1))


def shape_frame(mesh: Mesh, dist_radius: float) -> Mesh:
    """A mesh of the GAN's world where all shapes live."""
    scale = 1.0 / dist_radius
    return mesh.transformed(np.diag([scale, scale, scale, 1.0]))


def shape_cameras(cameras: ViewCameras) -> Camera:
    """The cameras (V,), as far from shapes of that frame as they are from the GAN's."""
    ours = cameras.to("cpu").to_camera()
    pose, lens = ours.world_from_camera.clone(), ours.clip_from_camera.clone()
    pose[:, :3, 3] /= cameras.dist_radius
    lens[:, 2, 3] /= cameras.dist_radius  # the clipping planes, so that depths on the screen stay the same
    return Camera(pose, lens)


def view_names(cameras: ViewCameras) -> list[str]:
    """`00_azim+0.00_elev-0.15`: the number of each view and its angles in radians."""
    angles = [(azimuth + 0.0, elevation + 0.0) for azimuth, elevation in cameras.angles.round(decimals=2).tolist()]
    return [
        f"{number:02d}_azim{azimuth:+.2f}_elev{elevation:+.2f}" for number, (azimuth, elevation) in enumerate(angles)
    ]


def cameras_of_views(world_from_camera: Tensor, clip_from_camera: Tensor, dist_radius: float) -> ViewCameras:
    """The cameras (V,) that pictures were stored with, from their matrices (V, 4, 4): where they stand, how wide."""
    eye = torch.nn.functional.normalize(world_from_camera[:, :3, 3].double(), dim=1)
    angles = torch.stack([torch.atan2(eye[:, 0], eye[:, 2]), torch.asin(eye[:, 1].clamp(-1.0, 1.0))], dim=1)
    half_fov = torch.atan(1.0 / clip_from_camera[:, 1, 1].double()).rad2deg()
    return ViewCameras(angles.float(), half_fov.float(), dist_radius)
