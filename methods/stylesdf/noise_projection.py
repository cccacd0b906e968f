"""Noise that is fixed to the surface instead of the screen: each vertex has a value, drawn from the current camera.

Dimension letters: V vertices, F faces, L layers of the decoder, r side of a layer, C values of a vertex, K pairs of a
pixel and a face near it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from framework.geometry.camera import Camera, homogeneous
from framework.geometry.cleaning import subdivided
from framework.geometry.mesh import Mesh
from framework.renderers.rasterizer import Rasterizer
from methods.stylesdf.cameras import ViewCameras

LAYERS_DEEP = 17
"""Faces that are mixed in a pixel."""
REACH = 1e-3
"""How far outside of a face its light reaches, where the picture is 2 wide."""
SOFTNESS = 1e-4
"""Of outlines and of depth: PyTorch3D's sigma and gamma."""
DEPTH_RANGE = 99.99
"""Depths count in parts of this."""
FLAT = 1e-8
"""Faces whose area on the screen is not above this are not drawn."""
PAIRS_AT_ONCE = 2_000_000

Blending = Literal["nearest", "exact"]


class ProjectedNoise:
    """The decoder's noise for one identity: its maps, where the surface is seen replaced by the surface's noise.

    mesh: what the noise is fixed to. maps: L noise maps (1, 1, r, r). seed: of the vertices' values. Meshes and values
    are made once for all cameras.
    """

    def __init__(
        self,
        mesh: Mesh,
        maps: Sequence[Tensor],
        seed: int,
        rasterizer: Rasterizer,
        blending: Blending = "nearest",
        official_subdivision: bool = False,
    ) -> None:
        self.maps, self.rasterizer, self.blending = list(maps), rasterizer, blending
        device = self.maps[0].device
        self.meshes = [(torch.from_numpy(mesh.vertices).to(device), torch.from_numpy(mesh.faces).to(device))]
        self.levels = {side: subdivisions(side, official_subdivision) for side in map(_side, self.maps)}
        while len(self.meshes) <= max(self.levels.values()):
            self.meshes.append(subdivided(*self.meshes[-1]))
        self.values = [self._values(layer, side, seed).to(device) for layer, side in enumerate(map(_side, self.maps))]

    def _values(self, layer: int, side: int, seed: int) -> Tensor:
        """(V, 1) standard normal numbers that follow from the seed and the layer."""
        positions, _ = self.meshes[self.levels[side]]
        drawn = np.random.default_rng((seed, layer)).standard_normal((len(positions), 1), dtype=np.float32)
        return torch.from_numpy(drawn)

    def __call__(self, camera: ViewCameras) -> list[Tensor]:
        """L tensors (1, 1, r, r) for one camera."""
        lens, found = camera.to_camera(), list(self.maps)
        for side, level in self.levels.items():
            layers = [layer for layer, given in enumerate(self.maps) if _side(given) == side]
            values = torch.cat([self.values[layer] for layer in layers], dim=1)
            drawn, covered = project(*self.meshes[level], values, lens, side, self.rasterizer, self.blending)
            for channel, layer in enumerate(layers):
                found[layer] = torch.where(covered, drawn[..., channel], self.maps[layer][0, 0])[None, None]
        return found


def subdivisions(side: int, official: bool = False) -> int:
    """How often the mesh is subdivided for noise of `side` pixels; the original took the wrong number for 512."""
    if side <= 128:
        return 0
    if side <= 256:
        return 1
    return 3 if official or side > 512 else 2


def project(
    positions: Tensor,
    faces: Tensor,
    values: Tensor,
    camera: Camera,
    side: int,
    rasterizer: Rasterizer,
    blending: Blending = "nearest",
) -> tuple[Tensor, Tensor]:
    """(side, side, C) values (V, C) of a mesh as one camera (1) sees them, and (side, side) bool where it sees any."""
    clip = homogeneous(positions)[None] @ camera.clip_from_world.transpose(1, 2)
    if blending == "exact":
        return exact_blend(clip[0], faces, values, side)
    fragments = rasterizer.rasterize(clip, faces, (side, side))
    return rasterizer.interpolate(values[None], fragments, faces)[0], fragments.mask[0]


def _side(noise: Tensor) -> int:
    return noise.shape[-1]


class _Pairs(NamedTuple):
    """Pixels and the faces that cover them, or nearly do."""

    pixel: Tensor
    """(K,) row * side + column."""
    face: Tensor
    """(K,)"""
    depth: Tensor
    """(K,) along the optical axis."""
    distance: Tensor
    """(K,) squared distance of the pixel's centre to the face's outline, negative inside."""
    weights: Tensor
    """(K, 3) of the corners."""


