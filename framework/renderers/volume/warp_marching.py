# mypy: disable-error-code="valid-type, no-untyped-def"
"""The walk through an occupancy grid as kernels of Warp, for CPU and CUDA: the same samples as `marching.march`.

A walk looks up one cell at a time and adds steps without looking until it is about to leave an empty one. Two passes:
the first counts the samples of each ray, the second writes them.

This module does not postpone the evaluation of annotations: Warp reads them as types.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor

from framework.optional import require_warp
from framework.renderers.volume.occupancy_grid import COARSE, OccupancyGrid
from framework.renderers.volume.rays import Rays


def walk(rays: Rays, grid: OccupancyGrid, start: Tensor, end: Tensor, step: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Samples of each ray (R,) int64 and their depths (P,); arguments as in `marching.lattice_walk`.

    The first call compiles the kernel (seconds, kept on disk). ValueError unless the rays are float32; MissingExtra
    without Warp.
    """
    if start.dtype != torch.float32:
        raise ValueError(f"marching with Warp: rays are {start.dtype}, expected float32. Use lattice_walk for others")
    warp, kernel = _kernel()
    counts = torch.zeros(rays.count, dtype=torch.int32, device=start.device)
    first = torch.zeros(rays.count, dtype=torch.int64, device=start.device)
    depth = start.new_zeros(0)
    inputs = [
        warp.from_torch(rays.origins.contiguous(), dtype=warp.vec3),
        warp.from_torch(rays.directions.contiguous(), dtype=warp.vec3),
        warp.from_torch(start.contiguous()),
        warp.from_torch(end.contiguous()),
        warp.from_torch(grid.occupied.contiguous()),
        warp.from_torch(grid.coarse),
        COARSE,
        float(step),
        most,
    ]
    for writing in (False, True):
        if writing:
            total = counts.long().cumsum(0)
            first = total - counts
            depth = start.new_empty(int(total[-1]) if len(total) else 0)
        outputs = [writing, warp.from_torch(first), warp.from_torch(counts), warp.from_torch(depth)]
        # On torch's own stream, so that neither waits for the other without need nor overtakes it.
        stream = warp.stream_from_torch(start.device) if start.is_cuda else None
        device = warp.device_from_torch(start.device)
        warp.launch(kernel, dim=rays.count, inputs=inputs + outputs, device=device, stream=stream)
    return counts.long(), depth


@cache
def _kernel() -> tuple[Any, Any]:
    """Warp and the kernel, compiled on first use."""
    wp: Any = require_warp("marching with Warp")

    @wp.func
    def cell_of(place: wp.float32, size: wp.int32):
        return wp.clamp(wp.int32(wp.float32(0.5) * (place + wp.float32(1.0)) * wp.float32(size)), 0, size - 1)

    @wp.func
    def leaves(
        origin: wp.float32, direction: wp.float32, first: wp.int32, past: wp.int32, size: wp.int32, slack: wp.float32
    ):
        # A little before the side of the cells first ... past - 1: lattice points before it surely lie in them.
        if direction == wp.float32(0.0):
            return wp.float32(3.0e38)
        side = wp.float32(first) / wp.float32(size) * wp.float32(2.0) - wp.float32(1.0) + slack
        if direction > wp.float32(0.0):
            side = wp.float32(past) / wp.float32(size) * wp.float32(2.0) - wp.float32(1.0) - slack
        return (side - origin) / direction

    @wp.kernel(module="unique", module_options={"fuse_fp": False}, enable_backward=False)
    def walked(
        origins: wp.array(dtype=wp.vec3),
        directions: wp.array(dtype=wp.vec3),
        start: wp.array(dtype=wp.float32),
        end: wp.array(dtype=wp.float32),
        occupied: wp.array3d(dtype=wp.bool),
        coarse: wp.array3d(dtype=wp.float32),
        wide: wp.int32,
        step: wp.float32,
        most: wp.int32,
        writing: wp.bool,
        first: wp.array(dtype=wp.int64),
        counts: wp.array(dtype=wp.int32),
        depths: wp.array(dtype=wp.float32),
    ):
        ray = wp.tid()
        o, d = origins[ray], directions[ray]
        size = occupied.shape[0]
        last = end[ray]
        t = start[ray]
        count = wp.int32(0)
        farthest = wp.max(wp.max(wp.abs(o[0]), wp.abs(o[1])), wp.abs(o[2]))
        slack = wp.float32(4.0e-6) * (wp.float32(1.0) + farthest)
        while t < last and count < most:
            x, y, z = cell_of(o[0] + t * d[0], size), cell_of(o[1] + t * d[1], size), cell_of(o[2] + t * d[2], size)
            if occupied[x, y, z]:
                if writing:
                    depths[first[ray] + wp.int64(count)] = t
                count += 1
                t = t + step
            else:
                many = wp.int32(1)
                if coarse[x // wide, y // wide, z // wide] == wp.float32(0.0):
                    many = wide
                x, y, z = x // many * many, y // many * many, z // many * many
                leave = wp.min(last, leaves(o[0], d[0], x, x + many, size, slack))
                leave = wp.min(leave, leaves(o[1], d[1], y, y + many, size, slack))
                leave = wp.min(leave, leaves(o[2], d[2], z, z + many, size, slack))
                t = t + step
                while t < leave:
                    t = t + step
        counts[ray] = count

    return wp, walked
