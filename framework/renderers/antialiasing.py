"""Smooth silhouettes, with gradients that move them: blending across the edges between neighbouring pixels.

Where two neighbouring pixels see different faces and a silhouette of the nearer face passes between their centres, one
of them takes a share of the other's colour: the share by which the edge reaches over the border between the two (Laine
et al., "Modular Primitives for High-Performance Differentiable Rendering", SIGGRAPH Asia 2020, section 3.6). That share
depends on where the edge lies, so losses on pictures move silhouettes, which point sampling alone never does.

All pairs of neighbours are looked at together; those whose nearer face has no silhouette edge, by far the most, are
dropped before any geometry is computed. What is left is a few values for each pixel of a silhouette.

Dimension letters: B pictures, V vertices, F faces, H rows, W columns, C channels, K pairs of pixels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from framework.renderers.rasterizer import Fragments

# An edge counts a little beyond the two centres, so that rounding never loses it; its share is cut to the pixel.
_MARGIN = 1 / 16
SHORTEST_EDGE = 1e-3
"""Gradients are those of edges that are longer by this many pixels: one of no length would move without bound."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """What lies across each edge; edge i of a face is the one opposite its corner i."""

    face: Tensor
    """(3, F) int64 face across the edge, -1 at a border. Of several, one that is another for each of them."""

    turned: Tensor
    """(3, F) bool, whether that face runs along the edge the other way, as in a mesh with one outside."""


def find_neighbours(faces: Tensor) -> Neighbours:
    """Return what lies across each edge of `faces` (F, 3) int64."""
    start, end = faces.t()[[1, 2, 0]].flatten(), faces.t()[[2, 0, 1]].flatten()
    size = int(faces.max()) + 1 if len(faces) else 1
    key, order = (torch.minimum(start, end) * size + torch.maximum(start, end)).sort(stable=True)
    place = torch.arange(len(key), device=faces.device)
    opens = torch.ones_like(key, dtype=torch.bool)
    opens[1:] = key[1:] != key[:-1]
    closes = opens.roll(-1)
    # Edges of one key stand in a row; each looks at the next of them, the last one at the first.
    first = torch.where(opens, place, 0).cummax(0)[0] if len(key) else place
    other = order[torch.where(closes, first, place + 1)]
    across = torch.where(other == order, -1, other % max(len(faces), 1))
    upwards = start < end
    face = torch.empty_like(order).index_copy_(0, order, across)
    turned = torch.empty_like(upwards).index_copy_(0, order, upwards[order] != upwards[other])
    return Neighbours(face.view(3, -1), turned.view(3, -1))


class NeighbourMemory:
    """The neighbours of the last faces asked for: sorting edges costs as much as drawing, and faces rarely change."""

    def __init__(self) -> None:
        self._last: tuple[Tensor, int, Neighbours] | None = None

    def of(self, faces: Tensor) -> Neighbours:
        """Return `find_neighbours(faces)`, from memory if it is the same unchanged tensor as last time."""
        if faces.is_inference():  # such a tensor doesn't tell whether it was changed
            return find_neighbours(faces)
        last = self._last
        if last is None or last[0] is not faces or last[1] != faces._version or last[2].face.shape[1] != len(faces):
            last = self._last = faces, faces._version, find_neighbours(faces)
        return last[2]


def silhouettes(clip_positions: Tensor, faces: Tensor, neighbours: Neighbours) -> Tensor:
    """Return (B, 3, F) bool, whether each edge is a silhouette: a border, or both faces on one side of it.

    clip_positions: (B, V, 4). Whether a face turns its front to the camera is the sign of a determinant of homogeneous
    coordinates, which needs no division by w and so holds behind the camera too.
    """
    positions = clip_positions.detach()
    a, b, c = (positions[:, corner][..., [0, 1, 3]] for corner in faces.unbind(1))
    area = (a * torch.linalg.cross(b - a, c - a)).sum(2)
    front = ~torch.signbit(area)
    across = neighbours.face.clamp(min=0)
    meets_other_side = (front[:, None] != front[:, across]) == neighbours.turned
    # A neighbour with a vertex that is not finite isn't drawn, so the edge is a border.
    return meets_other_side | (neighbours.face < 0) | ~area.isfinite()[:, across]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Neighbouring pixels between which a silhouette may lie, (K,) each; pixels are flat numbers in (B * H * W)."""

    base: Tensor
    """The pixel that sees the nearer face."""

    other: Tensor
    """The one that doesn't."""

    vertical: Tensor
    """bool, whether one lies below the other."""

    backwards: Tensor
    """bool, whether the other lies above or to the left."""

    def select(self, index: Tensor) -> "Pairs":
        """Return the pairs at `index` (S,) int64."""
        return Pairs(self.base[index], self.other[index], self.vertical[index], self.backwards[index])


