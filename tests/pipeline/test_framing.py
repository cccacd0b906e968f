"""Objects centred on a square, views at one scale."""

import numpy as np
import pytest

from framework.pipeline.framing import frame_views, object_box


def block(height: int, width: int, rows: slice, columns: slice) -> np.ndarray:
    picture = np.zeros((height, width, 4), np.float32)
    picture[rows, columns] = (1, 0.5, 0, 1)
    return picture


def test_the_box_is_that_of_visible_pixels() -> None:
    picture = block(20, 30, slice(4, 10), slice(5, 25))
    picture[0, 0, 3] = 0.05
    assert object_box(picture) == (5.0, 4.0, 25.0, 10.0)
    assert object_box(np.zeros((4, 4, 4), np.float32)) is None


@pytest.mark.parametrize("size", [32, 100, 257])
def test_the_longest_side_takes_its_share_and_sits_in_the_middle(size: int) -> None:
    framed = frame_views({"front": block(90, 60, slice(50, 80), slice(0, 20))}, 0.8, size)["front"]
    assert framed.shape == (size, size, 4)
    left, top, right, bottom = np.array(object_box(framed)) / size
    assert bottom - top == pytest.approx(0.8, abs=0.03 + 1 / size)
    assert right - left == pytest.approx(0.8 * 20 / 30, abs=0.03 + 1 / size)
    assert (left + right) / 2 == pytest.approx(0.5, abs=1.5 / size)
    assert (top + bottom) / 2 == pytest.approx(0.5, abs=1.5 / size)


def test_colours_stay_pure_at_the_rim() -> None:
    picture = block(64, 64, slice(10, 50), slice(10, 50))
    picture[picture[..., 3] == 0, 2] = 1.0  # blue hides behind transparent pixels
    framed = frame_views({"front": picture}, 0.7, 37)["front"]
    seen = framed[framed[..., 3] > 0.05]
    assert np.allclose(seen[:, :3], (1, 0.5, 0), atol=0.02)
    assert (framed[framed[..., 3] == 0] == 0).all()


def test_without_a_ratio_only_the_square_changes() -> None:
    picture = block(20, 40, slice(5, 15), slice(10, 20))
    framed = frame_views({"front": picture}, None, 40)["front"]
    assert np.allclose(framed[10:30], picture, atol=1e-3)
    assert framed[:10, :, 3].max() < 1e-3


def test_views_share_one_scale() -> None:
    # One object, 40 high, 20 wide and 60 deep, photographed at two distances.
    front = block(100, 100, slice(30, 70), slice(40, 60))
    side = block(200, 300, slice(60, 140), slice(90, 210))
    framed = frame_views({"front": front, "left": side}, 0.9, 120)
    boxes = {name: np.array(object_box(picture)) / 120 for name, picture in framed.items()}
    heights = {name: box[3] - box[1] for name, box in boxes.items()}
    assert boxes["left"][2] - boxes["left"][0] == pytest.approx(0.9, abs=0.02)
    assert heights["front"] == pytest.approx(heights["left"], abs=0.02)
    assert heights["front"] == pytest.approx(0.6, abs=0.02)
