"""The two pictures that come with every mesh: a preview sheet and the frames of a turntable."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from framework.geometry.mesh import Mesh
from framework.renderers.rasterizer import Rasterizer
from framework.renderers.sheets import Picture, blank_page, place_card
from framework.renderers.studio import around, exhibit, photograph
from framework.renderers.torch_rasterizer import TorchRasterizer
from framework.renderers.views import CANONICAL_VIEWS, canonical_cameras

_MARGIN = 16
_HERO_AZIMUTH, _HERO_ELEVATION = 32.0, 20.0


def preview(mesh: Mesh, rasterizer: Rasterizer | None = None, cell: int = 320, supersample: int = 2) -> Picture:
    """Return a uint8 sheet (H, W, 3): a large three-quarter view beside front, right, back and left.

    Meshes of any size and place are framed. cell: pixels of a small view's side; the large one is two of them wide.
    """
    rasterizer = rasterizer or TorchRasterizer()
    shown = exhibit(mesh, rasterizer)
    large = 2 * cell + _MARGIN
    hero_camera = around(shown, torch.tensor([_HERO_AZIMUTH]), _HERO_ELEVATION)
    hero = photograph(shown, hero_camera, (large, large), rasterizer, supersample)
    small = photograph(shown, canonical_cameras(1.15), (cell, cell), rasterizer, supersample)
    page = blank_page(large + 2 * _MARGIN, 2 * large + 3 * _MARGIN)
    place_card(page, _bytes(hero[0]), (_MARGIN, _MARGIN))
    for number, (view, label) in enumerate(zip(small, CANONICAL_VIEWS, strict=True)):
        row, column = divmod(number, 2)
        corner = _MARGIN + row * (cell + _MARGIN), large + 2 * _MARGIN + column * (cell + _MARGIN)
        place_card(page, _bytes(view), corner, label)
    return page


def turntable(
    mesh: Mesh,
    rasterizer: Rasterizer | None = None,
    frames: int = 60,
    resolution: int = 512,
    elevation_degrees: float = 15.0,
    supersample: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Picture]:
    """Yield `frames` uint8 pictures (resolution, resolution, 3) of the mesh turning once, seen in perspective.

    The first frame is the front; the last one is a step before it, so that the sequence loops. progress: called with
    (frames done, frames) after each one.
    """
    if frames < 1 or resolution < 2:
        raise ValueError(f"turntable: {frames} frames of {resolution} pixels, expected at least 1 frame of 2 pixels")
    rasterizer = rasterizer or TorchRasterizer()
    shown = exhibit(mesh, rasterizer)
    cameras = around(shown, torch.arange(frames) * (360.0 / frames), elevation_degrees)
    for number in range(frames):
        camera = cameras[number : number + 1]
        yield _bytes(photograph(shown, camera, (resolution, resolution), rasterizer, supersample)[0])
        if progress is not None:
            progress(number + 1, frames)


def _bytes(picture: Tensor) -> Picture:
    """(H, W, 3) values 0..255 of a picture in [0, 1]."""
    return (picture.clamp(0, 1) * 255).round().byte().cpu().numpy().astype(np.uint8, copy=False)
