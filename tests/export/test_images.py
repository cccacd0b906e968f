"""PNG files: what is written comes back, and nothing half-written stays."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from framework.export.images import save_png


@pytest.mark.parametrize("channels", [3, 4])
def test_bytes_come_back(tmp_path: Path, channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    path = save_png(pixels, tmp_path / "new" / "picture.png")
    assert (np.asarray(Image.open(path)) == pixels).all()
    assert [item.name for item in path.parent.iterdir()] == ["picture.png"]


def test_floats_are_rounded_and_cut(tmp_path: Path) -> None:
    pixels = np.array([[[0.0, 0.5, 1.0], [-3.0, 7.0, np.nan]]], np.float32)
    assert np.asarray(Image.open(save_png(pixels, tmp_path / "p.png"))).tolist() == [[[0, 128, 255], [0, 255, 0]]]


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((4, 4), np.uint8), r"expected \(H, W, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), r"expected \(H, W, 3\)"),
        (np.zeros((4, 4, 3), np.int64), "expected uint8"),
    ],
)
def test_wrong_arguments(tmp_path: Path, pixels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        save_png(pixels, tmp_path / "p.png")
    assert not any(tmp_path.iterdir())
