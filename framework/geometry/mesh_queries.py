"""Distances to a mesh that is asked many times, on the CPU or the GPU, with gradients: a bounding-volume tree by warp.

`framework.geometry.occupancy` answers the same questions for numpy arrays with libigl; on a GPU, or where distances are
part of a loss, this is the way.

Dimension letters: P points, V vertices, F faces.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from framework.geometry.mesh import Mesh
from framework.optional import require_warp

_FAR = 1e6  # how far to look for the surface, in sizes of the mesh


class MeshQueries:
    """A mesh on one device, to which points on the same device are asked. Needs the extra 'warp' (MissingExtra)."""

    def __init__(self, mesh: Mesh, device: torch.device | str = "cpu") -> None:
        self._warp: Any = require_warp("MeshQueries")
        self.device = torch.device(device)
        self._vertices = torch.from_numpy(mesh.vertices).to(self.device)
        self._faces = torch.from_numpy(mesh.faces.astype(np.int32).reshape(-1)).to(self.device)
        self._reach = _FAR * float((mesh.bounds[1] - mesh.bounds[0]).max())
        points = self._warp.from_torch(self._vertices, dtype=self._warp.vec3)
        faces = self._warp.from_torch(self._faces)
        self._mesh = self._warp.Mesh(points, faces, support_winding_number=True)

    def signed_distance(self, points: Float[Tensor, "P 3"]) -> Float[Tensor, " P"]:
        """Distance of points on the mesh's device to its surface, float32, negative where it winds around them.

        Differentiable in the points (not on the surface itself).
        """
        closest, side = self._closest(points.detach())
        return side * (points.float() - closest).norm(dim=1)

    def inside(self, points: Float[Tensor, "P 3"]) -> Tensor:
        """(P,) bool: whether the winding number around the points is above one half."""
        return self._closest(points.detach())[1] < 0

    def _closest(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest point of the surface (P, 3), and 1 outside, -1 inside (P,)."""
        if points.ndim != 2 or points.shape[1] != 3 or not bool(points.isfinite().all()):
            raise ValueError(f"points: expected finite values of shape (P, 3), got shape {tuple(points.shape)}")
        asked = points.to(self.device, torch.float32).contiguous()
        closest, side = torch.empty_like(asked), torch.empty_like(asked[:, 0])
        if len(asked):
            warp = self._warp
            arrays = [warp.from_torch(asked, dtype=warp.vec3), warp.from_torch(closest, dtype=warp.vec3)]
            inputs = [self._mesh.id, arrays[0], self._reach, arrays[1], warp.from_torch(side)]
            warp.launch(_kernel(), dim=len(asked), inputs=inputs, device=warp.device_from_torch(self.device))
        return closest, side


@cache
def _kernel() -> Any:
    """The query of one point, compiled at its first launch and kept in warp's cache."""
    wp: Any = require_warp("MeshQueries")

    def nearest(mesh, points, reach, closest, side):  # type: ignore[no-untyped-def]
        row = wp.tid()
        hit = wp.mesh_query_point_sign_winding_number(mesh, points[row], reach)
        closest[row] = wp.mesh_eval_position(mesh, hit.face, hit.u, hit.v)
        side[row] = hit.sign

    vectors, numbers = wp.array(dtype=wp.vec3), wp.array(dtype=float)
    nearest.__annotations__ = {
        "mesh": wp.uint64,
        "points": vectors,
        "reach": float,
        "closest": vectors,
        "side": numbers,
    }
    return wp.kernel(nearest)
