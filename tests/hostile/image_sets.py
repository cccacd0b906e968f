"""Hostile pictures given to `prepare data=image_lmdb`, and hostile sets of pictures given to `train`."""

from __future__ import annotations

import functools
import io
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image as PilImage
from torch import Tensor, nn

from framework import registry
from framework.data.image_set import SET_FILE, UNFINISHED_FILE
from framework.data.lmdb_store import write_lmdb
from framework.data.prepare_images import PROGRESS
from framework.data.square_pictures import SUFFIXES
from framework.optional import has
from framework.systems.system import System
from framework.testing.picture_set import write_picture_set
from tests.hostile.files import Content, cuts, damaged, damaged_json, odd_places, put
from tests.hostile.pictures import pictures, png, zlib_bomb
from tests.hostile.sandbox import Hostile
from tests.hostile.shape_sets import PAGE

NAME = "testing/thumbnails"
PREPARE = ("prepare", "data=image_lmdb", "data.sizes=[32]", "data.processes=1", "output=out")
TRAIN = ("train", f"system.type={NAME}", "data=image_lmdb", "data.root={folder}/set", "data.thumb_resolution=8")
TRAIN += ("data.val_fraction=0.3", "data.batch_size=8", "device=cpu", "output=out", "trainer.max_steps=2")
LENGTH = "length"


@dataclass(kw_only=True)
class ThumbnailsConfig:
    """No options."""


