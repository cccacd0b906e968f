"""Colours of pictures brought to the vertices of a mesh, for pictures whose cameras are known.

Each view colours the vertices of the faces that it sees (`sample_views`); what several views say of a vertex is
averaged with the squared cosine between its normal and the view, and with a weight per view (`gather_views`); where
that is too little, the colours that were there before shine through (`blended`), or those of the neighbours flow in
(`completed`).

Dimension letters: B views, V vertices, F faces, E edges, K vertices that a view colours, H rows, W columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, normalize

from framework.geometry.camera import Camera, homogeneous
from framework.renderers.rasterizer import Rasterizer
from framework.renderers.surface import area_normals, smooth_normals

MOST_SWEEPS = 10_000


@dataclass(frozen=True, eq=False)
class ViewSamples:
    """What one view says of the vertices that it sees."""

    vertices: Tensor
    """(K,) int64 rows of the mesh's vertices, ascending."""

    colors: Tensor
    """(K, 3) of the picture at the vertices."""

    alpha: Tensor
    """(K,) of the picture at the vertices."""

    cosine: Tensor
    """(K,) between the vertices' normals and the camera's viewing direction: -1 faces the camera."""


@dataclass(frozen=True, eq=False)
class Gathered:
    """What all views say together; vertices that no view sees have weight 0."""

    sums: Tensor
    """(V, 3) colours times their weights."""

    weight: Tensor
    """(V,) sum of the weights."""

    def without(self, vertices: Tensor) -> "Gathered":
        """The same, as if no view had seen the `vertices` (V,) bool."""
        return Gathered(self.sums * ~vertices[:, None], self.weight * ~vertices)


def visible_faces(
    positions: Tensor, faces: Tensor, cameras: Camera, resolution: tuple[int, int], rasterizer: Rasterizer
) -> Tensor:
    """(B, F) bool: the faces that own at least one pixel of a (H, W) picture; positions (V, 3), faces (F, 3)."""
    clip = homogeneous(positions) @ cameras.clip_from_world.to(positions).transpose(1, 2)
    index = rasterizer.rasterize(clip, faces, resolution).face_index.flatten(1)
    seen = torch.zeros(len(index), len(faces) + 1, dtype=torch.bool, device=faces.device)
    return seen.scatter_(1, index + 1, True)[:, 1:]  # column 0 takes the pixels that see nothing


def sample_views(
    positions: Tensor,
    faces: Tensor,
    cameras: Camera,
    pictures: Tensor,
    rasterizer: Rasterizer,
    resolution: int | None = None,
    grazing: float = 0.05,
) -> list[ViewSamples]:
    """What each of `cameras` (B) says of the vertices of its visible faces, by its picture (B, H, W, 4) RGBA in [0, 1].

    resolution: pixels of the square in which visibility is decided (none: as the pictures). grazing: faces whose normal
    is turned towards the camera by less than this cosine colour nothing. Vertices outside the picture are left out.
    ValueError for pictures of another shape.
    """
    if pictures.ndim != 4 or pictures.shape[0] != len(cameras) or pictures.shape[3] != 4:
        expected = f"({len(cameras)}, H, W, 4), one RGBA picture per camera"
        raise ValueError(f"sample_views: pictures have shape {tuple(pictures.shape)}, expected {expected}")
    size = (resolution, resolution) if resolution else (pictures.shape[1], pictures.shape[2])
    towards = normalize(area_normals(positions, faces), dim=1) @ cameras.forward.to(positions).t()
    kept = visible_faces(positions, faces, cameras, size, rasterizer) & (towards.t() < -grazing)
    normals = smooth_normals(positions, faces)
    return [
        _sampled(positions, normals, cameras[view], faces[kept[view]].unique(), pictures[view])
        for view in range(len(cameras))
    ]


def _sampled(positions: Tensor, normals: Tensor, camera: Camera, vertices: Tensor, picture: Tensor) -> ViewSamples:
    ndc = camera.to(positions.device).project(positions[vertices])
    inside = (ndc[:, :2].abs() <= 1).all(1)
    vertices, ndc = vertices[inside], ndc[inside]
    color, alpha = sample_picture(picture, ndc).split((3, 1), 1)
    return ViewSamples(vertices, color, alpha[:, 0], normals[vertices] @ camera.forward.to(normals))