def antialias(
    image: Tensor, fragments: Fragments, clip_positions: Tensor, faces: Tensor, neighbours: Neighbours
) -> Tensor:
    """Return `image` (B, H, W, C) with smooth silhouettes, see `Rasterizer.antialias`."""
    if not len(faces):
        return image.clone()
    pairs, ends = silhouette_pairs(fragments, clip_positions.detach(), faces, neighbours)
    along, across = _places(pairs, ends, clip_positions, fragments.face_index.shape)
    share = (0.5 - _crossing(along, across).clamp(0, 1)).to(image.dtype)
    colours = image.reshape(-1, image.shape[3])
    step = (colours.index_select(0, pairs.other) - colours.index_select(0, pairs.base)) * share[:, None]
    # A face that reaches over the border gives the other pixel of its own colour; one that stays behind takes.
    changed = torch.where(share < 0, pairs.other, pairs.base)
    return colours.index_add(0, changed, step).view(image.shape)


def silhouette_pairs(
    fragments: Fragments, clip_positions: Tensor, faces: Tensor, neighbours: Neighbours
) -> tuple[Pairs, Tensor]:
    """Pairs of pixels between which a silhouette passes, and (2, K) rows of its ends in a (B * V, 4) table."""
    outline = silhouettes(clip_positions, faces, neighbours)
    pairs = _candidates(fragments, outline.any(1))
    shape = fragments.face_index.shape
    face = fragments.face_index.flatten()[pairs.base]
    picture = pairs.base // max(shape[1] * shape[2], 1)
    corners = faces.t()[:, face] + picture * clip_positions.shape[1]
    along, across = _places(pairs, corners, clip_positions, shape)
    ends = torch.stack([corners.roll(-1, 0), corners.roll(-2, 0)])
    along, across = (torch.stack([place.roll(-1, 0), place.roll(-2, 0)]) for place in (along, across))
    ahead = (clip_positions.reshape(-1, 4)[:, 3] > 0)[ends].all(0)
    between = torch.signbit(across[0]) != torch.signbit(across[1])
    crossing = torch.where(ahead & between, _crossing(along, across), -torch.inf)
    farthest, edge = crossing.max(0)
    steep = ((across[1] - across[0]).abs() >= (along[1] - along[0]).abs()).gather(0, edge[None])[0]
    passes = steep & (farthest > -_MARGIN) & (farthest < 1 + _MARGIN) & outline[picture, edge, face]
    kept = passes.nonzero().squeeze(1)
    return pairs.select(kept), ends.gather(1, edge.expand(2, 1, -1))[:, 0, kept]


def _candidates(fragments: Fragments, has_outline: Tensor) -> Pairs:
    """Neighbours that see different faces, the nearer of which has a silhouette edge (`has_outline`: (B, F))."""
    face, depth = fragments.face_index, fragments.depth.detach()
    _, height, width = face.shape
    outlined = (face >= 0) & has_outline.gather(1, face.flatten(1).clamp(min=0)).view_as(face)
    place = torch.arange(face.numel(), device=face.device).view_as(face)
    found = []
    for vertical in (False, True):
        axis, size = (1, height) if vertical else (2, width)
        (here, there), (nearer, farther), (edgy, edgy_there) = (
            (values.narrow(axis, 0, size - 1), values.narrow(axis, 1, size - 1)) for values in (face, depth, outlined)
        )
        backwards = (there >= 0) & ((here < 0) | (nearer >= farther))
        chosen = (here != there) & torch.where(backwards, edgy_there, edgy)
        first, backwards = place.narrow(axis, 0, size - 1)[chosen], backwards[chosen]
        second = first + (width if vertical else 1)
        base, other = torch.where(backwards, second, first), torch.where(backwards, first, second)
        found.append((base, other, torch.full_like(backwards, vertical), backwards))
    return Pairs(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def _places(pairs: Pairs, rows: Tensor, clip_positions: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Where vertices `rows` (N, K) stand seen from the base pixel's centre, in pixels: towards the other, and across.

    Returns (N, K) twice; differentiable in `clip_positions`.
    """
    _, height, width = shape
    x, y, _, w = clip_positions.reshape(-1, 4).index_select(0, rows.flatten()).view(*rows.shape, 4).unbind(-1)
    centre_x = ((pairs.base % width).to(x.dtype) + 0.5) * (2 / width) - 1
    centre_y = 1 - ((pairs.base // width % height).to(x.dtype) + 0.5) * (2 / height)
    right = (x - centre_x * w) / w * (width / 2)
    down = (centre_y * w - y) / w * (height / 2)
    towards = torch.where(pairs.backwards, -1, 1).to(x.dtype)
    return torch.where(pairs.vertical, down, right) * towards, torch.where(pairs.vertical, right, down)


def _crossing(along: Tensor, across: Tensor) -> Tensor:
    """Where edges (2, ..., K) cross the line between the pixels' centres: 0 at the base pixel, 1 at the other.

    The gradient is that of a slightly longer edge, since edges of no height would move without bound.
    """
    step = across[1] - across[0]
    area = along[0] * step - across[0] * (along[1] - along[0])
    soft = area / (step + torch.copysign(torch.full_like(step, SHORTEST_EDGE), step))
    return (area / step).detach() + (soft - soft.detach())
