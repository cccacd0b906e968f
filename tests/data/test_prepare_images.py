"""Pictures become a set in the published layout: right squares, reasons for refused ones, nothing half-written."""

from __future__ import annotations

import io
import json
import resource
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from framework.artifacts.picture_files import MAX_PIXELS
from framework.data import prepare_images as preparation
from framework.data.config import ImageLmdbConfig
from framework.data.image_set import SET_FILE, UNFINISHED_FILE, ImageSet, ImageSetError
from framework.data.lmdb_reading import opened_lmdb
from framework.data.preparation import Outcome, PrepareError, PrepareJob
from framework.data.prepare_images import prepare_images
from framework.data.square_pictures import PictureTask, find_pictures, square, squares
from framework.export.mesh_files import load_mesh
from framework.testing.picture_set import ellipse
from tests.data.deadly_pictures import squares_or_death

lmdb = pytest.importorskip("lmdb", reason="extra 'data' is not installed")
COUNT = 5


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Five pictures of several formats and modes in folders; one with a bad file among them."""
    folder = tmp_path / "source"
    for number, name in enumerate(("a.png", "b/c.jpg", "b.webp", "d/e/f.bmp", "d/e.tif")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PilImage.fromarray(ellipse(number, 13 + number)).save(path)
    (folder / "b" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(30))
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "notes.txt").write_text("no picture")
    return folder


def prepared(source: Path, output: Path, seen: list[Outcome] | None = None, **options: object) -> list[Outcome]:
    config = ImageLmdbConfig(**({"sizes": (8, 16), "processes": 1} | options))  # type: ignore[arg-type]

    def watch(outcome: Outcome, done: int, total: int) -> None:
        if seen is not None:
            seen.append(outcome)

    job = PrepareJob(source=source, output=output, seed=0, read_mesh=load_mesh, mesh_suffixes=(), watch=watch)
    return prepare_images(config, job)


def content(output: Path) -> dict[bytes, bytes]:
    with opened_lmdb(output / SET_FILE) as file:
        return {key: file.get(key) or b"" for key in file}


def test_the_layout_is_the_published_one(source: Path, tmp_path: Path) -> None:
    """Numbers follow the sorted paths as text, bad pictures take none; LMDB's own library reads the folder."""
    seen: list[Outcome] = []
    outcomes = prepared(source, tmp_path / "set", seen)
    assert seen == outcomes
    names = [Path(outcome.source).relative_to(source).as_posix() for outcome in outcomes]
    assert names == ["a.png", "b.webp", "b/broken.png", "b/c.jpg", "d/e.tif", "d/e/f.bmp"]
    assert [outcome.id for outcome in outcomes] == ["00000", "00001", "b/broken.png", "00002", "00003", "00004"]
    assert [outcome.status for outcome in outcomes if outcome.id == "b/broken.png"] == ["failed"]
    options = {"readonly": True, "lock": False, "readahead": False}
    with lmdb.open(str(tmp_path / "set"), **options) as environment, environment.begin() as transaction:
        keys = [bytes(key) for key, _ in transaction.cursor()]
        assert transaction.get(b"length") == b"5"
    assert sorted(keys) == sorted(
        [*(f"{size}-{index:05d}".encode() for size in (8, 16) for index in range(5)), b"length"]
    )
    values = content(tmp_path / "set")
    for number, name in enumerate(("a.png", "b.webp", "b/c.jpg", "d/e.tif", "d/e/f.bmp")):
        with PilImage.open(source / name) as picture, PilImage.open(io.BytesIO(values[b"16-0000%d" % number])) as made:
            assert made.format == "PNG" and made.mode == "RGB"
            np.testing.assert_array_equal(made, square(picture.convert("RGB"), 16, "lanczos"))


@pytest.mark.parametrize(("sides", "box"), [((30, 40), (10, 13)), ((41, 30), (13, 10)), ((10, 17), (10, 17))])
def test_squares_are_cut_out_of_the_middle(sides: tuple[int, int], box: tuple[int, int]) -> None:
    """Shorter side resized, the longer one rounded down, the middle by Python's rounding."""
    pixels = np.random.default_rng(0).integers(0, 256, (*sides[::-1], 3), np.uint8)
    picture = PilImage.fromarray(pixels)
    resized = picture if min(sides) == 10 else picture.resize(box, PilImage.Resampling.BILINEAR)
    left, top = ((13 - 10) / 2, 0) if box[0] == 13 else (0, (box[1] - 10) / 2)
    expected = np.asarray(resized)[round(top) : round(top) + 10, round(left) : round(left) + 10]
    np.testing.assert_array_equal(square(picture, 10, "bilinear"), expected)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "F"])
