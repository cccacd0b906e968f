"""Points on surfaces and evenly spread subsets of point clouds.

Legend: P samples, F faces; B clouds of N points, K chosen of each.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from framework.geometry.mesh import Mesh, MeshError


def sample_surface(
    mesh: Mesh, count: int, seed: int
) -> tuple[Float[np.ndarray, "P 3"], Float[np.ndarray, "P 3"], Int[np.ndarray, " P"]]:
    """`count` points uniform by area, their unit face normals (both float32) and their face indices (int64).

    The same mesh, count and seed give the same points. MeshError when the surface has no area.
    """
    areas = mesh.face_areas
    if not areas.sum() > 0.0:
        raise MeshError("sample_surface: the mesh has no area, all its faces are degenerate")
    random = np.random.default_rng(seed)
    cumulative = np.cumsum(areas)
    position = random.random(count) * cumulative[-1]
    faces = np.searchsorted(cumulative, position, side="right").clip(max=len(areas) - 1)
    # Uniform barycentric coordinates (Osada et al. 2002, "Shape distributions", section 4.2).
    root, second = np.sqrt(random.random(count)), random.random(count)
    weights = np.stack([1.0 - root, root * (1.0 - second), root * second], axis=1)
    points = np.einsum("pc,pcx->px", weights, mesh.triangles[faces])
    return points.astype(np.float32), mesh.face_normals()[faces], faces.astype(np.int64)


def farthest_count(total: int, wanted: int) -> int:
    """How many of `total` points farthest-point sampling keeps for the ratio wanted / total, both rounded to float32.

    Usually `wanted`, sometimes one more: the released shape autoencoders choose by ratio, so their latent counts
    follow this rule.
    """
    return math.ceil(np.float32(total) * np.float32(wanted / total))


@torch.no_grad()
def farthest_points(
    points: Float[Tensor, "B N 3"],
    count: int,
    start: int | Int[Tensor, " B"] | Literal["random"] = 0,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "B K"]:
    """Indices of `count` points per cloud, each the farthest from those before it (Gonzalez 1985), in that order.

    `start` is the first index, one per cloud, or "random" (drawn from `generator`). Squared float32 distances decide
    and the lowest index wins a tie, so the choice is reproducible.
    """
    clouds, total = points.shape[:2]
    if not 1 <= count <= total:
        raise ValueError(f"farthest_points: count {count} is not in 1..{total}, the points of a cloud")
    chosen = torch.empty(clouds, count, dtype=torch.int64, device=points.device)
    chosen[:, 0] = _first_points(points, start, generator)
    cloud, xyz = torch.arange(clouds, device=points.device), points.detach().float()
    nearest = torch.full((clouds, total), torch.inf, device=points.device)
    for k in range(1, count):
        offsets = xyz - xyz[cloud, chosen[:, k - 1], None]
        nearest = torch.minimum(nearest, offsets.square().sum(dim=-1))
        chosen[:, k] = nearest.argmax(dim=1)
    return chosen


def _first_points(
    points: Tensor, start: int | Tensor | Literal["random"], generator: torch.Generator | None
) -> Int[Tensor, " B"]:
    clouds, total = points.shape[:2]
    if isinstance(start, str):
        device = points.device if generator is None else generator.device
        return torch.randint(total, (clouds,), device=device, generator=generator).to(points.device)
    first = torch.as_tensor(start, device=points.device)
    if first.is_floating_point() or bool(((first < 0) | (first >= total)).any()):
        raise ValueError(f"farthest_points: start {start} is not an index of the {total} points of a cloud")
    return first.expand(clouds)
