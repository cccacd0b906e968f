"""Layout of contact sheets."""

import numpy as np
import pytest

from framework.renderers.sheets import PAGE, blank_page, contact_sheet, place_card


def picture(value: int, height: int = 40, width: int = 60) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_places_pictures_row_by_row() -> None:
    sheet = contact_sheet([picture(10 * number) for number in range(5)], columns=3, margin=8)
    assert sheet.shape == (2 * 48 + 8, 3 * 68 + 8, 3) and sheet.dtype == np.uint8
    for number in range(5):
        row, column = divmod(number, 3)
        assert (sheet[8 + 48 * row + 20, 8 + 68 * column + 30] == 10 * number).all()
    assert (sheet[8 + 48 + 20, 8 + 68 * 2 + 30] == PAGE).all()


def test_corners_are_round_and_edges_are_not() -> None:
    page = blank_page(60, 80)
    place_card(page, picture(0), (10, 10))
    assert (page[10, 10] == PAGE).all() and (page[10, 40] == 0).all() and (page[30, 10] == 0).all()


def test_labels_leave_marks_in_their_corner() -> None:
    plain, labelled = (contact_sheet([picture(255, 96, 96)], labels) for labels in (None, ["front"]))
    changed = (plain != labelled).any(-1)
    assert changed.any() and not changed[:70].any()


def test_fewer_pictures_than_columns_make_a_narrow_sheet() -> None:
    assert contact_sheet([picture(1)], columns=4, margin=0).shape == (40, 60, 3)


@pytest.mark.parametrize(
    ("pictures", "labels", "message"),
    [
        ([], None, "no pictures"),
        ([picture(0), picture(0, 20)], None, r"expected \(40, 60, 3\)"),
        ([picture(0)], ["a", "b"], "2 labels for 1 pictures"),
    ],
)
def test_wrong_arguments(pictures: list[np.ndarray], labels: list[str] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        contact_sheet(pictures, labels)


def test_a_card_beyond_the_page() -> None:
    with pytest.raises(ValueError, match="leaves the page"):
        place_card(blank_page(30, 30), picture(0), (0, 0))
