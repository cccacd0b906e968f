"""Camera matrices of other programs, converted to ours and back; each pair is exact and inverse to the other.

| convention | camera axes | world |
| --- | --- | --- |
| ours, OpenGL, glTF | x right, y up, looks along -z | y up |
| OpenCV, COLMAP | x right, y down, looks along +z | as ours |
| Blender | as ours | z up, front -y |
| PyTorch3D | x left, y up, looks along +z; row vectors | as ours |

Legend: "..." any number of batch axes. Matrices are `target_from_source` on column vectors unless said.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

Intrinsics = tuple[float, float, float, float]
"""fx, fy, cx, cy in pixels; pixel (0, 0) covers [0, 1]^2 at the top left, so the centre of W pixels is W / 2."""


def from_opencv(world_from_camera: Float[Tensor, "... 4 4"]) -> Float[Tensor, "... 4 4"]:
    """Our pose of an OpenCV camera pose (invert first what OpenCV calls extrinsics, camera_from_world)."""
    return world_from_camera * _axis_signs(world_from_camera, (1.0, -1.0, -1.0))


def to_opencv(world_from_camera: Float[Tensor, "... 4 4"]) -> Float[Tensor, "... 4 4"]:
    """OpenCV's pose of one of our poses."""
    return from_opencv(world_from_camera)  # turning half a revolution about x is its own inverse


def from_blender(world_from_camera: Float[Tensor, "... 4 4"]) -> Float[Tensor, "... 4 4"]:
    """Our pose of a pose in Blender's z-up world: (x, y, z) there is (x, z, -y) here, so its front, -y, is our +z."""
    return _world_from_blender(world_from_camera) @ world_from_camera


def to_blender(world_from_camera: Float[Tensor, "... 4 4"]) -> Float[Tensor, "... 4 4"]:
    """The pose in Blender's z-up world of one of our poses."""
    return _world_from_blender(world_from_camera).T @ world_from_camera


def from_pytorch3d(rotation: Float[Tensor, "... 3 3"], translation: Float[Tensor, "... 3"]) -> Float[Tensor, "... 4 4"]:
    """Our pose of PyTorch3D's R and T, for which x_camera = x_world @ R + T."""
    world_from_camera = torch.zeros(*rotation.shape[:-2], 4, 4, dtype=rotation.dtype, device=rotation.device)
    world_from_camera[..., :3, :3] = rotation
    world_from_camera[..., :3, 3] = -(rotation @ translation[..., None])[..., 0]
    world_from_camera[..., 3, 3] = 1.0
    return world_from_camera * _axis_signs(rotation, (-1.0, 1.0, -1.0))


def to_pytorch3d(
    world_from_camera: Float[Tensor, "... 4 4"],
) -> tuple[Float[Tensor, "... 3 3"], Float[Tensor, "... 3"]]:
    """PyTorch3D's R and T of one of our poses."""
    rotation = (world_from_camera * _axis_signs(world_from_camera, (-1.0, 1.0, -1.0)))[..., :3, :3]
    return rotation, -(rotation.transpose(-1, -2) @ world_from_camera[..., :3, 3:])[..., 0]


def clip_from_intrinsics(
    intrinsics: Intrinsics, width: int, height: int, near: float = 0.1, far: float = 10.0
) -> Float[Tensor, "4 4"]:
    """Projection of our camera for pinhole `intrinsics` of a `width` x `height` picture."""
    fx, fy, cx, cy = intrinsics
    if min(fx, fy) <= 0 or not 0 < near < far:
        raise ValueError(f"intrinsics: fx {fx} and fy {fy} must be positive and 0 < near {near} < far {far}")
    return torch.tensor(
        [
            [2.0 * fx / width, 0.0, 1.0 - 2.0 * cx / width, 0.0],
            [0.0, 2.0 * fy / height, 2.0 * cy / height - 1.0, 0.0],
            [0.0, 0.0, (far + near) / (near - far), 2.0 * far * near / (near - far)],
            [0.0, 0.0, -1.0, 0.0],
        ]
    )


def intrinsics_from_clip(clip_from_camera: Float[Tensor, "4 4"], width: int, height: int) -> Intrinsics:
    """Pinhole intrinsics of a perspective projection; ValueError for an orthographic one."""
    matrix = clip_from_camera.double()
    if matrix[3, 2] != -1.0:
        raise ValueError("intrinsics_from_clip: an orthographic camera has no focal length")
    fx, fy = float(matrix[0, 0]) * width / 2.0, float(matrix[1, 1]) * height / 2.0
    return fx, fy, (1.0 - float(matrix[0, 2])) * width / 2.0, (1.0 + float(matrix[1, 2])) * height / 2.0


def _axis_signs(like: Tensor, signs: tuple[float, float, float]) -> Float[Tensor, " 4"]:
    """Factors of the four columns of a pose."""
    return torch.tensor([*signs, 1.0], dtype=like.dtype, device=like.device)


def _world_from_blender(like: Tensor) -> Float[Tensor, "4 4"]:
    rows = [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    return torch.tensor(rows, dtype=like.dtype, device=like.device)
