"""Networks that paint four views from one picture: what each is given, and where the views are in what it returns.

An adapter gives its network `prepare(picture, colour)` and hands the list of pictures that comes back to `four_views`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from PIL import Image as PilImage

from framework.renderers.views import CANONICAL_VIEWS
from methods.craftsman.pictures import Colour, over, over_exactly

Picture = TypeVar("Picture")
Indices = tuple[int, int, int, int]

GREY: Colour = (127, 127, 127, 255)


@dataclass(frozen=True)
class FrontEnd:
    """One such network."""

    prepare: Callable[[PilImage.Image, Colour], Any]
    """(square RGBA picture of the object, background colour) -> what the network is given."""

    indices: Indices
    """Places of front, right, back and left in the list that it returns."""

    official_indices: Indices
    """Those that the published program took."""


def _grey_rgba(picture: PilImage.Image, colour: Colour) -> PilImage.Image:
    """RGBA over grey, whatever colour is asked for."""
    return over(picture, GREY)


def _small_rgb(picture: PilImage.Image, colour: Colour) -> PilImage.Image:
    """RGB of 256 x 256 pixels over the colour."""
    return over(picture, colour).convert("RGB").resize((256, 256))


FRONT_ENDS: Mapping[str, FrontEnd] = {
    "crm": FrontEnd(_grey_rgba, (5, 3, 2, 0), (5, 3, 2, 0)),
    "imagedream": FrontEnd(over_exactly, (1, 2, 3, 0), (1, 2, 3, 0)),
    # Six normal maps, then six colours: front, front-right, right, back, left, front-left. The published program took
    # normals, and the left and front-left ones of them as back and left.
    "wonder3d": FrontEnd(_small_rgb, (6, 8, 9, 10), (0, 2, 4, 5)),
}
"""Name -> front end."""


def four_views(pictures: Sequence[Picture], name: str, *, official: bool = False) -> dict[str, Picture]:
    """Return front, right, back and left of the pictures that front end `name` returned, in that order.

    `official` takes the places that the published program took. Raises ValueError when there are too few pictures.
    """
    front_end = FRONT_ENDS[name]
    indices = front_end.official_indices if official else front_end.indices
    if len(pictures) <= max(indices):
        raise ValueError(f"{name} returned {len(pictures)} pictures, expected at least {max(indices) + 1}")
    return {view: pictures[index] for view, index in zip(CANONICAL_VIEWS, indices, strict=True)}
