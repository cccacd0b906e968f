"""Where the cameras of stored views stand: four level ones, or the same four turned together.

`rots.npy` gives the turn in the z-up world of the tool that the published views were rendered with; here it becomes one
of the framework's world (+Y up, front +Z).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from framework.renderers.views import canonical_cameras

_Y_UP_FROM_Z_UP = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]], np.float64)


def rotated_cameras(rotation: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "4 4 4"]:
    """world_from_camera of front, right, back, left, turned by `rotation` of the z-up world (its translation is not
    read); a new array every time.
    """
    turn = _Y_UP_FROM_Z_UP @ np.asarray(rotation, np.float64) @ _Y_UP_FROM_Z_UP.T
    turn[:3, 3] = 0.0
    return turn @ canonical_cameras().world_from_camera.numpy().astype(np.float64)