def exact_blend(clip: Tensor, faces: Tensor, values: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """(side, side, C) and (side, side): the published mix of the nearest faces around each pixel (Liu et al. 2019).

    A face counts by how far inside of it the pixel lies, and by how little it is behind the nearest one. clip: (V, 4)
    positions of a perspective camera, whose last numbers are the depths.
    """
    pairs = _nearest_of(_Pairs(*map(torch.cat, zip(*_pairs(clip, faces, side), strict=True))))
    nearest = clip.new_full((side * side,), torch.inf).scatter_reduce(0, pairs.pixel, pairs.depth, "amin")
    behind = pairs.depth - nearest[pairs.pixel]
    weight = torch.sigmoid(-pairs.distance / SOFTNESS) * torch.exp(-behind / (DEPTH_RANGE * SOFTNESS))
    value = (pairs.weights[..., None] * values[faces[pairs.face]]).sum(1)
    total = clip.new_zeros(side * side).index_add(0, pairs.pixel, weight)
    mixed = value.new_zeros(side * side, values.shape[1]).index_add(0, pairs.pixel, weight[:, None] * value)
    covered = nearest.isfinite()
    mixed = torch.where(covered[:, None], mixed / total.clamp(min=1e-30)[:, None], 0.0)
    return mixed.view(side, side, -1), covered.view(side, side)


def _nearest_of(pairs: _Pairs) -> _Pairs:
    """The pairs with the nearest faces of each pixel."""
    order = pairs.depth.argsort(stable=True)
    order = order[pairs.pixel[order].argsort(stable=True)]
    pixel = pairs.pixel[order]
    counts = torch.bincount(pixel)
    rank = torch.arange(len(pixel), device=pixel.device) - (counts.cumsum(0) - counts)[pixel]
    return _Pairs(*(column[order[rank < LAYERS_DEEP]] for column in pairs))


def _pairs(clip: Tensor, faces: Tensor, side: int) -> Iterator[_Pairs]:
    """All pairs, some faces at a time; at least one part, which may be empty."""
    screen, depth = clip[:, :2] / clip[:, 3:], clip[:, 3]
    corners = screen[faces]
    low, high = corners.amin(1) - REACH, corners.amax(1) + REACH
    # Pixel centres in steps of a pixel: columns to the right, rows downwards.
    first = torch.stack([low[:, 0], -high[:, 1]], 1).add(1.0).mul(0.5 * side).sub(0.5).ceil().clamp(0, side).long()
    last = torch.stack([high[:, 0], -low[:, 1]], 1).add(1.0).mul(0.5 * side).sub(0.5).floor().clamp(-1, side - 1).long()
    spans = (last - first + 1).clamp(min=0)
    drawn = (_area(corners).abs() > FLAT) & (depth[faces] > 0).all(1)
    counts = torch.where(drawn, spans.prod(1), 0)
    ends = counts.cumsum(0)
    start = 0
    while start < len(faces):
        done = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(torch.searchsorted(ends, done + PAIRS_AT_ONCE, right=True)))
        rows = torch.arange(start, min(stop, len(faces)), device=faces.device)
        face = rows.repeat_interleave(counts[rows])
        place = torch.arange(len(face), device=faces.device) - (ends[face] - counts[face] - done)
        column, row = first[face, 0] + place % spans[face, 0], first[face, 1] + place // spans[face, 0]
        yield _near(corners[face], depth[faces[face]], face, column, row, side)
        start = stop


def _near(corners: Tensor, depth: Tensor, face: Tensor, column: Tensor, row: Tensor, side: int) -> _Pairs:
    """Of candidates (their corners (K, 3, 2), depths (K, 3)) those whose pixel is in the face or close to it."""
    x, y = (column + 0.5) * (2.0 / side) - 1.0, 1.0 - (row + 0.5) * (2.0 / side)
    point = torch.stack([x, y], dim=1)
    parts = torch.stack([_area(torch.stack([point, corners[:, i - 2], corners[:, i - 1]], 1)) for i in range(3)], 1)
    flat = parts / _area(corners)[:, None]
    inside = (flat > 0).all(1)
    distance = torch.stack([_to_segment(point, corners[:, i - 1], corners[:, i]) for i in range(3)]).amin(0)
    shares = flat / depth
    shares = (shares / shares.sum(1, keepdim=True)).clamp(min=0)
    shares = shares / shares.sum(1, keepdim=True).clamp(min=1e-5)
    signed = torch.where(inside, -distance, distance)
    found = _Pairs(row * side + column, face, (shares * depth).sum(1), signed, shares)
    kept = inside | (distance < REACH**2)
    return _Pairs(*(values[kept] for values in found))


def _area(corners: Tensor) -> Tensor:
    """(K,) twice the signed areas of triangles (K, 3, 2)."""
    one, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]


def _to_segment(point: Tensor, begin: Tensor, end: Tensor) -> Tensor:
    """(K,) squared distances of points (K, 2) to segments."""
    along = end - begin
    share = (((point - begin) * along).sum(1) / (along**2).sum(1).clamp(min=1e-16)).clamp(0.0, 1.0)
    return ((begin + share[:, None] * along - point) ** 2).sum(1)
