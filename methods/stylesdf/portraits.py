"""A face's pictures, and its artifacts: what every stage that finds latents writes.

Dimension letters: V views, D numbers of a latent, L layers of the decoder, r side of a layer's noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from framework.artifacts.image import MAX_PIXELS, Image
from framework.artifacts.latent_set import LatentSet
from framework.artifacts.multi_view import MultiView
from framework.pipeline.case import Case
from framework.pipeline.stage import StageError
from methods.stylesdf.cameras import ViewCameras
from methods.stylesdf.config import RendererConfig
from methods.stylesdf.loaded import Loaded
from methods.stylesdf.pictures import png_picture, shape_cameras, side_by_side, view_names

GIVES: dict[str, type] = {
    "renderer_latents": LatentSet,
    "views": MultiView,
    "thumbnails": MultiView,
    "image": Image,
    "thumbnail": Image,
}
"""Artifacts of a face; with a decoder also `decoder_latents`."""


@dataclass(frozen=True, eq=False)
class Portrait:
    """One face from V sides."""

    latents: Tensor
    """(1, D) of the renderer."""
    codes: Tensor | None
    """(1, L, 2D) of the decoder; none without one."""
    cameras: ViewCameras
    """V views."""
    pictures: list[Image]
    """V pictures: the decoder's, else the thumbnails."""
    thumbnails: list[Image]
    """V rendered pictures."""

    def write(self, case: Case) -> None:
        """Write the latents, one picture per view, and all views in a row."""
        names, cameras = view_names(self.cameras), shape_cameras(self.cameras)
        case.write("renderer_latents", LatentSet(self.latents.cpu().numpy()))
        if self.codes is not None:
            case.write("decoder_latents", LatentSet(self.codes[0].cpu().numpy()))
        for many, one, shown in (("views", "image", self.pictures), ("thumbnails", "thumbnail", self.thumbnails)):
            case.write(many, MultiView(dict(zip(names, shown, strict=True)), cameras))
            case.write(one, side_by_side(shown))


def take_pictures(
    loaded: Loaded,
    latents: Tensor,
    codes: Tensor | None,
    cameras: ViewCameras,
    options: RendererConfig,
    noise: Sequence[Tensor] | None = None,
    jitter: Tensor | None = None,
) -> Portrait:
    """Take the pictures of latents (1, D) and codes (1, L, 2D), view by view.

    `noise`: L tensors (V, 1, r, r), none: the decoder's own; `jitter`: numbers (V, ...) that move the samples. Raises
    StageError where the row of all views would be too large a picture to be read again.
    """
    most = MAX_PIXELS // loaded.size**2
    if len(cameras) > most:
        raise StageError(
            f"{len(cameras)} views of {loaded.size} pixels don't fit into one row",
            f"Ask for at most {most} views, and give more seeds: count=<number>",
        )
    pictures, thumbnails = [], []
    for view in range(len(cameras)):
        rows = slice(view, view + 1)
        made = loaded.generator(
            cameras[rows],
            renderer_latents=latents,
            decoder_codes=codes,
            noise=None if noise is None else [layer[rows] for layer in noise],
            options=options,
            jitter=None if jitter is None else jitter[rows],
        )
        thumbnails.append(png_picture(made.thumbnail[0]))
        pictures.append(thumbnails[-1] if made.image is None else png_picture(made.image[0]))
    return Portrait(latents, codes, cameras, pictures, thumbnails)
