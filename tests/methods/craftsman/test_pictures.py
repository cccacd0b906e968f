"""The published clean-up and the table of front ends; exact numbers are in the fixture `v1_frontend_images`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from methods.craftsman.front_ends import FRONT_ENDS, four_views
from methods.craftsman.pictures import kept_alpha, over, shrunk, squared


def picture(width: int = 8, height: int = 4) -> Image.Image:
    pixels = np.full((height, width, 4), (200, 100, 50, 255), np.uint8)
    pixels[:, : width // 2, 3] = 0
    return Image.fromarray(pixels)


def test_hidden_colours_become_black_and_the_picture_stays_as_it_was() -> None:
    given = picture()
    kept = kept_alpha(given)
    assert kept is not None
    assert not np.asarray(kept)[:, :4].any()
    assert np.array_equal(np.asarray(kept)[:, 4:], np.asarray(given)[:, 4:])
    assert np.asarray(given)[0, 0].tolist() == [200, 100, 50, 0]


def test_solid_pictures_have_no_alpha_to_keep() -> None:
    assert kept_alpha(picture().convert("RGB")) is None
    assert kept_alpha(picture().convert("RGB").convert("RGBA")) is None


def test_shrinking_leaves_a_transparent_margin() -> None:
    solid = Image.new("RGBA", (10, 20), (255, 0, 0, 255))
    alpha = np.asarray(shrunk(solid, 0.5))[..., 3]
    assert shrunk(solid, 0.5).size == (10, 20)
    assert (alpha > 0).sum() == 5 * 10
    assert (alpha[5:15, 2:7] == 255).all()


def test_squaring_and_compositing() -> None:
    square = squared(picture())
    assert square.size == (8, 8)
    assert not np.asarray(square)[:2].any()
    filled = np.asarray(over(square, (1, 2, 3, 255)))
    assert filled[0, 0].tolist() == [1, 2, 3, 255]
    assert filled[4, 7].tolist() == [200, 100, 50, 255]


def test_places_of_views_are_the_published_ones_where_these_are_right() -> None:
    path = Path(__file__).parents[2] / "parity" / "fixtures" / "craftsman" / "v1_frontend_images.json"
    outputs = json.loads(path.read_text())["outputs"]
    listed = next(value for name, value in outputs.items() if name.startswith("indices"))
    assert {name.lower() for name in listed} == FRONT_ENDS.keys()
    for name, indices in listed.items():
        front_end = FRONT_ENDS[name.lower()]
        assert list(front_end.official_indices) == [int(index) for index in indices]
        assert (front_end.indices == front_end.official_indices) == (name != "Wonder3D")


def test_wonder3d_views_are_colours_of_the_right_sides() -> None:
    sides = ("front", "front-right", "right", "back", "left", "front-left")
    given = [f"{kind} {side}" for kind in ("normal", "colour") for side in sides]
    assert four_views(given, "wonder3d") == {side: f"colour {side}" for side in ("front", "right", "back", "left")}
    assert list(four_views(given, "wonder3d", official=True).values()) == [
        *("normal front", "normal right", "normal left", "normal front-left"),
    ]
    with pytest.raises(ValueError, match="returned 6 pictures, expected at least 11"):
        four_views(given[:6], "wonder3d")