def sample_picture(picture: Tensor, ndc: Tensor) -> Tensor:
    """(P, C) bilinear values in [0, 1] of a picture (H, W, C) at NDC positions (P, 2 or more), mirrored at its rim."""
    grid = torch.stack([ndc[:, 0], -ndc[:, 1]], 1)[None, None]
    channels = picture.to(ndc).permute(2, 0, 1)[None]
    return grid_sample(channels, grid, padding_mode="reflection", align_corners=False)[0, :, 0].t().clamp(0, 1)


def gather_views(
    samples: Sequence[ViewSamples], weights: Sequence[float], vertices: int, power: float = 2.0
) -> Gathered:
    """The views' colours of `vertices` vertices with weight = view weight * |cosine| ** power * alpha."""
    if len(weights) != len(samples):
        raise ValueError(f"gather_views: {len(weights)} weights for {len(samples)} views")
    like = samples[0].colors
    sums, total = like.new_zeros(vertices, 3), like.new_zeros(vertices)
    for view, own in zip(samples, weights, strict=True):
        weight = own * view.cosine.abs() ** power * view.alpha
        total.index_add_(0, view.vertices, weight)
        sums.index_add_(0, view.vertices, view.colors * weight[:, None])
    return Gathered(sums, total)


def blended(
    gathered: Gathered, initial: Tensor, threshold: float, below: Literal["smooth", "original"] = "smooth"
) -> Tensor:
    """(V, 3) colours: those of the views where their weight is above `threshold`.

    Below it the `initial` colours (V, 3) fill up the missing weight ("smooth") or stand alone ("original").
    """
    weight = gathered.weight[:, None]
    enough = weight > threshold
    mean = gathered.sums / torch.where(enough, weight, 1.0)
    if below == "original":
        return torch.where(enough, mean, initial)
    return torch.where(enough, mean, (initial * (threshold - weight) + gathered.sums) / threshold)


def completed(colors: Tensor, known: Tensor, faces: Tensor) -> Tensor:
    """(V, 3) `colors` with those of all vertices that are not `known` (V,) bool made from their neighbours'.

    Sweep by sweep each of them becomes the mean of its neighbours that have a colour. After the sweep that colours the
    last one, as many sweeps follow again, which smooth the seams. Vertices without a way to a known one keep theirs.
    """
    target, source = _directed_edges(faces, ~known)
    colors, has_color = colors.clone(), known.clone()
    growing = 0
    while growing < MOST_SWEEPS:
        counted = int(has_color.sum())
        colors, has_color = _swept(colors, has_color, target, source)
        if int(has_color.sum()) == counted:
            break
        growing += 1
    for _ in range(min(max(1, growing), MOST_SWEEPS) - 1):
        colors, has_color = _swept(colors, has_color, target, source)
    return colors


def _swept(colors: Tensor, has_color: Tensor, target: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
    """One Jacobi sweep over the directed edges source -> target (E,)."""
    gives = has_color[source].to(colors)
    count = torch.zeros_like(colors[:, 0]).index_add_(0, target, gives)
    sums = torch.zeros_like(colors).index_add_(0, target, colors[source] * gives[:, None])
    reached = count > 0
    mean = sums / count.clamp(min=1)[:, None]
    return torch.where(reached[:, None], mean, colors), has_color | reached


def grown(vertices: Tensor, faces: Tensor, rings: int) -> Tensor:
    """`vertices` (V,) bool together with everything that lies within `rings` edges of them."""
    target, source = _directed_edges(faces, torch.ones_like(vertices))
    for _ in range(rings):
        reached = torch.zeros_like(vertices, dtype=torch.int32)
        vertices = vertices | (reached.index_add_(0, target, vertices[source].int()) > 0)
    return vertices


def _directed_edges(faces: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Target and source (E,) of each edge of the mesh in both directions, once, for targets that are `wanted` (V,)."""
    pairs = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    pairs = torch.cat([pairs, pairs.flip(1)])
    pairs = pairs[wanted[pairs[:, 0]]].unique(dim=0)
    target, source = pairs[pairs[:, 0] != pairs[:, 1]].t()
    return target, source