class Thumbnails(System):
    """Learns the mean colour of pictures: something that reads a set."""

    Config = ThumbnailsConfig
    registry_name = NAME

    def __init__(self, config: ThumbnailsConfig) -> None:
        super().__init__(config)
        self.colour = nn.Parameter(torch.zeros(3))

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Return the mean squared error."""
        return (batch["thumbnail"].mean(dim=(2, 3)) - self.colour).square().mean()

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Log the mean squared error."""
        self.log("val/loss", self.training_step(batch, batch_idx), batch_size=len(batch["thumbnail"]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Plain descent."""
        return torch.optim.SGD(self.parameters(), lr=0.1)


def image_sets() -> Iterator[Hostile]:
    """All of them, the same ones each time; none without LMDB."""
    if not has("lmdb"):
        return
    if NAME not in registry.names("system"):
        registry.register("system", NAME, registry.Entry(f"{__name__}:Thumbnails", f"{__name__}:ThumbnailsConfig"))
    yield from _sources()
    for name, content in (*cuts(whole(), (0.001, 0.05, 0.3, 0.6, 0.99)), *odd_places()):
        if name not in ("empty", "cut00"):
            yield case(name, {SET_FILE: content}, says="set")
    yield case("empty", {SET_FILE: b""}, says=SET_FILE)
    random = np.random.default_rng(5)
    for name, content in damaged(whole()[: 6 * PAGE], random, 10, most=60):
        yield case(name, {SET_FILE: content + whole()[6 * PAGE :]}, says=SET_FILE, may_load=True)
    for name, values in _values():
        small = name == "value-bomb-behind-a-small-header"  # what is behind the header is not unpacked
        yield case(name, {SET_FILE: functools.partial(_write, values=values)}, says=SET_FILE, may_load=small)
    for name, content in (*_lists(), *((name, write) for name, write in odd_places())):
        # A list that is no file counts as none.
        yield case(
            f"list-{name}", {SET_FILE: whole(), "val.json": content}, says="val.json", may_load=callable(content)
        )
    for name, content in _progress():
        yield _unfinished(name, content)


def case(name: str, files: Mapping[str, Content], says: str, may_load: bool = False) -> Hostile:
    """A training on a set of such files."""

    def write(folder: Path) -> None:
        for place, content in files.items():
            put(folder / "set" / place, content)

    return Hostile(f"images-{name}", write, TRAIN, says=says, may_load=may_load)


def _sources() -> Iterator[Hostile]:
    """Every hostile picture, alone in a folder."""
    words = (*PREPARE, "source={folder}")
    for each in pictures():
        if Path(each.says).suffix in SUFFIXES:
            # What is no file is no picture of the folder; then the folder is named.
            name = each.name.removeprefix("picture-")
            missing = name in ("folder", "pipe", "device", "circle", "nowhere")
            says = f"images-source-{name}" if missing else each.says
            # Small pictures are good enough here, and what is behind their headers is not unpacked.
            small = name.startswith(("png-bomb-behind", "png-bomb-in"))
            yield replace(each, name=f"images-source-{name}", words=words, says=says, may_load=each.may_load or small)


@functools.cache
def whole() -> bytes:
    """A set of 12 pictures at two sizes."""
    with tempfile.TemporaryDirectory() as folder:
        return (write_picture_set(Path(folder)) / SET_FILE).read_bytes()


def _write(path: Path, values: Mapping[str, bytes]) -> None:
    write_lmdb(path, values.items())


def _encoded(picture: PilImage.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


def _values() -> Iterator[tuple[str, dict[str, bytes]]]:
    """Databases that are fine, whose keys or values are not."""
    good = _encoded(PilImage.new("RGB", (16, 16), (90, 120, 200)))
    keys = [f"16-{index:05d}" for index in range(8)]
    whole_set = {key: good for key in keys} | {LENGTH: b"8"}
    wrong = {
        "text": b"nothing",
        "nothing": b"",
        "half": good[: len(good) // 2],
        "jpeg": _encoded(PilImage.new("RGB", (16, 16)), "JPEG"),
        "script": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90 90\n(%pipe%touch owned) (w) file\n%%EOF\n",
        "larger": _encoded(PilImage.new("RGB", (17, 16))),
        "grey": _encoded(PilImage.new("L", (16, 16))),
        "alpha": _encoded(PilImage.new("RGBA", (16, 16))),
        "palette": _encoded(PilImage.new("P", (16, 16))),
        "deep": _encoded(PilImage.fromarray(np.zeros((16, 16), np.uint16))),
        "bomb": png(30_000, 30_000, depth=1, colour=0, data=zlib_bomb(108)),
        "bomb-behind-a-small-header": png(16, 16, data=zlib_bomb(400)),
        "header-only": png(16, 16),
    }
    for name, value in wrong.items():
        yield f"value-{name}", dict.fromkeys(keys, value) | {LENGTH: b"8"}
    for name, text in {"word": b"many", "minus": b"-8", "zero": b"0", "fraction": b"8.0", "bytes": b"\xff\0"}.items():
        yield f"length-{name}", whole_set | {LENGTH: text}
    for name, text in {"huge": b"9" * 400, "billion": b"999999999", "one-more": b"9", "digits": "８".encode()}.items():
        yield f"length-{name}", whole_set | {LENGTH: text}
    yield "length-missing", {key: good for key in keys}
    yield "first-missing", {key: value for key, value in whole_set.items() if key != keys[0]}
    yield "last-missing", {key: value for key, value in whole_set.items() if key != keys[-1]}
    yield "others-missing", {keys[0]: good, keys[-1]: good, LENGTH: b"8"}
    yield "too-small", {key.replace("16-", "4-"): good for key in keys} | {LENGTH: b"8"}
    yield "size-of-many-digits", {f"{'9' * 300}-00000": good, LENGTH: b"1"}
    yield "size-huge", {"900000000-00000": png(900_000_000, 900_000_000), LENGTH: b"1"}
    yield "size-large", {"30000-00000": png(30_000, 30_000, data=zlib_bomb(300)), LENGTH: b"1"}
    yield "size-of-other-digits", {"６４-00000": good, LENGTH: b"1"}


def _lists() -> Iterator[tuple[str, bytes]]:
    yield from ((name, content) for name, content in damaged_json() if name != "list")
    yield "outside", b"[12]"
    yield "negative", b"[-1]"
    yield "words", b'["1"]'
    yield "fractions", b"[1.0]"
    yield "truth", b"[true]"
    yield "all", json.dumps([*range(12)]).encode()
    yield "endless", b"[" + b"1," * 3_000_000 + b"99]"


def _progress() -> Iterator[tuple[str, Content]]:
    """Unfinished sets whose progress lies."""
    fine = {"done": 0, "digest": "", "refused": {}, "enlarged": []}
    for name, value in {
        "text": b"nothing",
        "bytes": bytes(range(256)),
        "nested": b"[" * 100_000,
        "list": b"[]",
        "number": b"3",
        "missing": b"{}",
        "done-word": json.dumps(fine | {"done": "all"}).encode(),
        "done-many": json.dumps(fine | {"done": 10**9}).encode(),
        "done-negative": json.dumps(fine | {"done": -3}).encode(),
        "refused-list": json.dumps(fine | {"refused": [1]}).encode(),
        "enlarged-word": json.dumps(fine | {"enlarged": "all"}).encode(),
        "enlarged-words": json.dumps(fine | {"enlarged": ["all", [1]]}).encode(),
        "refused-words": json.dumps(fine | {"refused": {"0": 1}}).encode(),
    }.items():
        yield name, functools.partial(_write, values={PROGRESS.decode(): value})
    yield "text-file", b"no database" * 1000
    yield "cut", whole()[:5000]
    yield "folder", lambda path: path.mkdir()
    yield "pipe", os.mkfifo


def _unfinished(name: str, content: Content) -> Hostile:
    """A preparation that goes on with such a file."""

    def write(folder: Path) -> None:
        put(folder / "out" / "prepare.json", json.dumps({"schema": 1, "sizes": [32], "resample": "lanczos"}).encode())
        put(folder / "out" / UNFINISHED_FILE, content)
        put(folder / "source" / "fine.png", _encoded(PilImage.new("RGB", (40, 40), (9, 9, 200))))

    words = (*PREPARE, "source=source")
    says = "out" if name == "done-many" else UNFINISHED_FILE  # which is only more than there is
    return Hostile(f"images-unfinished-{name}", write, words, says=says, in_work=True)
