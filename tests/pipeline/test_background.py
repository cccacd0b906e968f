"""Cutting objects out of plain backgrounds: made-up pictures with known outlines."""

import io

import numpy as np
import pytest
from PIL import Image as PilImage

from framework.pipeline.background import BackgroundError, cut_out, trim_bars

SIZE = 160
Y, X = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]


def edge(distance: np.ndarray) -> np.ndarray:
    """Opacity of a shape whose signed distance (negative inside, in half pictures) is given, anti-aliased."""
    return np.clip(0.5 - distance * SIZE / 2, 0, 1)


DISC = edge(np.hypot(X, Y - 0.1) - 0.5)
RING = edge(np.abs(np.hypot(X, Y) - 0.45) - 0.15)
BUST = edge(np.maximum(np.abs(X) - 0.35, 0.2 - Y))  # leaves the picture at the bottom
TEXTURE = np.stack([0.75 + 0.2 * np.sin(9 * X), 0.25 + 0.15 * np.cos(7 * Y), 0.2 + 0.1 * X], axis=-1)
WHITE = np.ones((SIZE, SIZE, 3))
BACKGROUNDS = {
    "white": WHITE,
    "grey": WHITE * 0.5,
    "black": WHITE * 0.0,
    "green": WHITE * [0.2, 0.7, 0.3],
    "gradient": WHITE * (0.75 + 0.2 * Y[..., None]) * [0.9, 0.95, 1],
    "vignette": WHITE * (0.9 - 0.12 * (X**2 + Y**2))[..., None],
}


def photo(alpha: np.ndarray, background: np.ndarray, colours: np.ndarray = TEXTURE, quality: int = 0) -> np.ndarray:
    """(H, W, 3) picture of a shape before a background; `quality` above 0 adds sensor noise and JPEG compression."""
    picture = colours * alpha[..., None] + background * (1 - alpha[..., None])
    if quality:
        picture = picture + np.random.default_rng(0).normal(0, 0.008, picture.shape)
    image = PilImage.fromarray(np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8))
    if quality:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        image = PilImage.open(file)
    return np.asarray(image, np.float32) / 255


def overlap(found: np.ndarray, alpha: np.ndarray) -> float:
    return float(np.minimum(found, alpha).sum() / np.maximum(found, alpha).sum())


@pytest.mark.parametrize("quality", [0, 90, 75])
@pytest.mark.parametrize("name", BACKGROUNDS)
def test_plain_backgrounds(name: str, quality: int) -> None:
    rgba = cut_out(photo(DISC, BACKGROUNDS[name], quality=quality))
    assert rgba.shape == (SIZE, SIZE, 4)
    assert rgba.dtype == np.float32
    assert overlap(rgba[..., 3], DISC) > 0.95


def test_the_rim_is_soft_and_free_of_background_colour() -> None:
    rgba = cut_out(photo(DISC, WHITE))
    rim = (rgba[..., 3] > 0.1) & (rgba[..., 3] < 0.9)
    assert rim.sum() > 50
    assert np.abs(rgba[..., 3] - DISC)[rim].mean() < 0.1
    assert np.abs(rgba[rim][:, :3] - TEXTURE[rim]).mean() < 0.05
    assert (rgba[rgba[..., 3] == 0] == 0).all()


@pytest.mark.parametrize("name", ["white", "green", "gradient"])
def test_gaps_inside_the_object_are_background(name: str) -> None:
    assert overlap(cut_out(photo(RING, BACKGROUNDS[name], quality=85))[..., 3], RING) > 0.95


def test_white_parts_that_fade_in_stay() -> None:
    shaded = WHITE * np.clip(1.0 - 0.9 * np.hypot(X, Y - 0.1), 0, 1)[..., None] ** 0.8
    assert overlap(cut_out(photo(DISC, WHITE, shaded))[..., 3], DISC) > 0.97


def test_a_line_drawing_is_solid() -> None:
    outline = edge(np.abs(np.hypot(X, Y) - 0.6) - 0.02)
    inside = edge(np.hypot(X, Y) - 0.62)
    assert overlap(cut_out(photo(outline, WHITE, WHITE * 0.0))[..., 3], inside) > 0.95


def test_dust_is_dropped_and_two_parts_stay() -> None:
    parts = edge(np.hypot(np.abs(X) - 0.5, Y) - 0.3)
    dusty = np.maximum(parts, edge(np.hypot(X, Y - 0.9) - 0.02))
    assert overlap(cut_out(photo(dusty, WHITE))[..., 3], parts) > 0.97


def test_an_object_may_leave_the_picture() -> None:
    assert overlap(cut_out(photo(BUST, WHITE, quality=85))[..., 3], BUST) > 0.97


def test_letter_boxes_are_ignored() -> None:
    picture = photo(DISC * (np.abs(Y) < 0.8), BACKGROUNDS["vignette"], quality=85)
    picture[np.abs(Y) > 0.8] = 0.0
    trimmed, (top, left) = trim_bars(picture)
    assert 16 <= top <= 20
    assert left == 0
    assert trimmed.shape[0] <= SIZE - 32
    assert overlap(cut_out(picture)[..., 3], DISC * (np.abs(Y) < 0.8)) > 0.96


def test_a_plain_background_is_no_letter_box() -> None:
    picture = photo(DISC, WHITE)
    trimmed, offset = trim_bars(picture)
    assert trimmed.shape == picture.shape
    assert offset == (0, 0)


@pytest.mark.parametrize(
    ("picture", "text"),
    [
        (np.random.default_rng(0).random((SIZE, SIZE, 3)), "border is of one plain colour"),
        (photo(edge(X), WHITE), "border is of one plain colour"),
        (WHITE, "0.0% of the picture is left"),
        (photo(edge(np.hypot(X, Y) - 0.02), WHITE), "of the picture is left"),
        (photo(edge(np.minimum(np.abs(X), np.abs(Y)) - 0.1), WHITE), "touches all four sides"),
    ],
)
def test_what_can_not_be_cut_out_is_named(picture: np.ndarray, text: str) -> None:
    with pytest.raises(BackgroundError, match=text):
        cut_out(picture.astype(np.float32))
