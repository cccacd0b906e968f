"""Runners of pictures: a prepared set and its items, and 8-bit pictures that are written."""

from __future__ import annotations

import io
import re
import tempfile
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from framework.data.config import ImageLmdbConfig
from framework.data.image_lmdb import ImageItems, ImageLmdbData
from framework.data.image_set import ImageSet
from framework.data.lmdb_reading import opened_lmdb
from framework.data.preparation import PrepareJob
from framework.data.prepare_images import prepare_images
from framework.data.square_pictures import square
from framework.export.images import save_png, to_bytes
from tests.parity.fixture import Fixture, FixtureError


def dataset(fixture: Fixture) -> dict[str, Any]:
    """Family dataset: pictures of a formula, prepared from files and read as items.

    `inputs` lists width and height of the pictures, and their `pixels` in words; `config` has sizes, resample,
    resolution and nerf_resolution. `lmdb_keys` and `length_value` are what the set must hold. Outputs are named
    `png.<key>`, `bilinear.<picture>` (with the other filter) and `item<picture>.flip<0|1>.<image|thumb>`.
    """
    config = fixture.config
    pictures = [_picture(fixture, *sides) for sides in fixture.descriptions["images (w,h)"]]
    with tempfile.TemporaryDirectory() as folder:
        options = ImageLmdbConfig(
            root=str(Path(folder) / "set"),
            sizes=tuple(config["sizes"]),
            resample=config["resample"],
            resolution=config["resolution"],
            thumb_resolution=config["nerf_resolution"],
            val_fraction=0.0,
            processes=1,
        )
        _prepare(pictures, Path(folder), options)
        source = ImageSet(Path(options.root))
        _check_keys(fixture, source)
        items = ImageLmdbData(options).dataset("train")
        return {name: _output(fixture, name, pictures, source, items) for name in fixture.expected}


def _picture(fixture: Fixture, width: int, height: int) -> Image.Image:
    """The picture of the sentence `pixels`, whose numbers may be others."""
    sentence, number = str(fixture.descriptions["pixels"]), r"(\d+)"
    found = re.match(
        rf"r=\({number}x\+{number}y\+{number}s\)%256, g=\(\(x\^2\+{number}y\^2\)//{number}\+{number}s\)%256, "
        rf"b=\({number}\*\(x xor y\)\+x\*y//{number}\)%256",
        sentence,
    )
    if found is None:
        raise FixtureError(f"inputs.pixels is not understood: {sentence!r}")
    red_x, red_y, red_s, green_y, green_by, green_s, blue_xor, blue_by = map(int, found.groups())
    shift = re.search(r"s ?= ?(\d+)", sentence[found.end() :])
    s = int(shift[1]) if shift else fixture.salt
    y, x = np.mgrid[:height, :width]
    red = red_x * x + red_y * y + red_s * s
    green = (x**2 + green_y * y**2) // green_by + green_s * s
    blue = blue_xor * (x ^ y) + x * y // blue_by
    return Image.fromarray((np.stack([red, green, blue], axis=-1) % 256).astype(np.uint8))


def _prepare(pictures: list[Image.Image], folder: Path, options: ImageLmdbConfig) -> None:
    source = folder / "pictures"
    source.mkdir()
    for number, picture in enumerate(pictures):
        picture.save(source / f"im{number}.png")
    job = PrepareJob(
        source=source,
        output=Path(options.root),
        seed=0,
        read_mesh=lambda path: None,  # type: ignore[arg-type, return-value]
        mesh_suffixes=(),
        watch=lambda outcome, done, total: None,
    )
    refused = [outcome.reason for outcome in prepare_images(options, job) if outcome.status == "failed"]
    if refused:
        raise FixtureError(f"a picture was refused: {refused[0]}")


def _check_keys(fixture: Fixture, source: ImageSet) -> None:
    with opened_lmdb(source.path) as file:
        keys = sorted(key.decode() for key in file)
    if keys != sorted(fixture.facts["lmdb_keys"]):
        raise FixtureError(f"the set has the keys {keys}, expected {fixture.facts['lmdb_keys']}")
    if str(source.length()) != fixture.facts["length_value"]:
        raise FixtureError(f"length is {source.length()}, expected {fixture.facts['length_value']}")


def _output(fixture: Fixture, name: str, pictures: list[Image.Image], source: ImageSet, items: ImageItems) -> Any:
    kind, _, rest = name.partition(".")
    if kind == "png":
        size, index = map(int, rest.split("-"))
        return np.asarray(Image.open(io.BytesIO(source.png(size, index))))
    if kind == "bilinear":
        return np.asarray(square(pictures[int(rest)], len(fixture.expected[name]), "bilinear"))
    index, (flip, part) = int(kind.removeprefix("item")), rest.split(".")
    epoch = next(epoch for epoch in count() if items.mirrored(epoch, index) == (flip == "flip1"))
    return items[epoch, index]["thumbnail" if part == "thumb" else part]


def image_output(fixture: Fixture) -> dict[str, Any]:
    """Family image_output: `inputs.x`, pictures (B, 3, H, W) around [-1, 1], side by side in a PNG file and as frames
    of a video.
    """
    pixels = (fixture.input("x").transpose(0, 2, 3, 1) + 1) / 2
    return {"png_row": _written(np.concatenate(list(pixels), axis=1)), "video_u8": to_bytes(pixels, "down")}


def _written(pixels: np.ndarray) -> UInt8[np.ndarray, "H W 3"]:
    with tempfile.TemporaryDirectory() as folder, Image.open(save_png(pixels, Path(folder) / "row.png")) as picture:
        return np.asarray(picture)
