"""Cameras as the published model labels them: poses in a z-up world (Blender's), one unit from the origin.

The labels tell the image encoder where a view was taken; nothing is rendered with them.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from framework.geometry.conventions import to_blender
from framework.renderers.views import canonical_cameras


def camera_labels(world_from_camera: Float[Tensor, "*B 4 4"]) -> Float[Tensor, "*B 4 4"]:
    """The published labels of our poses; a new tensor, so that no table of cameras drifts as the original's does."""
    pose = to_blender(world_from_camera)
    position = normalize(pose[..., :3, 3:], dim=-2)
    return torch.cat([torch.cat([pose[..., :3, :3], position], dim=-1), pose[..., 3:, :]], dim=-2)


def canonical_labels() -> Float[Tensor, "4 4 4"]:
    """Labels of front, right, back, left: exactly 0, 1 and -1, as published checkpoints hold them."""
    return camera_labels(canonical_cameras().world_from_camera).round() + 0.0  # no negative zeros
