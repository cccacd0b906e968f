"""Putting cut-out objects into the square frame that networks expect."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

Floats = NDArray[np.float32]
Box = tuple[float, float, float, float]

VISIBLE = 0.1
"""Opacity from which a pixel belongs to the object's box."""


def object_box(rgba: Floats) -> Box | None:
    """Return (left, top, right, bottom) in pixels of what is visible in an (H, W, 4) picture, or None for nothing."""
    visible = rgba[..., 3] >= VISIBLE
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    if rows.size == 0:
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def frame_views(views: Mapping[str, Floats], ratio: float | None, size: int) -> dict[str, Floats]:
    """Centre each cut-out object on a transparent square of `size` pixels.

    views: view name -> (H, W, 4) RGBA, each with something visible. ratio: longest side of the object's box as a share
    of the square; None keeps the picture's own framing and only makes it square. Views of one object are scaled to one
    height first, since level cameras around an object all see its full height, and share one scale from then on.
    Returns view name -> (size, size, 4), straight alpha, black where it is fully transparent.
    """
    if ratio is None:
        windows = {name: _whole(rgba.shape) for name, rgba in views.items()}
        return {name: resample(rgba, windows[name], size) for name, rgba in views.items()}
    boxes = {name: _box_or_all(rgba) for name, rgba in views.items()}
    heights = {name: box[3] - box[1] for name, box in boxes.items()}
    widest = max(max(1.0, (box[2] - box[0]) / heights[name]) for name, box in boxes.items())
    return {
        name: resample(rgba, _window(boxes[name], heights[name] * widest / ratio), size) for name, rgba in views.items()
    }


def resample(rgba: Floats, window: Box, size: int) -> Floats:
    """Return the square `window` (pixels, may reach outside the picture) of `rgba` as (size, size, 4)."""
    left, top, right, bottom = window
    height, width = rgba.shape[:2]
    margin = int(np.ceil(max(0.0, -left, -top, right - width, bottom - height))) + 1
    padded = np.pad(rgba, ((margin, margin), (margin, margin), (0, 0)))
    alpha = padded[..., 3]
    box = (left + margin, top + margin, right + margin, bottom + margin)
    # Colours are weighted by opacity, else what hides behind transparent pixels bleeds into the rim.
    opacity = _resize(alpha, box, size)
    channels = [_resize(padded[..., i] * alpha, box, size) for i in range(3)]
    seen = opacity[..., None] > 0.5 / 255
    colours = np.stack(channels, axis=-1) / np.maximum(opacity, 1e-4)[..., None]
    rgba = np.dstack([colours, opacity]).clip(0, 1)
    return np.where(seen, rgba, 0).astype(np.float32)


def _resize(channel: Floats, box: Box, size: int) -> Floats:
    picture = PilImage.fromarray(np.ascontiguousarray(channel, np.float32))
    return np.asarray(picture.resize((size, size), PilImage.Resampling.LANCZOS, box=box), np.float32)


def _box_or_all(rgba: Floats) -> Box:
    return object_box(rgba) or (0.0, 0.0, float(rgba.shape[1]), float(rgba.shape[0]))


def _window(box: Box, side: float) -> Box:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return x - side / 2, y - side / 2, x + side / 2, y + side / 2


def _whole(shape: Sequence[int]) -> Box:
    return _window((0.0, 0.0, float(shape[1]), float(shape[0])), float(max(shape[:2])))
