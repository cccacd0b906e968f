"""Finding the object in front of a plain background, without a network.

The background is whatever the border of the picture shows: its colour is fitted as a smooth (quadratic) function of the
position, so that gradients and vignettes count as plain. Pixels that match it closely and hang together with the border
are background, pixels far from it are object, and a watershed on the colour edges settles what lies between. At the
rim the opacity is solved from C = a F + (1 - a) B with F from just inside the object and B the fitted background (the
compositing equation of Porter and Duff 1984), which also takes the background's tint out of the rim.

Letters: H, W rows and columns; N border pixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import rgb2lab
from skimage.segmentation import watershed

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

# All distances are in CIE Lab (1976), where about 2.3 is a difference that people just notice.
BORDER_TOLERANCE = 6.0
"""Border pixels within this distance of the fitted background are called plain."""

PLAIN_SHARE = 0.7
"""Share of the border that has to be plain; the rest may be the object, leaving the picture."""

EDGE_STEP = 8.0
"""Distance above the noise at which a pixel is surely object."""


class BackgroundError(ValueError):
    """The background can't be told from the object; the text says why."""


GAP_SHARE = 0.0007
"""Share of the picture from which a region of the background's colour inside the object may be a gap."""

MAX_GAPS = 0.35
"""Share of the object's outline area above which such regions are the object's own colour."""


@dataclass(frozen=True)
class _Background:
    colours: Floats
    """(H, W, 3) fitted background in Lab."""

    noise: float
    """95th percentile of the distance of plain border pixels from the fit: compression and sensor noise."""


def cut_out(rgb: Floats) -> Floats:
    """Return (H, W, 4) RGBA: the object of an (H, W, 3) sRGB picture in [0, 1] that stands before a plain background.

    Raises BackgroundError when the border is not plain or what is left can't be an object.
    """
    trimmed, offset = trim_bars(rgb)
    lab = rgb2lab(trimmed).astype(np.float32)
    background = _fit_background(lab)
    inside = _object_mask(lab, background)
    check_plausible(inside)
    rgba = np.zeros((*rgb.shape[:2], 4), np.float32)
    top, left = offset
    height, width = inside.shape
    rgba[top : top + height, left : left + width] = _soft_cut(trimmed, lab, inside, background)
    return rgba


def trim_bars(rgb: Floats) -> tuple[Floats, tuple[int, int]]:
    """Cut off plain bars along the edges (letter boxes) and return the rest with its (top, left) in the picture.

    A bar is a run of rows or columns of one colour that ends at once across the whole picture; a plain background
    does not end that way, it gives way to the object pixel by pixel.
    """
    top, bottom = _bar(rgb), _bar(rgb[::-1])
    columns = rgb.swapaxes(0, 1)
    left, right = _bar(columns), _bar(columns[::-1])
    height, width = rgb.shape[:2]
    if top + bottom >= height // 2 or left + right >= width // 2:
        return rgb, (0, 0)
    return rgb[top : height - bottom, left : width - right], (top, left)


def _bar(rows: Floats) -> int:
    """Thickness of the bar before the first row, 0 for none. A blended seam of up to two rows belongs to it."""
    differs = np.abs(rows - np.median(rows[0], axis=0)).max(axis=2) > 0.08
    share = differs.mean(axis=1)
    if share[0] > 0.02:
        return 0
    end = int(np.argmax(share > 0.02))
    seam = share[end : end + 4]
    return end + int(np.argmax(seam > 0.98)) + 2 if end and (seam > 0.98).any() else 0


def _fit_background(lab: Floats) -> _Background:
    """Fit a quadratic in x and y to the border by least squares, leaving out what does not follow it (the object)."""
    height, width = lab.shape[:2]
    terms = _terms(height, width)
    border = np.zeros((height, width), bool)
    ring = max(2, round(0.01 * max(height, width)))
    border[:ring], border[-ring:], border[:, :ring], border[:, -ring:] = True, True, True, True
    samples, basis = lab[border], terms[border]
    distance = np.linalg.norm(samples - np.median(samples, axis=0), axis=1)
    plain = distance <= max(BORDER_TOLERANCE, float(np.median(distance)) * 2)
    weights = np.zeros((terms.shape[2], 3))
    for _ in range(5):  # alternates between the fit and which pixels follow it; settles in two or three turns
        weights = np.linalg.lstsq(basis[plain], samples[plain], rcond=None)[0]
        distance = np.linalg.norm(samples - basis @ weights, axis=1)
        plain = distance <= BORDER_TOLERANCE
        if plain.mean() < PLAIN_SHARE:
            raise BackgroundError(
                f"only {plain.mean():.0%} of the picture's border is of one plain colour ({PLAIN_SHARE:.0%} needed)"
            )
    return _Background((terms @ weights).astype(np.float32), float(np.percentile(distance[plain], 95)))