def test_any_mode_becomes_rgb(mode: str, tmp_path: Path) -> None:
    suffix = {"CMYK": "jpg", "F": "tif"}.get(mode, "png")
    grey = PilImage.fromarray(np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1)))
    if mode == "I;16":
        picture = PilImage.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    else:
        picture = grey.quantize(64) if mode == "P" else (grey if mode == "F" else grey.convert("RGB")).convert(mode)
    picture.save(tmp_path / f"picture.{suffix}")
    made = squares(PictureTask(tmp_path / f"picture.{suffix}", (64,), "lanczos"))
    assert not made.reason
    pixels = np.asarray(PilImage.open(io.BytesIO(made.files[0]))).astype(int)
    assert pixels.shape == (64, 64, 3)
    if mode != "1":
        assert np.abs(pixels - np.asarray(grey.convert("RGB"))).max() <= 12  # palettes and JPEG are near only


def test_an_animation_gives_its_first_picture_and_a_turned_photograph_stands_upright(tmp_path: Path) -> None:
    first, second = (PilImage.fromarray(ellipse(number, 32)) for number in (1, 2))
    first.save(tmp_path / "film.webp", save_all=True, append_images=[second], lossless=True)
    exif = PilImage.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to the right
    first.save(tmp_path / "turned.png", exif=exif)
    found = [squares(PictureTask(tmp_path / name, (32,), "lanczos")).files[0] for name in ("film.webp", "turned.png")]
    np.testing.assert_array_equal(PilImage.open(io.BytesIO(found[0])), first)
    np.testing.assert_array_equal(PilImage.open(io.BytesIO(found[1])), first.rotate(-90))


