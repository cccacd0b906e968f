"""Which triangle wins each pixel: a z-buffer written in array operations, for CPU and CUDA alike.

Triangles are cut into pixel rows, rows into spans of pixel centres, and every centre is tested against the three edges
(Pineda, "A parallel algorithm for polygon rasterization", SIGGRAPH 1988). Depth and face number are packed into one
64-bit key, and the smallest key of each pixel wins (`scatter_reduce` with `amin`): the result does not depend on the
order of the work. Cutting into rows first keeps the number of tested pixels within a few per cent of the covered ones,
for slivers and for triangles as large as the picture, and lets the work be cut into chunks of bounded memory.

Watertight: for the pixel centre p the edge a-b is measured as (a - p) x (b - p), rounded the same way from either side
up to its sign. The rounded sign is never opposite to the true one, and a zero counts as inside, so a centre on a shared
edge or vertex is taken by at least one neighbour. Rows are half-open: a centre exactly level with a vertex belongs to
the triangle below it, as if the vertex lay infinitely little higher.

Dimension letters: B pictures, V vertices, F faces, T triangles of all pictures, R triangle rows, P pixel tests.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from framework.renderers.clipping import Triangles, clip_triangles
from framework.renderers.rasterizer import Fragments

NOTHING = 2**63 - 1
_FACE_BITS = 0xFFFFFFFF
# Spans are widened by this many pixels: far more than their rounding error, far less than the cost of one more test.
_SPAN_MARGIN = 0.01


# Layers nearer to each other than this share of the depth range count as one: some roundings of a 32-bit depth.
_LAYER_GAP = 2.0**-20


def visible_faces(
    clip_positions: Tensor,
    faces: Tensor,
    resolution: tuple[int, int],
    cull_backfaces: bool,
    chunk: int,
    behind: Tensor | None = None,
) -> Tensor:
    """Return (B, H, W) int64: the face nearest to the camera behind each pixel centre, -1 for none.

    clip_positions: (B, V, 4); faces: (F, 3); `chunk` bounds how many rows and pixel tests are in memory at once.
    behind: (B * H * W,) smallest depth in [0, 1] that counts in each pixel, see `layer_behind`.
    Faces that touch a non-finite vertex, have no area on screen or lie beyond the near or far plane are left out.
    """
    if not len(faces) or not clip_positions.shape[1]:
        return faces.new_full((len(clip_positions), *resolution), -1)
    height, width = resolution
    triangles = _on_screen(clip_triangles(clip_positions, faces, resolution), resolution, cull_backfaces)
    keys = torch.full((len(clip_positions) * height * width,), NOTHING, device=clip_positions.device)
    for rows in _row_chunks(triangles, resolution, chunk):
        for span in _chunks(rows.length, chunk):
            _draw(rows, span, triangles, keys, behind)
    return torch.where(keys == NOTHING, -1, keys & _FACE_BITS).view(len(clip_positions), height, width)


def layer_behind(front: Fragments) -> Tensor:
    """Return (B * H * W,) the smallest depth in [0, 1] that lies behind `front`; 2, which nothing reaches, if empty."""
    depth = front.depth.detach().float().flatten() * 0.5 + (0.5 + _LAYER_GAP)
    return torch.where(front.mask.flatten(), depth.clamp(min=_LAYER_GAP), 2.0)


def _on_screen(triangles: Triangles, resolution: tuple[int, int], cull_backfaces: bool) -> Triangles:
    """Keep triangles whose bounding box holds a pixel centre (for dense meshes most do not) and can be measured."""
    height, width = resolution
    x, y = triangles.x, triangles.y
    first_column, last_column = _centres(x, width)
    first_row, last_row = _centres(y, height)
    keep = (first_column <= last_column) & (first_row <= last_row)
    # Corners that are infinitely far away, or so far apart that their distance is, give spans that are no numbers.
    keep &= ((x.amax(0) - x.amin(0)) + (y.amax(0) - y.amin(0))).isfinite()
    if cull_backfaces:
        # Screen rows grow downwards: counter-clockwise in NDC is a negative area here.
        keep &= (x[1] - x[0]) * (y[2] - y[0]) < (x[2] - x[0]) * (y[1] - y[0])
    return triangles.select(keep.nonzero().squeeze(1))


def _centres(values: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """First and last pixel (T,) whose centre lies between the corners `values` (3, T); empty when first > last."""
    first = torch.ceil(values.amin(0) - 0.5).clamp(0, size)
    return first, torch.floor(values.amax(0) - 0.5).clamp(-1, size - 1)


class _Rows:
    """Pixel rows of some triangles, (R,) each: owner, columns of the span, corners relative to the row's centres."""

    def __init__(self, triangles: Triangles, chosen: slice, first: Tensor, count: Tensor, width: int) -> None:
        owner, step = _expand(count)
        y = first.index_select(0, owner) + step
        self.owner = owner + chosen.start
        self.corner_x = triangles.x.index_select(1, self.owner)
        self.corner_y = triangles.y.index_select(1, self.owner) - (y + 0.5)
        picture_row = triangles.picture_row.index_select(0, self.owner)
        self.first_pixel = (picture_row + y.long()) * width
        self.start, self.length = _spans(self.corner_x, self.corner_y, width)


