"""Training items from stored shapes: surface points, points with occupancy, views with cameras.

What an item holds follows from (seed, epoch, index) alone, and the order of items from the step
(`framework.data.sampler`), so a run can be continued exactly and the number of loader processes changes nothing.

Legend: B batch, N surface points, P supervision points, K views, S side of a view.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from framework.data.sampler import Key
from framework.data.shape_files import GROUP, ShapeArrays, ShapeFileError
from framework.data.shape_store import ShapeStore
from framework.data.view_cameras import rotated_cameras
from framework.data.view_resampling import scaled

REPLACEMENTS = 10
"""How many other objects are tried in place of one that can't be read."""

_MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])
_MIRRORED_VIEWS = (0, 3, 2, 1)  # which view a mirrored object's front, right, back, left are made of

_log = logging.getLogger(__name__)


class ShapeBatch(TypedDict, total=False):
    """A batch of shapes, in the box [-1, 1]^3. An item is the same without the first axis."""

    surface: Float[Tensor, "B N 6"]
    """Surface points and unit normals."""
    points: Float[Tensor, "B P 3"]
    """Supervision points."""
    occupancy: Float[Tensor, "B P"]
    """1 inside, 0 outside."""
    sdf: Float[Tensor, "B P"]
    """Signed distance, negative inside; only of sets that store it."""
    views: Float[Tensor, "B K 4 S S"]
    """RGBA in [0, 1], straight alpha, in the order front, right, back, left; absent without views."""
    world_from_camera: Float[Tensor, "B K 4 4"]
    """Poses of the views' cameras; absent without views."""
    index: Int[Tensor, " B"]
    """Place in the split."""
    id: list[str]
    """Names of the objects."""


@dataclass(frozen=True, kw_only=True)
class ItemOptions:
    """What is drawn from a stored object; see `ShapesConfig`."""

    surface_points: int
    supervision_points: int
    near_fraction: float = 0.0
    noise: float = 0.0
    mirror: float = 0.0
    stretch: tuple[float, float, float] = (0.0, 0.0, 0.0)
    views: int = 0
    all_groups: bool = False
    seed: int = 0


class ShapeSamples(Dataset[dict[str, Any]]):
    """Items of one split of a store, by (epoch, index)."""

    def __init__(self, store: ShapeStore, options: ItemOptions) -> None:
        self.store, self.options = store, options

    @property
    def ids(self) -> list[str]:
        """Names of the objects."""
        return self.store.ids

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.store.ids)

    def __getitem__(self, key: Key) -> dict[str, Any]:
        """The item of (epoch, index): a `ShapeBatch` without its first axis.

        An object that can't be read is logged and replaced by another one, chosen by the same randomness;
        ShapeFileError after 10 of them in a row.
        """
        epoch, index = key
        random = np.random.default_rng((self.options.seed, epoch, index))
        for _ in range(REPLACEMENTS):
            try:
                return self.item(index, random)
            except ShapeFileError as error:
                failure = error
                _log.warning("left out %s: %s", self.ids[index], error)
                index = int(random.integers(len(self)))
        raise failure

    def item(self, index: int, random: np.random.Generator) -> dict[str, Any]:
        """Draw an item from the object `index`; ShapeFileError when it can't be read or holds too few points."""
        options, arrays = self.options, self.store.arrays(index)
        mirrored = options.mirror > 0 and random.random() < options.mirror
        item: dict[str, Any] = {"surface": draw_surface(arrays, options, random, self.ids[index])}
        item |= draw_supervision(arrays, options, random, self.ids[index])
        if mirrored:
            item["surface"][:, [0, 3]] *= -1
            item["points"][:, 0] *= -1
        if options.views:
            item |= self._views(index, random, mirrored)
        if any(options.stretch):
            stretch(item, draw_stretch(arrays.surface, options.stretch, random))
        tensors = {name: torch.from_numpy(array) for name, array in item.items()}
        return tensors | {"index": index, "id": self.ids[index]}

    def _views(self, index: int, random: np.random.Generator, mirrored: bool) -> dict[str, np.ndarray]:
        rotations = self.store.rotations(index)
        groups = 1 if rotations is None or not self.options.all_groups else len(rotations) // GROUP
        start = GROUP * int(random.integers(groups)) if groups > 1 else 0
        order = (_MIRRORED_VIEWS if mirrored else range(GROUP))[: self.options.views]
        pixels = self.store.views(index, [start + number for number in order])
        rotation = np.eye(4) if rotations is None else rotations[start]
        cameras = rotated_cameras(rotation)[list(order)]
        if mirrored:
            pixels, cameras = pixels[:, :, ::-1], _MIRROR @ cameras @ _MIRROR
        return {"views": as_floats(pixels), "world_from_camera": cameras.astype(np.float32)}