def test_odd_pictures_are_refused_with_reasons(tmp_path: Path) -> None:
    PilImage.new("RGB", (1, 1)).save(tmp_path / "a.png")
    PilImage.new("L", (8, MAX_PIXELS // 64)).save(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(b"")
    (tmp_path / "d.png").write_bytes(b"nothing")
    whole = io.BytesIO()
    PilImage.fromarray(ellipse(0, 64)).save(whole, "PNG")
    (tmp_path / "e.png").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    (tmp_path / "f.png").write_bytes(whole.getvalue())
    made = [squares(PictureTask(path, (64,), "lanczos")) for path in find_pictures(tmp_path)]
    reasons = [each.reason for each in made]
    assert "only 1 x 1 pixels" in reasons[0]
    assert "Cut out the part" in reasons[1]
    assert "empty" in reasons[2]
    assert "not a picture" in reasons[3]
    assert "damaged or cut off" in reasons[4]
    assert reasons[5] == ""
    assert not any(str(tmp_path) in reason for reason in reasons)  # the report names the file beside the reason
    assert squares(PictureTask(tmp_path / "f.png", (64, 65), "lanczos")).enlarged


def test_nothing_usable_makes_no_set(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.png").write_bytes(b"nothing")
    outcomes = prepared(tmp_path / "source", tmp_path / "set")
    assert [outcome.status for outcome in outcomes] == ["failed"]
    assert not (tmp_path / "set" / SET_FILE).exists()
    with pytest.raises(ImageSetError, match=r"not finished"):
        ImageSet(tmp_path / "set")


class Killed(Exception):
    """Ends a preparation at once."""


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done is committed after every picture."""
    monkeypatch.setattr(preparation, "SECONDS", -1.0)


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("after", range(COUNT + 1))
def test_an_interrupted_preparation_goes_on(
    after: int, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After any picture: those that were done are not read again, and all contents are the same bytes."""
    whole = prepared(source, tmp_path / "whole")
    runs: list[list[str]] = [[], []]

    def watched(task: PictureTask) -> object:
        if len(runs[0]) == after and not resumed:
            raise Killed
        runs[resumed].append(task.path.name)
        return squares(task)

    monkeypatch.setattr(preparation, "squares", watched)
    resumed = False
    with pytest.raises(Killed):
        prepared(source, tmp_path / "set")
    assert (tmp_path / "set" / UNFINISHED_FILE).is_file()
    assert not (tmp_path / "set" / SET_FILE).exists()
    resumed = True
    outcomes = prepared(source, tmp_path / "set")
    assert runs[0] + runs[1] == [Path(outcome.source).name for outcome in whole]
    assert content(tmp_path / "set") == content(tmp_path / "whole")
    assert [facts(outcome) for outcome in outcomes] == [facts(outcome) for outcome in whole]
    assert [outcome.status for outcome in outcomes if not outcome.reason].count("written") == sum(
        name != "broken.png" for name in runs[1]
    )
    assert not (tmp_path / "set" / UNFINISHED_FILE).exists()
    again = prepared(source, tmp_path / "set")
    assert {outcome.status for outcome in again} == {"kept", "failed"}
    assert [facts(outcome) for outcome in again] == [facts(outcome) for outcome in whole]


def facts(outcome: Outcome) -> tuple[object, ...]:
    """What does not depend on interruptions."""
    return outcome.id, outcome.source, outcome.reason, outcome.split, outcome.remarks


@pytest.mark.usefixtures("often")
def test_other_pictures_than_those_that_were_done_are_an_error(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures behind those that are done may change, and come into the set as they are then."""

    def killed(task: PictureTask) -> object:
        if task.path.name == "e.tif":
            raise Killed
        return squares(task)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(preparation, "squares", killed)
        prepared(source, tmp_path / "set")
    shutil.copytree(tmp_path / "set", tmp_path / "other")
    PilImage.fromarray(ellipse(9, 30)).save(source / "z.png")
    assert len(prepared(source, tmp_path / "set")) == 7
    PilImage.fromarray(ellipse(9, 30)).save(source / "a.png")
    for output in ("set", "other"):
        with pytest.raises(PrepareError, match=r"added, removed or changed since.*Give another output"):
            prepared(source, tmp_path / output)


def test_processes_make_the_same_set_and_a_killed_one_costs_one_picture(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(source, tmp_path / "one")
    prepared(source, tmp_path / "two", processes=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    monkeypatch.setattr(preparation, "squares", squares_or_death)
    found = {Path(outcome.source).name: outcome for outcome in prepared(source, tmp_path / "three", processes=2)}
    assert "process was killed" in found["b.webp"].reason
    assert sum(outcome.status == "written" for outcome in found.values()) == COUNT - 1
    (source / "b.webp").unlink()
    prepared(source, tmp_path / "four")
    assert content(tmp_path / "three") == content(tmp_path / "four")


def test_lists_fix_what_is_held_back(source: Path, tmp_path: Path) -> None:
    outcomes = prepared(source, tmp_path / "set", write_lists=True, val_fraction=0.3, test_fraction=0.3)
    lists = {name: json.loads((tmp_path / "set" / f"{name}.json").read_text()) for name in ("val", "test")}
    assert lists == {name: [int(each.id) for each in outcomes if each.split == name] for name in ("val", "test")}
    found = ImageSet(tmp_path / "set")
    assert all(lists.values()) and [found.indexes(name, 0.0, 0.0) for name in lists] == list(lists.values())
    assert sorted([*found.indexes("train", 0, 0), *lists["val"], *lists["test"]]) == list(range(COUNT))


def _errors(source: Path, tmp_path: Path) -> Iterator[tuple[Path, Path, dict[str, object], str]]:
    prepared(source, tmp_path / "set")
    (tmp_path / "official").mkdir()
    (tmp_path / "official" / SET_FILE).write_bytes(b"")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    yield tmp_path / "absent", tmp_path / "x", {}, "is no folder"
    yield tmp_path / "file", tmp_path / "x", {}, "is no folder"
    yield tmp_path / "empty", tmp_path / "x", {}, "holds no picture. Looked for .jpg"
    yield source, tmp_path / "official", {}, "holds files that prepare didn't write"
    yield source, tmp_path / "file" / "x", {}, "can't be made"
    yield source, tmp_path / "set", {"sizes": (8, 16, 32)}, r"other options (sizes [8, 16] -> [8, 16, 32])"
    yield source, tmp_path / "set", {"resample": "bilinear"}, "other options (resample lanczos -> bilinear)"


def test_what_can_not_be_made_is_said(source: Path, tmp_path: Path) -> None:
    for where, output, options, text in _errors(source, tmp_path):
        with pytest.raises(PrepareError) as caught:
            prepared(where, output, **options)
        assert text in str(caught.value)
    (tmp_path / "set" / "report.json").unlink()
    with pytest.raises(PrepareError, match=r"report.json is missing or damaged.*data.root="):
        prepared(source, tmp_path / "set")


@pytest.mark.usefixtures("often")
def test_a_full_disk_is_an_error_and_no_set(source: Path, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    big = tmp_path / "big"
    big.mkdir()
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 256, (200, 200, 3), np.uint8)
        PilImage.fromarray(noise).save(big / f"{number}.png")
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        with pytest.raises(OSError, match="can't be written|too large"):
            prepared(big, tmp_path / "set", sizes=(200,))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert not (tmp_path / "set" / SET_FILE).exists()
    assert len(prepared(big, tmp_path / "set", sizes=(200,))) == 4
    assert ImageSet(tmp_path / "set").length() == 4
