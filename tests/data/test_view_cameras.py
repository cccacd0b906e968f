"""Cameras of stored views: turned copies, never the table itself."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from framework.data.view_cameras import rotated_cameras
from framework.renderers.views import canonical_cameras


def test_cameras_are_not_turned_in_place() -> None:
    """The original's table drifts, since every item turns it further."""
    before = canonical_cameras().world_from_camera.numpy().copy()
    rotation = np.eye(4)
    rotation[:3, :3] = Rotation.from_euler("xyz", [0.3, -0.2, 0.5]).as_matrix()
    turned = [rotated_cameras(rotation) for _ in range(100)]
    np.testing.assert_array_equal(turned[0], turned[-1])
    assert np.abs(turned[0] - before).max() > 0.1
    np.testing.assert_array_equal(canonical_cameras().world_from_camera.numpy(), before)
    np.testing.assert_allclose(rotated_cameras(np.eye(4)), before, atol=1e-7)
