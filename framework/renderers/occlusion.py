"""How much of its surroundings a point sees: soft shadows in folds and under objects, computed once for all views.

Depth maps of the surface are drawn from many directions on a sphere; a point counts a direction as open when nothing
lies before it there (Zhukov, Iones and Kronin, "An ambient light illumination model", 1998, by depth maps).

Dimension letters: P points, D directions, R pixels of a depth map's side.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from framework.geometry.camera import homogeneous
from framework.geometry.normals import area_normals, smooth_normals
from framework.renderers.rasterizer import Rasterizer
from framework.renderers.surface import Surface

# Directions drawn together: 8 pictures of 50,000 faces take about 100 MB.
_BATCH = 8
# Faces with sides beyond this share of the object are too large for a shadow at each corner.
_COARSE = 0.06


def exposure(
    points: Tensor,
    normals: Tensor,
    occluder: Surface,
    rasterizer: Rasterizer,
    directions: int = 64,
    resolution: int = 160,
) -> Tensor:
    """Return (P,) shares in [0, 1] of the cosine-weighted hemisphere over each point that `occluder` leaves open.

    points: (P, 3) world positions, on the surface or near it. normals: (P, 3) unit. resolution: pixels of a depth map
    across the box around the surface; shadows are blurred by about one of them.
    """
    low, high = occluder.positions.amin(0), occluder.positions.amax(0)
    centre, radius = (low + high) / 2, (high - low).norm() / 2
    pixel = 2.0 / resolution
    occluders = (occluder.positions - centre) / radius
    # Points step off the surface by more than a pixel, or every slanted surface would shadow itself.
    raised = (points - centre) / radius + 1.5 * pixel * normals
    seen = torch.zeros_like(points[:, 0])
    total = torch.zeros_like(seen)
    sphere = sphere_directions(directions).to(points)
    useful = (sphere @ normals.t() > 0).any(1)
    for toward in sphere[useful].split(_BATCH):
        clip_from_world = _looking_along(-toward)
        clip = homogeneous(occluders) @ clip_from_world.transpose(1, 2)
        fragments = rasterizer.rasterize(clip, occluder.faces, (resolution, resolution))
        depth = fragments.depth.masked_fill(~fragments.mask, torch.inf)
        ndc = homogeneous(raised) @ clip_from_world.transpose(1, 2)
        weight = (toward @ normals.t()).clamp(min=0)
        seen += (weight * (ndc[..., 2] < _lookup(depth, ndc) + 0.5 * pixel)).sum(0)
        total += weight.sum(0)
    return seen / total.clamp(min=1e-6)


def with_exposure(surface: Surface, rasterizer: Rasterizer) -> Surface:
    """Return `surface` with the exposure of its vertices, or as it is when its faces are too large to carry it.

    Exposure varies within a face only linearly: on a table top of two triangles it would be a smear.
    """
    areas = area_normals(surface.positions, surface.faces).norm(dim=1) / 2
    extent = (surface.positions.amax(0) - surface.positions.amin(0)).max()
    typical_side = (areas * areas.sqrt()).sum() / areas.sum().clamp(min=1e-12)
    if typical_side > _COARSE * extent:
        return surface
    normals = smooth_normals(surface.positions, surface.faces)
    of_vertex = exposure(surface.positions, normals, surface, rasterizer)
    return replace(surface, exposure=of_vertex.index_select(0, surface.corner_vertices))


def sphere_directions(count: int) -> Tensor:
    """Return (D, 3) unit vectors spread evenly over the sphere (spherical Fibonacci lattice)."""
    number = torch.arange(count, dtype=torch.float64) + 0.5
    height = 1 - 2 * number / count
    angle = number * torch.pi * (3 - 5**0.5)
    ring = (1 - height**2).sqrt()
    return torch.stack([ring * angle.cos(), height, ring * angle.sin()], 1)


def _looking_along(forward: Tensor) -> Tensor:
    """(D, 4, 4) parallel projections of the unit ball to clip space along unit directions (D, 3)."""
    # Any vector that is not parallel serves as a helper: the axis along which the direction is shortest.
    helper = torch.nn.functional.one_hot(forward.abs().argmin(1), 3).to(forward)
    right = normalize(torch.linalg.cross(forward, helper), dim=1)
    up = torch.linalg.cross(right, forward)
    clip_from_world = torch.zeros(len(forward), 4, 4).to(forward)
    clip_from_world[:, :3, :3] = torch.stack([right, up, forward], 1)
    clip_from_world[:, 3, 3] = 1
    return clip_from_world


def _lookup(depth: Tensor, ndc: Tensor) -> Tensor:
    """(D, P) depths (D, R, R) at the pixels of NDC points (D, P, 4); infinite outside the picture."""
    count, resolution, _ = depth.shape
    column = ((ndc[..., 0] * 0.5 + 0.5) * resolution).floor().long()
    row = ((0.5 - ndc[..., 1] * 0.5) * resolution).floor().long()
    outside = (torch.minimum(column, row) < 0) | (torch.maximum(column, row) >= resolution)
    flat = row.clamp(0, resolution - 1) * resolution + column.clamp(0, resolution - 1)
    return depth.view(count, -1).gather(1, flat).masked_fill(outside, torch.inf)
