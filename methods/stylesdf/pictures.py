"""What leaves the GAN: pictures in [-1, 1] as PNG and as frames of a film, rows of views, their names.

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
