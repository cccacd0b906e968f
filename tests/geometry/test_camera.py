"""Cameras against the corners of a known cube and against hand-made matrices."""

import math

import pytest
import torch

from framework.geometry.camera import Camera, homogeneous, look_at, orbit

CUBE = torch.tensor([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])


def test_front_camera_sees_the_front_face_first() -> None:
    camera = Camera.orthographic(orbit(0.0, 0.0, 3.0), half_extent=1.0)
    ndc = camera.project(CUBE)
    torch.testing.assert_close(ndc[:, :2], CUBE[:, :2])  # +X right, +Y up in the picture
    assert ndc[CUBE[:, 2] > 0, 2].max() < ndc[CUBE[:, 2] < 0, 2].min()  # +Z is nearer


def test_right_camera_stands_at_plus_x_and_sees_the_front_at_its_left() -> None:
    camera = Camera.orthographic(orbit(90.0, 0.0, 3.0), half_extent=1.0)
    torch.testing.assert_close(camera.origins, torch.tensor([3.0, 0.0, 0.0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(camera.forward, torch.tensor([-1.0, 0.0, 0.0]), atol=1e-6, rtol=0)
    front = camera.project(torch.tensor([[0.0, 0.0, 1.0]]))
    torch.testing.assert_close(front[0, :2], torch.tensor([-1.0, 0.0]), atol=1e-6, rtol=0)


def test_elevation_lifts_the_camera_and_straight_up_is_defined() -> None:
    poses = orbit([0.0, 0.0], [30.0, 90.0], 2.0)
    camera = Camera.orthographic(poses, 1.0)
    torch.testing.assert_close(camera.origins[0], torch.tensor([0.0, 1.0, math.sqrt(3.0)]))
    torch.testing.assert_close(camera.forward[1], torch.tensor([0.0, -1.0, 0.0]), atol=1e-6, rtol=0)
    identity = poses[:, :3, :3] @ poses[:, :3, :3].transpose(1, 2)
    torch.testing.assert_close(identity, torch.eye(3).expand(2, 3, 3))
    torch.testing.assert_close(torch.linalg.det(poses), torch.ones(2))  # right-handed


def test_orbit_equals_look_at() -> None:
    azimuth = torch.linspace(-170, 170, 9)
    pose = orbit(azimuth, 25.0, 2.5)
    torch.testing.assert_close(look_at(pose[:, :3, 3]), pose, atol=1e-6, rtol=0)


@pytest.mark.parametrize("eye", [(0.0, 2.0, 0.0), (0.0, 0.0, 0.0)])
def test_look_at_refuses_an_undefined_view(eye: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="look_at"):
        look_at(eye)


def test_perspective_has_its_field_of_view_and_depth_range() -> None:
    fov, near, far = math.radians(40.0), 0.5, 7.0
    camera = Camera.perspective(orbit(0.0, 0.0, 3.0), fov, aspect=2.0, near=near, far=far)
    depth = 2.0
    top = depth * math.tan(fov / 2)
    points = torch.tensor([[0.0, top, 3.0 - depth], [2 * top, 0.0, 3.0 - depth], [0, 0, 3.0 - near], [0, 0, 3.0 - far]])
    expected = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    ndc = camera.project(points)
    torch.testing.assert_close(ndc[:, :2], expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(ndc[2:, 2], torch.tensor([-1.0, 1.0]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["orthographic", "perspective"])
def test_rays_pass_through_their_pixels(kind: str) -> None:
    poses = orbit([10.0, 200.0], [20.0, -35.0], 3.0)
    camera = Camera.orthographic(poses, 1.2) if kind == "orthographic" else Camera.perspective(poses, 0.8, aspect=1.5)
    height, width = 4, 6
    origins, directions = camera.rays(height, width)
    assert origins.shape == directions.shape == (2, height, width, 3)
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(2, height, width))
    ndc = camera.project((origins + 2.7 * directions).flatten(1, 2)).unflatten(1, (height, width))
    columns = (torch.arange(width) + 0.5) / width * 2 - 1
    rows = 1 - (torch.arange(height) + 0.5) / height * 2
    torch.testing.assert_close(ndc[..., 0], columns.expand(2, height, width), atol=2e-5, rtol=0)
    torch.testing.assert_close(ndc[..., 1], rows[:, None].expand(2, height, width), atol=2e-5, rtol=0)
    on_plane = torch.einsum("bhwi,bi->bhw", origins - camera.origins[:, None, None], camera.forward)
    torch.testing.assert_close(on_plane, torch.zeros_like(on_plane), atol=2e-6, rtol=0)
    if kind == "perspective":
        torch.testing.assert_close(origins, camera.origins[:, None, None].expand_as(origins), atol=2e-6, rtol=0)


def test_matrices_compose_and_invert() -> None:
    camera = Camera.perspective(orbit([0.0, 120.0], 15.0, 2.0), 0.9)
    clip = homogeneous(CUBE) @ camera.clip_from_world.transpose(1, 2)
    torch.testing.assert_close(clip[..., :3] / clip[..., 3:], camera.project(CUBE))
    torch.testing.assert_close(camera.camera_from_world @ camera.world_from_camera, torch.eye(4).expand(2, 4, 4))


def test_batches_are_indexed_and_converted() -> None:
    cameras = Camera.orthographic(orbit([0.0, 90.0, 180.0], 0.0, 2.0), 1.0)
    assert len(cameras) == 3
    torch.testing.assert_close(cameras[1].world_from_camera, cameras.world_from_camera[1])
    assert len(cameras[1:]) == 2
    assert cameras.to(torch.float64).clip_from_world.dtype == torch.float64
    with pytest.raises(TypeError, match="batch axis"):
        len(cameras[0])


def test_wrong_arguments_are_named() -> None:
    pose = orbit(0.0, 0.0, 2.0)
    with pytest.raises(ValueError, match="near"):
        Camera.perspective(pose, 0.5, near=0.0)
    with pytest.raises(ValueError, match="half_extent"):
        Camera.orthographic(pose, -1.0)
    with pytest.raises(ValueError, match="fov_y_radians"):
        Camera.perspective(pose, 40.0)
    with pytest.raises(ValueError, match=r"world_from_camera.*\(\.\.\., 4, 4\)"):
        Camera(torch.eye(3), torch.eye(4))
