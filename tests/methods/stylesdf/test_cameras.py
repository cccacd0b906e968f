"""Cameras on the unit sphere: rays, lenses, random angles, paths of videos."""

from __future__ import annotations

from math import pi

import pytest
import torch
from torch import Tensor

from methods.stylesdf.cameras import FIXED_VIEWS, ViewCameras, angles_from, cameras_at, sweep_angles, video_angles
from methods.stylesdf.config import CameraConfig

ANGLES = torch.tensor([[0.0, 0.0], [0.3, -0.1], [-1.2, 0.7]])


def test_the_front_camera_stands_at_plus_z_and_looks_at_the_origin() -> None:
    pose = cameras_at(ANGLES, CameraConfig()).world_from_camera
    torch.testing.assert_close(pose[0], torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]]))
    torch.testing.assert_close(pose[..., 3], pose[..., 2])
    rotation = pose[..., :3]
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).expand(3, 3, 3), atol=1e-6, rtol=0)


@pytest.mark.parametrize("static", [False, True])
def test_rays_go_through_the_pixels_that_the_frameworks_camera_sees(static: bool) -> None:
    cameras = cameras_at(ANGLES, CameraConfig(), torch.tensor([6.0, 4.5, 9.0]))
    rays = cameras.rays(5, static)
    points = rays.origins + 0.9 * rays.directions
    seen = cameras.to_camera().project(points)[..., :2]
    centres = (torch.arange(5) + 0.5) / 2.5 - 1
    rows, columns = torch.meshgrid(-centres, centres, indexing="ij")
    expected = torch.stack([columns, rows], dim=-1).reshape(1, 25, 2).expand(3, -1, -1)
    torch.testing.assert_close(seen, expected, atol=2e-5, rtol=0)
    along = (rays.directions * -cameras.world_from_camera[:, None, :, 2]).sum(dim=-1)
    torch.testing.assert_close(along, torch.ones_like(along))
    turn = cameras.world_from_camera[:, :, :3] if static else torch.eye(3).expand(3, 3, 3)
    unit = torch.nn.functional.normalize(rays.directions, dim=-1)
    torch.testing.assert_close(rays.view_directions @ turn.mT, unit, atol=1e-6, rtol=0)


def test_cameras_are_cut_and_carry_gradients() -> None:
    angles = ANGLES.clone().requires_grad_()
    cameras = cameras_at(angles, CameraConfig(dist_radius=0.2))
    assert len(cameras[1:]) == 2 and cameras[1:].near == 0.8 and cameras.far == 1.2
    torch.testing.assert_close(cameras[1:].angles, ANGLES[1:])
    cameras.rays(3).directions.square().sum().backward()
    assert angles.grad is not None and angles.grad.isfinite().all()
    assert cameras.to("cpu").angles is not None


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"expected \(B, 2\) and \(B,\)"):
        ViewCameras(torch.zeros(3, 2), torch.zeros(2), 0.12)
    with pytest.raises(ValueError, match="0 pixels"):
        cameras_at(ANGLES, CameraConfig()).rays(0)


def test_random_angles_spread_as_the_options_say() -> None:
    config = CameraConfig(azim=0.4, elev=0.1)
    normal = angles_from(torch.randn(4000, 2, generator=torch.Generator().manual_seed(0)), config)
    torch.testing.assert_close(normal.std(dim=0), torch.tensor([0.4, 0.1]), atol=0.02, rtol=0)
    numbers = torch.tensor([[0.0, 0.5], [0.5, 0.0], [1.0, 1.0]])
    even = angles_from(numbers, CameraConfig(azim=0.4, elev=0.1, uniform=True))
    torch.testing.assert_close(even, torch.tensor([[-0.4, 0.0], [0.0, -0.1], [0.4, 0.1]]))


def test_fixed_views_and_sheets() -> None:
    assert len(FIXED_VIEWS) == 13 and FIXED_VIEWS[0] == (0.0, 0.0) and len(set(FIXED_VIEWS)) == 13
    sheet = sweep_angles(torch.tensor([0.0, 1.0]), CameraConfig())
    assert sheet.shape == (16, 2)
    torch.testing.assert_close(sheet[[0, 7, 8], 0], torch.tensor([-0.3, 0.3, -0.3]))
    torch.testing.assert_close(sheet[[0, 7, 8], 1], torch.tensor([-0.15, -0.15, 0.15]))


def test_videos_end_where_they_begin() -> None:
    def ends(path: Tensor) -> None:
        torch.testing.assert_close(path[0], path[-1], atol=1e-6, rtol=0)

    ellipse, to_and_fro = video_angles(9, CameraConfig()), video_angles(9, CameraConfig(), azim_video=True)
    ends(ellipse)
    ends(to_and_fro)
    torch.testing.assert_close(ellipse[0], torch.tensor([0.45, 0.0]))
    torch.testing.assert_close(ellipse[2], torch.tensor([0.0, 0.225]), atol=1e-6, rtol=0)
    assert not to_and_fro[:, 1].any()
    upper = video_angles(9, CameraConfig(uniform=True))
    assert float(upper[:, 1].min()) > -1e-6 and float(upper[:, 0].max()) == pytest.approx(0.3)
    assert float(video_angles(5, CameraConfig(azim=pi / 4))[2, 0]) == pytest.approx(-1.5 * pi / 4)
