"""Labels of cameras in the published convention; their numbers are in the fixture `v1_cameras`."""

from __future__ import annotations

import torch

from framework.geometry.camera import orbit
from framework.renderers.views import canonical_cameras
from methods.craftsman.cameras import camera_labels, canonical_labels


def test_canonical_labels_are_whole_numbers_without_negative_zeros() -> None:
    labels = canonical_labels()
    assert set(labels.unique().tolist()) == {-1.0, 0.0, 1.0}
    assert not (torch.signbit(labels) & (labels == 0)).any()


def test_the_front_camera_stands_at_minus_y_and_the_right_one_at_x() -> None:
    positions = canonical_labels()[:, :3, 3]
    assert positions.tolist() == [[0, -1, 0], [1, 0, 0], [0, 1, 0], [-1, 0, 0]]


def test_labels_forget_the_distance_and_leave_the_camera_alone() -> None:
    near, far = orbit(30.0, 20.0, 1.0), orbit(30.0, 20.0, 7.0)
    before = far.clone()
    torch.testing.assert_close(camera_labels(near), camera_labels(far))
    assert torch.equal(far, before)
    torch.testing.assert_close(camera_labels(far)[:3, 3].norm(), torch.tensor(1.0))


def test_no_table_drifts() -> None:
    cameras = canonical_cameras().world_from_camera
    before = cameras.clone()
    first = camera_labels(cameras)
    for _ in range(100):
        camera_labels(cameras).mul_(2.0)
    assert torch.equal(cameras, before)
    assert torch.equal(camera_labels(cameras), first)
    assert torch.equal(canonical_labels(), canonical_labels())