def _row_chunks(triangles: Triangles, resolution: tuple[int, int], chunk: int) -> Iterator[_Rows]:
    height, width = resolution
    first, last = _centres(triangles.y, height)
    count = (last - first + 1).int()
    for chosen in _chunks(count, chunk):
        yield _Rows(triangles, chosen, first[chosen], count[chosen], width)


def _spans(x: Tensor, y: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """First column and number of columns (R,) that a triangle may cover in its row; corners (3, R), row at y = 0."""
    low = torch.full_like(x[0], torch.inf)
    high = -low
    for i, j in ((0, 1), (1, 2), (2, 0)):
        crossing = (y[i] <= 0) != (y[j] <= 0)
        at = x[i] - y[i] / (y[j] - y[i]) * (x[j] - x[i])
        low = torch.where(crossing, torch.minimum(low, at), low)
        high = torch.where(crossing, torch.maximum(high, at), high)
    start = torch.ceil(low - (0.5 + _SPAN_MARGIN)).clamp(0, width)
    end = torch.floor(high - (0.5 - _SPAN_MARGIN)).clamp(-1, width - 1)
    return start, (end - start + 1).clamp(min=0).int()


def _draw(rows: _Rows, chosen: slice, triangles: Triangles, keys: Tensor, behind: Tensor | None) -> None:
    """Test the pixels of some rows and lower `keys` where a triangle is nearer than what is there."""
    row, step = _expand(rows.length[chosen])
    row = row + chosen.start
    owner = rows.owner.index_select(0, row)
    column = rows.start.index_select(0, row) + step
    x = rows.corner_x.index_select(1, row) - (column + 0.5)
    y = rows.corner_y.index_select(1, row)
    edges = [x[j] * y[k] - x[k] * y[j] for j, k in ((1, 2), (2, 0), (0, 1))]
    total = edges[0] + edges[1] + edges[2]
    z = triangles.depth.index_select(1, owner)
    depth = (edges[0] * z[0] + edges[1] * z[1] + edges[2] * z[2]) / total
    lowest = torch.minimum(torch.minimum(edges[0], edges[1]), edges[2])
    highest = torch.maximum(torch.maximum(edges[0], edges[1]), edges[2])
    # A triangle without area gives 0/0 here, which fails both depth comparisons.
    covered = ((lowest >= 0) | (highest <= 0)) & (depth >= 0) & (depth <= 1)
    # The bits of a float that is not negative, read as an integer, keep its order.
    key = (depth.view(torch.int32).long() << 32) | triangles.face.index_select(0, owner)
    pixel = rows.first_pixel.index_select(0, row) + column.long()
    if behind is not None:
        covered &= depth >= behind.index_select(0, pixel)
    keys.scatter_reduce_(0, pixel, torch.where(covered, key, NOTHING), "amin")


def _expand(count: Tensor) -> tuple[Tensor, Tensor]:
    """Repeat item i count[i] times: (N,) item numbers and the running number 0, 1, ... within each item.

    In the dtype of `count`: 32-bit numbers make gathering twice as fast on a CPU.
    """
    owner = torch.repeat_interleave(count)
    start = count.cumsum(0, dtype=count.dtype) - count
    return owner, torch.arange(len(owner), dtype=count.dtype, device=count.device) - start.index_select(0, owner)


def _chunks(count: Tensor, limit: int) -> Iterator[slice]:
    """Cut items into consecutive slices whose counts sum to about `limit` each (a single item is never cut)."""
    if not len(count):
        return
    total = count.cumsum(0)
    pieces = int(total[-1]) // limit + 1
    marks = torch.arange(1, pieces, device=count.device) * limit
    ends = [*torch.searchsorted(total, marks).tolist(), len(count)]
    start = 0
    for end in ends:
        if end > start:
            yield slice(start, end)
        start = end
