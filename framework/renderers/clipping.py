"""Triangles on the screen: projection to pixels, and clipping of those that cross the near plane.

A triangle with a corner behind the near plane is cut there (Sutherland and Hodgman, CACM 1974), because such a corner
has no meaningful place on the screen. The other planes need no cutting: spans are limited to the picture, and pixels
beyond the far plane are dropped one by one.

Dimension letters: B pictures, V vertices, F faces, T triangles of all pictures, K triangles that cross the near plane.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Triangles:
    """Projected triangles of all pictures, one column each."""

    x: Tensor
    """(3, T) float32 corner columns in pixels; the centre of the left-most pixel is 0.5."""

    y: Tensor
    """(3, T) float32 corner rows in pixels, growing downwards."""

    depth: Tensor
    """(3, T) float32 corner depths: 0 at the near plane, 1 at the far plane."""

    face: Tensor
    """(T,) int64 number of the face that the triangle is (a piece of)."""

    picture_row: Tensor
    """(T,) int64 number of the first row of the triangle's picture, when all pictures are stacked vertically."""

    def select(self, index: Tensor) -> "Triangles":
        """Return the triangles at `index` (S,) int64."""
        x, y, depth = (values.index_select(1, index) for values in (self.x, self.y, self.depth))
        return Triangles(x, y, depth, self.face.index_select(0, index), self.picture_row.index_select(0, index))


def clip_triangles(clip_positions: Tensor, faces: Tensor, resolution: tuple[int, int]) -> Triangles:
    """Project `faces` (F, 3) of every picture of `clip_positions` (B, V, 4) to pixels, cut at the near plane.

    Faces behind the near plane or with a corner that is not finite are left out. No gradient.
    """
    pictures, vertices, _ = clip_positions.shape
    positions = clip_positions.detach().reshape(-1, 4).float()
    offset = torch.arange(pictures, device=faces.device) * vertices
    corners = (faces.t()[:, None, :] + offset[:, None]).reshape(3, -1)
    source = torch.arange(corners.shape[1], device=faces.device)
    # A corner that is not finite counts as NaN, which is neither before nor behind the plane: its face is dropped.
    ahead = torch.where(positions.isfinite().all(1), positions[:, 2] + positions[:, 3], torch.nan)
    before, behind = ahead > 0, ahead <= 0
    if not bool(before.all()):
        positions, corners, source = _cut(positions, corners, ahead, before, behind)
    return _project(positions, corners, source, len(faces), resolution)


def _project(positions: Tensor, corners: Tensor, source: Tensor, faces: int, resolution: tuple[int, int]) -> Triangles:
    """Divide by w; `corners` (3, T) index `positions` (N, 4), `source` (T,) counts faces through all pictures."""
    height, width = resolution
    x, y, z, w = positions.unbind(1)
    screen = (x / w * 0.5 + 0.5) * width, (0.5 - y / w * 0.5) * height, z / w * 0.5 + 0.5
    x, y, depth = (values.index_select(0, corners.reshape(-1)).view(3, -1) for values in screen)
    return Triangles(
        x=x,
        y=y,
        depth=depth,
        face=source % faces,
        picture_row=source // faces * height,
    )


def _cut(
    positions: Tensor, corners: Tensor, ahead: Tensor, before: Tensor, behind: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Drop triangles behind the near plane and replace those that cross it by one or two pieces.

    Returns (N + 2K, 4) positions, (3, T') corners and (T',) numbers of the triangles they come from.
    """
    inside = before[corners]
    count = inside.sum(0)
    usable = (inside | behind[corners]).all(0)
    whole = (count == 3).nonzero().squeeze(1)
    crossing = (usable & (count > 0) & (count < 3)).nonzero().squeeze(1)
    # Turn each triangle until its odd corner (the only one inside, or the only one outside) comes first.
    odd = (inside[:, crossing] == (count[crossing] == 1)).int().argmax(0)
    turn = (odd + torch.arange(3, device=odd.device)[:, None]) % 3
    first, second, third = corners[:, crossing].gather(0, turn)
    new = len(positions) + torch.arange(2 * len(crossing), device=odd.device).view(2, -1)
    positions = torch.cat([positions, _meet(positions, ahead, first, second), _meet(positions, ahead, first, third)])
    single = count[crossing] == 1
    tips = torch.stack([first, new[0], new[1]])[:, single]
    quads = torch.cat([torch.stack([new[0], second, third]), torch.stack([new[0], third, new[1]])], 1)
    pieces = torch.cat([corners[:, whole], tips, quads[:, (~single).repeat(2)]], 1)
    source = torch.cat([whole, crossing[single], crossing[~single].repeat(2)])
    return positions, pieces, source


def _meet(positions: Tensor, ahead: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Return (K, 4) points where edges meet the near plane, computed from the inner end, so that neighbours agree."""
    swap = ahead[start] <= 0
    inner, outer = torch.where(swap, end, start), torch.where(swap, start, end)
    step = ahead[inner] / (ahead[inner] - ahead[outer])
    return positions[inner] + step[:, None] * (positions[outer] - positions[inner])
