"""Conversions between camera conventions: known cameras, projections by the other program's equations, round trips."""

import math

import pytest
import torch

from framework.geometry.camera import Camera, homogeneous, orbit
from framework.geometry.conventions import (
    clip_from_intrinsics,
    from_blender,
    from_opencv,
    from_pytorch3d,
    intrinsics_from_clip,
    to_blender,
    to_opencv,
    to_pytorch3d,
)

POSES = orbit(torch.tensor([0.0, 90.0, 200.0]), torch.tensor([0.0, 20.0, -40.0]), 2.5)
POINTS = torch.rand(20, 3, generator=torch.Generator().manual_seed(0)) - 0.5


@pytest.mark.parametrize(("there", "back"), [(to_opencv, from_opencv), (to_blender, from_blender)])
def test_pose_round_trips(there, back) -> None:  # type: ignore[no-untyped-def]
    torch.testing.assert_close(back(there(POSES)), POSES)
    torch.testing.assert_close(torch.linalg.det(there(POSES)), torch.ones(3))


def test_pytorch3d_round_trip_and_front_camera() -> None:
    torch.testing.assert_close(from_pytorch3d(*to_pytorch3d(POSES)), POSES)
    rotation, translation = to_pytorch3d(POSES)
    # PyTorch3D's look_at_view_transform(2.5, 0, 0): R = diag(-1, 1, -1), T = (0, 0, 2.5).
    torch.testing.assert_close(rotation[0], torch.diag(torch.tensor([-1.0, 1.0, -1.0])), atol=1e-6, rtol=0)
    torch.testing.assert_close(translation[0], torch.tensor([0.0, 0.0, 2.5]), atol=1e-6, rtol=0)


def test_pytorch3d_view_axes_are_left_up_forward() -> None:
    rotation, translation = to_pytorch3d(POSES)
    theirs = POINTS @ rotation + translation[:, None]
    ours = (homogeneous(POINTS) @ torch.linalg.inv(POSES).transpose(1, 2))[..., :3]
    torch.testing.assert_close(theirs, ours * torch.tensor([-1.0, 1.0, -1.0]), atol=1e-5, rtol=0)


def test_opencv_pinhole_equations_give_our_pixels() -> None:
    width, height, intrinsics = 640, 480, (500.0, 520.0, 310.0, 250.0)
    camera_from_world = torch.linalg.inv(to_opencv(POSES))
    x, y, z = (homogeneous(POINTS) @ camera_from_world.transpose(1, 2))[..., :3].unbind(-1)
    assert (z > 0).all()
    fx, fy, cx, cy = intrinsics
    pixels = torch.stack([fx * x / z + cx, fy * y / z + cy], dim=-1)
    ndc = Camera(POSES, clip_from_intrinsics(intrinsics, width, height).expand(3, 4, 4)).project(POINTS)
    ours = torch.stack([(ndc[..., 0] + 1) * width / 2, (1 - ndc[..., 1]) * height / 2], dim=-1)
    torch.testing.assert_close(ours, pixels, atol=1e-2, rtol=0)


def test_intrinsics_round_trip_and_match_the_field_of_view() -> None:
    intrinsics = (500.0, 520.0, 310.0, 250.0)
    again = intrinsics_from_clip(clip_from_intrinsics(intrinsics, 640, 480), 640, 480)
    assert again == pytest.approx(intrinsics, rel=1e-5)
    fov = math.radians(50.0)
    perspective = Camera.perspective(POSES[0], fov, aspect=640 / 480)
    fx, fy, cx, cy = intrinsics_from_clip(perspective.clip_from_camera, 640, 480)
    assert (fx, fy, cx, cy) == pytest.approx((240 / math.tan(fov / 2), 240 / math.tan(fov / 2), 320, 240), rel=1e-5)
    with pytest.raises(ValueError, match="orthographic"):
        intrinsics_from_clip(Camera.orthographic(POSES[0], 1.0).clip_from_camera, 64, 64)


def test_blender_front_camera_is_our_front_camera() -> None:
    # In Blender the front view stands at -y, looks along +y, picture up is +z: columns right, up, backward, position.
    blender = torch.tensor([[1.0, 0, 0, 0], [0, 0, -1.0, -2.5], [0, 1.0, 0, 0], [0, 0, 0, 1.0]])
    torch.testing.assert_close(from_blender(blender), orbit(0.0, 0.0, 2.5), atol=1e-6, rtol=0)
