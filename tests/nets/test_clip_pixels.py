"""CLIP's preprocessing; the published numbers are in the fixture `clip_preprocess`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from framework.nets.clip_pixels import CLIP_MEAN, CLIP_STD, centre_square, clip_pixels, normalized, picture_pixels


def colours(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_both_recipes_agree_on_pictures_of_the_towers_size() -> None:
    rgb = colours(32, 32)
    tensor = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255
    before = tensor.clone()
    torch.testing.assert_close(clip_pixels(tensor, 32)[0], picture_pixels(Image.fromarray(rgb), 32), atol=1e-6, rtol=0)
    assert torch.equal(tensor, before)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 40), (40, 64), (7, 90), (33, 32)])
def test_any_shape_becomes_the_square_in_its_middle(height: int, width: int) -> None:
    column = np.zeros((height, width, 3), np.uint8)
    column[:, width // 2 :] = 255
    square = np.asarray(centre_square(Image.fromarray(column), 32))
    assert square.shape == (32, 32, 3)
    assert square[:, :14].max() < 128 < square[:, 18:].min()
    tensor = clip_pixels(torch.from_numpy(column).permute(2, 0, 1)[None].float() / 255, 32)
    assert tensor.shape == (1, 3, 32, 32)
    assert tensor[..., :14].max() < 0.0 < tensor[..., 18:].min()


def test_transparency_is_dropped_not_composited() -> None:
    rgba = np.dstack([colours(20, 20), np.zeros((20, 20), np.uint8)])
    assert np.array_equal(np.asarray(centre_square(Image.fromarray(rgba), 20)), rgba[..., :3])


def test_statistics() -> None:
    mean = torch.tensor(CLIP_MEAN)[:, None, None].expand(3, 2, 2)
    assert normalized(mean).abs().max() < 1e-6
    white = normalized(torch.ones(3, 1, 1)).flatten()
    torch.testing.assert_close(white, (1 - torch.tensor(CLIP_MEAN)) / torch.tensor(CLIP_STD))
