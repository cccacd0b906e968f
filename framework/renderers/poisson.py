"""Pictures blended by their differences between neighbours, so that no seam and no drift shows."""

import numpy as np
from jaxtyping import Bool, Float

_NEIGHBOURS = ((0, 1), (0, -1), (1, 0), (-1, 0))


def poisson_blend(
    source: Float[np.ndarray, "H W C"], target: Float[np.ndarray, "H W C"], mask: Bool[np.ndarray, "H W"]
) -> Float[np.ndarray, "H W C"]:
    """`target` with the details of `source` inside `mask`, float64.

    Inside, the Laplacian over the four neighbours is that of `source`; outside, the values of `target` hold and carry
    over the border (Perez, Gangnet and Blake, "Poisson image editing", 2003, equation 7). The picture's outermost
    pixels count as outside. ValueError for pictures of different shapes.
    """
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import splu

    if source.shape != target.shape or source.ndim != 3 or mask.shape != source.shape[:2]:
        shapes = f"{source.shape}, {target.shape} and {mask.shape}"
        raise ValueError(f"poisson_blend: shapes {shapes}, expected (H, W, C) twice and a mask (H, W)")
    inside = np.zeros(mask.shape, dtype=bool)
    inside[1:-1, 1:-1] = np.asarray(mask, dtype=bool)[1:-1, 1:-1]
    result = target.astype(np.float64)
    rows, columns = inside.nonzero()
    if not len(rows):
        return result
    number = np.full(mask.shape, -1, dtype=np.int64)
    number[inside] = own = np.arange(len(rows))
    right_side = 4.0 * source[inside].astype(np.float64)
    entries = [(own, own, np.full(len(own), 4.0))]
    for down, right in _NEIGHBOURS:
        place = rows + down, columns + right
        neighbour = number[place]
        free = neighbour >= 0
        right_side -= source[place]
        right_side[~free] += result[place][~free]
        entries.append((own[free], neighbour[free], np.full(int(free.sum()), -1.0)))
    row, column, value = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    system = csc_array((value, (row, column)), shape=(len(own), len(own)))
    result[inside] = splu(system).solve(right_side)
    return result