def draw_surface(
    arrays: ShapeArrays, options: ItemOptions, random: np.random.Generator, name: str
) -> Float[np.ndarray, "N 6"]:
    """Surface rows without replacement, float32, with the wanted noise on their positions."""
    rows = _rows(random, len(arrays.surface), options.surface_points, f"{name}: surface points")
    surface = arrays.surface[rows].astype(np.float32)
    if options.noise:
        surface[:, :3] += random.uniform(-options.noise, options.noise, (len(rows), 3))
    return surface


def draw_supervision(
    arrays: ShapeArrays, options: ItemOptions, random: np.random.Generator, name: str
) -> dict[str, np.ndarray]:
    """points (P, 3) and occupancy (P,), float32; with sdf where the files hold distances. Near-surface points last."""
    total = options.supervision_points
    near = round(total * options.near_fraction) if arrays.near_points is not None else 0
    rows = _rows(random, len(arrays.points), total - near, f"{name}: volume points")
    points, inside = arrays.points[rows].astype(np.float32), arrays.inside(rows)
    drawn = {} if arrays.sdf is None else {"sdf": arrays.sdf[rows].astype(np.float32)}
    if near and arrays.near_points is not None:
        near_rows = _rows(random, len(arrays.near_points), near, f"{name}: near-surface points")
        points = np.concatenate([points, arrays.near_points[near_rows].astype(np.float32)])
        inside = np.concatenate([inside, arrays.near_inside(near_rows)])
    return {"points": points, "occupancy": inside.astype(np.float32)} | drawn


def draw_stretch(
    surface: Float[np.ndarray, "N C"], shares: tuple[float, float, float], random: np.random.Generator
) -> Float[np.ndarray, " 3"]:
    """Factors along x, y, z between 1 / (1 + share) and 1 + share, brought to where the longest side stays."""
    factors = (1.0 + np.asarray(shares)) ** random.uniform(-1.0, 1.0, 3)
    sides = np.ptp(surface[:, :3].astype(np.float64), axis=0)
    return factors * sides.max() / (sides * factors).max()


def stretch(item: dict[str, Any], factors: Float[np.ndarray, " 3"]) -> None:
    """Scale an item's points and level views along the axes, in place; its parallel views show exactly that."""
    if "sdf" in item:
        raise ValueError("stretch: distances do not stay distances. Set data.stretch to 0 for this set")
    size = factors.astype(np.float32)
    item["surface"][:, :3] *= size
    normals = item["surface"][:, 3:6] / size
    item["surface"][:, 3:6] = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    item["points"] = item["points"] * size
    if "views" in item:
        across = size[[0, 2, 0, 2]][: len(item["views"])]
        factor = torch.from_numpy(np.stack([across, np.full_like(across, size[1])], axis=-1))
        item["views"] = scaled(torch.from_numpy(item["views"])[None], factor[None])[0].numpy()


def as_floats(pixels: UInt8[np.ndarray, "K S S 4"]) -> Float[np.ndarray, "K 4 S S"]:
    """8-bit pictures as contiguous floats in [0, 1], channels first."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).astype(np.float32) / np.float32(255)


def _rows(random: np.random.Generator, total: int, count: int, what: str) -> Int[np.ndarray, " R"]:
    if count > total:
        raise ShapeFileError(Path(what), f"{count} are wanted, {total} are there")
    return random.choice(total, count, replace=False)
