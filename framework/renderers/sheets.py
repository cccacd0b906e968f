"""Contact sheets: pictures as cards with rounded corners and labels on a plain page.

Pictures are uint8 arrays (H, W, 3), rows from the top.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]

PAGE = (250, 249, 247)
_TEXT = (112, 110, 108)
_SMOOTHING = 4


def contact_sheet(
    pictures: Sequence[Picture], labels: Sequence[str] | None = None, columns: int = 4, margin: int = 16
) -> Picture:
    """Return one picture (H, W, 3) with `pictures` of one size row by row; a label stands in its card's lower corner.

    margin: pixels between cards and around them. Raises ValueError for no pictures, other sizes or missing labels.
    """
    if not pictures:
        raise ValueError("contact_sheet: no pictures, expected at least one")
    height, width = pictures[0].shape[:2]
    wrong = [picture.shape for picture in pictures if picture.shape != (height, width, 3)]
    if wrong:
        raise ValueError(f"contact_sheet: a picture has shape {wrong[0]}, expected {(height, width, 3)} like the first")
    if labels is not None and len(labels) != len(pictures):
        raise ValueError(f"contact_sheet: {len(labels)} labels for {len(pictures)} pictures, expected one for each")
    rows = -(-len(pictures) // columns)
    columns = min(columns, len(pictures))
    page = blank_page(rows * (height + margin) + margin, columns * (width + margin) + margin)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        corner = margin + row * (height + margin), margin + column * (width + margin)
        place_card(page, picture, corner, labels[number] if labels else "")
    return page


def blank_page(height: int, width: int) -> Picture:
    """Return an empty page (H, W, 3)."""
    return np.full((height, width, 3), PAGE, np.uint8)


def place_card(page: Picture, picture: Picture, corner: tuple[int, int], label: str = "") -> None:
    """Draw `picture` (H, W, 3) on `page` with its upper left at `corner` (row, column), rounded, labelled."""
    height, width = picture.shape[:2]
    target = page[corner[0] : corner[0] + height, corner[1] : corner[1] + width]
    if target.shape != picture.shape:
        raise ValueError(f"place_card: a card {picture.shape} at {corner} leaves the page {page.shape}")
    card = Image.fromarray(picture)
    if label:
        size = max(11, height // 24)
        place = (size, height - size)
        ImageDraw.Draw(card).text(place, label, fill=_TEXT, font=ImageFont.load_default(size), anchor="ls")
    shape = _rounded(height, width, radius=max(6, min(height, width) // 24))[..., None]
    target[:] = np.rint(target + shape * (np.asarray(card, np.float32) - target)).astype(np.uint8)


def _rounded(height: int, width: int, radius: int) -> NDArray[np.float32]:
    """(H, W) coverage in [0, 1] of a rectangle with round corners."""
    large = Image.new("L", (width * _SMOOTHING, height * _SMOOTHING))
    box = (0, 0, large.width - 1, large.height - 1)
    ImageDraw.Draw(large).rounded_rectangle(box, radius * _SMOOTHING, fill=255)
    return np.asarray(large.reduce(_SMOOTHING), np.float32) / np.float32(255)