def _terms(height: int, width: int) -> NDArray[np.float64]:
    """(H, W, 6) values of 1, x, y, x2, xy, y2 with x and y in [-1, 1]."""
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)


def _object_mask(lab: Floats, background: _Background) -> Mask:
    """(H, W) True where the object is: seeds on both sides, the rest by watershed along the strongest edges."""
    distance = np.linalg.norm(lab - background.colours, axis=2)
    near = 1.0 + 1.3 * background.noise
    seeds = np.zeros(distance.shape, np.int32)
    outside = _touching_border(distance < near)
    seeds[outside | _gaps(distance, outside, background.noise)] = 1
    seeds[distance > near + EDGE_STEP] = 2
    edges = np.sqrt(sum(ndimage.gaussian_gradient_magnitude(lab[..., i], 1.0) ** 2 for i in range(3)))
    inside = watershed(edges, seeds) == 2
    return _without_specks(inside)


def _gaps(distance: Floats, outside: Mask, noise: float) -> Mask:
    """(H, W) True where the background shows through the object, as between the legs of a chair.

    A region that is cut off from the border counts when it is as plain as the border and ends in a step: a white
    highlight before white fades out instead. Where such regions make up much of the object it is a line drawing, whose
    white is the object.
    """
    calm = ndimage.gaussian_filter(distance, 1.0)
    labels, _ = ndimage.label(ndimage.binary_opening(calm < 1.0 + 1.3 * noise, iterations=2) & ~outside)
    gaps = np.zeros(distance.shape, bool)
    for label, place in enumerate(ndimage.find_objects(labels), start=1):
        # Five pixels more on each side hold the ring around the region.
        window = tuple(slice(max(0, part.start - 5), part.stop + 5) for part in place)
        region = labels[window] == label
        if region.sum() >= GAP_SHARE * distance.size and _is_gap(calm[window], region, noise):
            gaps[window] |= region
    return gaps if gaps.sum() <= MAX_GAPS * (~outside).sum() else np.zeros_like(gaps)


def _is_gap(distance: Floats, region: Mask, noise: float) -> bool:
    """Say whether `region` is plain inside and ends in a step. Tuned on 20 cut-outs pasted over 6 backgrounds."""
    ring = ndimage.binary_dilation(region, iterations=5) & ~ndimage.binary_dilation(region, iterations=3)
    plain = np.median(distance[region]) < 0.75 + 0.5 * noise
    return bool(plain and ring.any() and np.median(distance[ring]) > 1.5 * EDGE_STEP)


def _touching_border(mask: Mask) -> Mask:
    """Keep the connected parts of `mask` that reach the border of the picture."""
    labels, _ = ndimage.label(mask)
    ring = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return np.isin(labels, np.setdiff1d(ring, [0]))


def _without_specks(inside: Mask) -> Mask:
    """Drop parts smaller than 1 % of the largest one: dust, compression blocks, watermarks."""
    labels, count = ndimage.label(inside, structure=np.ones((3, 3)))
    if count <= 1:
        return inside
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    return np.isin(labels, np.flatnonzero(areas >= 0.01 * areas.max()))


def check_plausible(inside: Mask) -> None:
    """Raise BackgroundError when an (H, W) mask can't be the outline of one object inside a picture."""
    share = float(inside.mean())
    if not 0.01 <= share <= 0.9:
        raise BackgroundError(
            f"after removing the border colour {share:.1%} of the picture is left (1 % to 90 % expected)"
        )
    sides = (inside[0], inside[-1], inside[:, 0], inside[:, -1])
    if all(side.mean() > 0.05 for side in sides):
        raise BackgroundError("without the border's colour the object touches all four sides of the picture")


def _soft_cut(rgb: Floats, lab: Floats, inside: Mask, background: _Background) -> Floats:
    """(H, W, 4) with solved opacity and colours in a rim of two pixels on either side of the mask's edge."""
    core = ndimage.binary_erosion(inside, iterations=2)
    rim = ndimage.binary_dilation(inside, iterations=2) & ~core
    alpha = inside.astype(np.float32)
    colours = rgb.copy()
    if not core.any():
        return np.dstack([colours * alpha[..., None], alpha])
    rows, columns = ndimage.distance_transform_edt(~core, return_distances=False, return_indices=True)
    foreground = lab[rows[rim], columns[rim]]
    behind = background.colours[rim]
    span = ((foreground - behind) ** 2).sum(axis=1)
    solved = ((lab[rim] - behind) * (foreground - behind)).sum(axis=1) / np.maximum(span, 1e-6)
    # Where object and background have nearly one colour the equation says nothing: the mask decides.
    clear = span > EDGE_STEP**2
    alpha[rim] = np.where(clear, np.clip(solved, 0, 1), alpha[rim])
    colours[rim] = np.where(clear[:, None], rgb[rows[rim], columns[rim]], rgb[rim])
    return np.dstack([np.where(alpha[..., None] > 0, colours, 0), alpha]).astype(np.float32)
