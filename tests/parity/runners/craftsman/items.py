"""Runners of what the released loaders draw from an object's files: the files are written, our loader reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from framework.data.shape_files import GROUP
from framework.data.shape_samples import ItemOptions, ShapeSamples
from framework.data.shape_store import FolderStore
from tests.parity.expressions import assignments, evaluate
from tests.parity.fixture import Fixture, FixtureError

_NAME = "000-000/object"


class FixedRows:
    """Stands for the loader's generator: a fresh one with the fixture's seed for each draw, and a given view group."""

    def __init__(self, seed: int, group: int = 0) -> None:
        self.seed, self.group = seed, group

    def choice(self, total: int, count: int, replace: bool) -> np.ndarray:
        """Rows of a draw."""
        return np.random.default_rng(self.seed).choice(total, count, replace=replace)

    def integers(self, groups: int) -> int:
        """The group of views."""
        return self.group


def first_generation(fixture: Fixture) -> dict[str, Any]:
    """Family v1_dataset: an item of the Objaverse-MIX layout with the views that start at `config.idx`.

    `values.inputs` = {"pointcloud.npz": {"points", "normals": expressions}, "points.npz": {"points", "occupancies":
    expressions, which may use the ones before}, "images": {"pixels": expression of i, "count": files}, "rots.npy":
    {"rot": [first, last view that is turned by the stored `rot`]}, "sampling": {"seed"}}. Without `values` the
    sentences `name=expression; ...`, `<expression> RGBA, files 0.png..<n>.png`, `for <a>-<b> the stored `rot`` and
    `default_rng(<seed>)` are read.
    """
    config = fixture.config
    options = ItemOptions(
        surface_points=config["n_samples"],
        supervision_points=config["n_supervision"],
        views=config["n_views"],
        all_groups=True,
    )
    start = int(np.ravel(config["idx"])[0])
    if start % GROUP:
        raise FixtureError(f"views from {start} on are no group of front, right, back, left")
    rows = FixedRows(_seed(fixture), start // GROUP)
    with TemporaryDirectory() as folder:
        item = _drawn(_first_layout(fixture, Path(folder)), options, rows)
    rgba, background = item["views"].transpose(0, 2, 3, 1), np.asarray(config["background"], np.float32)
    return {
        "surface": item["surface"],
        "rand_points": item["points"],
        "occupancies": item["occupancy"],
        "mvimages": rgba[..., :3] * rgba[..., 3:] + background * (1 - rgba[..., 3:]),
        "c2ws": blender_cameras(item["world_from_camera"]),
    }


def second_generation(fixture: Fixture) -> dict[str, Any]:
    """Family v15_dataset: geometry of an item with signed distances, whose original is positive inside.

    `config` has `n_supervision`, `tsdf_threshold` and `random` (`n_samples` times `upsample_ratio` surface rows).
    `values.inputs` = {"surface npz": {"surface", "rand_points", "sdfs": expressions; p are the points}, "sampling":
    {"seed"}}; without `values` the sentences `name=expression, ...` and `default_rng(<seed>)` are read.
    """
    config = fixture.config
    drawn = config.get("random", {})
    options = ItemOptions(
        surface_points=drawn["n_samples"] * drawn["upsample_ratio"], supervision_points=config["n_supervision"]
    )
    arrays = _arrays(fixture, "surface npz")
    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / _NAME).parent.mkdir()
        np.savez(root / f"{_NAME}.npz", **arrays)
        _write_json(root / "train.json", [_NAME])
        store = FolderStore(root, "train", root, root / "images")
        whole = store.arrays(0).surface.astype(np.float32)
        item = _drawn(store, options, FixedRows(_seed(fixture)))
    inside = -item["sdf"]  # ours is negative inside
    limit = config["tsdf_threshold"]
    return {
        "surface": whole,
        "surface_random": item["surface"],
        "rand_points": item["points"],
        "target_sdf": inside,
        "target_occupancy": item["occupancy"],
        "target_tsdf": np.clip(inside, -limit, limit) / limit,
    }


def blender_cameras(world_from_camera: np.ndarray) -> np.ndarray:
    """Our cameras as the original labels them: in a z-up world, one unit from the origin."""
    z_up_from_y_up = np.array([[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]], np.float64)
    cameras = z_up_from_y_up @ world_from_camera.astype(np.float64)
    cameras[:, :3, 3] /= np.linalg.norm(cameras[:, :3, 3], axis=-1, keepdims=True)
    return cameras


def _drawn(store: FolderStore, options: ItemOptions, rows: FixedRows) -> dict[str, np.ndarray]:
    """The item of the only object, as arrays."""
    item = ShapeSamples(store, options).item(0, rows)  # type: ignore[arg-type]
    if item["id"] != _NAME:
        raise FixtureError(f"the item calls itself {item['id']!r}, expected {_NAME!r}")
    return {name: value.numpy() for name, value in item.items() if hasattr(value, "numpy")}


def _first_layout(fixture: Fixture, root: Path) -> FolderStore:
    """The fixture's object as files below `root`."""
    geometry, images = root / "occupancy" / _NAME, root / "images" / _NAME
    for folder in (geometry, images):
        folder.mkdir(parents=True)
    for file in ("pointcloud.npz", "points.npz"):
        np.savez(geometry / file, **_arrays(fixture, file))
    pictures = _pictures(fixture)
    for number, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(images / f"{number}.png")
    np.save(images / "rots.npy", _rotations(fixture, len(pictures)))
    _write_json(root / "train.json", [f"occupancy/{_NAME}"])
    return FolderStore(root, "train", root, root / "images")


def _arrays(fixture: Fixture, file: str) -> dict[str, Any]:
    """The arrays of a file, in the order of their description; each may use those before it."""
    facts = fixture.descriptions[file]
    named: dict[str, Any] = {}
    for name, sentence in (facts if isinstance(facts, dict) else assignments(facts)).items():
        named[name] = evaluate(sentence, fixture.salt, named | {"p": named.get("rand_points")})
    return named


def _pictures(fixture: Fixture) -> list[np.ndarray]:
    facts = fixture.descriptions["images"]
    if not isinstance(facts, dict):
        facts = {"pixels": facts, "count": 1 + int(_found(r"0\.png\.\.(\d+)\.png", facts, "images")[1])}
    return [evaluate(facts["pixels"], fixture.salt, {"i": number}) for number in range(facts["count"])]


def _rotations(fixture: Fixture, views: int) -> np.ndarray:
    facts = fixture.descriptions["rots.npy"]
    if not isinstance(facts, dict):
        match = _found(r"for (\d+)-(\d+) the stored `rot`", facts, "rots.npy")
        facts = {"rot": [int(match[1]), int(match[2])]}
    rotations = np.stack([np.eye(4)] * views)
    first, last = facts["rot"]
    rotations[first : last + 1] = fixture.stored("rot")
    return rotations


def _seed(fixture: Fixture) -> int:
    facts = fixture.descriptions["sampling"]
    return int(facts["seed"] if isinstance(facts, Mapping) else _found(r"default_rng\((\d+)\)", facts, "sampling")[1])


def _found(pattern: str, sentence: str, name: str) -> re.Match[str]:
    match = re.search(pattern, sentence)
    if match is None:
        raise FixtureError(f"inputs.{name} is not understood: {sentence!r}. Give values.inputs")
    return match


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
