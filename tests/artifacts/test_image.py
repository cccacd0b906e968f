"""The picture artifact: checked on construction, the same after a round trip to disk."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from framework.artifacts.errors import ArtifactError
from framework.artifacts.image import Image


@pytest.mark.parametrize("channels", [3, 4])
def test_round_trip_keeps_8_bit_values(tmp_path: Path, channels: int) -> None:
    values = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)
    path = Image.from_uint8(values).save(tmp_path / "a.png")
    loaded = Image.load(path)
    assert np.array_equal(loaded.to_uint8(), values)
    assert loaded.pixels.dtype == np.float32
    assert (loaded.height, loaded.width) == (5, 7)


@pytest.mark.parametrize(
    ("pixels", "text"),
    [
        (np.zeros((4, 4), np.float32), "expected \\(H, W, 3\\)"),
        (np.zeros((0, 4, 3), np.float32), "shape"),
        (np.zeros((4, 4, 3), np.uint8), "divide by 255"),
        (np.full((4, 4, 3), 255.0), "expected \\[0, 1\\]"),
        (np.full((4, 4, 3), np.nan), "nan"),
    ],
)
def test_wrong_values_are_refused(pixels: np.ndarray, text: str) -> None:
    with pytest.raises(ArtifactError, match=text):
        Image(pixels)


def test_small_overshoot_is_clipped() -> None:
    assert Image(np.full((2, 2, 3), 1.0005)).pixels.max() == 1.0


def test_over_composites_straight_alpha() -> None:
    pixels = np.zeros((1, 2, 4), np.float32)
    pixels[0, 0] = (1, 0, 0, 0.5)
    over = Image(pixels).over((1.0, 1.0, 1.0))
    assert np.allclose(over.pixels[0], [[1, 0.5, 0.5], [1, 1, 1]])


def test_resize_does_not_bleed_hidden_colours() -> None:
    pixels = np.zeros((64, 64, 4), np.float32)
    pixels[..., 1] = 1.0  # green everywhere, but transparent
    pixels[16:48, 16:48] = (1, 0, 0, 1)
    small = Image(pixels).resized(16)
    seen = small.pixels[small.alpha > 0.05]
    assert seen[:, 0].min() > 0.95
    assert seen[:, 1].max() < 0.05
    assert abs(small.alpha.sum() - 64) < 1.5


def test_resize_takes_height_and_width_and_adds_alpha() -> None:
    image = Image(np.ones((4, 8, 3), np.float32)).resized((2, 6)).with_alpha()
    assert image.pixels.shape == (2, 6, 4)
    assert image.pixels.min() > 0.999


def test_an_edited_palette_picture_is_read(tmp_path: Path) -> None:
    picture = Image(np.random.default_rng(0).random((8, 8, 3))).to_pil().convert("P", palette=PilImage.Palette.ADAPTIVE)
    picture.save(tmp_path / "edited.png", transparency=0)
    assert Image.load(tmp_path / "edited.png").pixels.shape == (8, 8, 4)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(b"not a picture")
    with pytest.raises(ArtifactError, match=r"bad\.png"):
        Image.load(path)
