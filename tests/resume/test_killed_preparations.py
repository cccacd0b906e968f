"""Preparations and predictions that are killed again and again: nothing half, nothing lost, nothing twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PilImage
from PIL import ImageDraw

from framework.artifacts.digest import digest
from framework.data.image_set import SET_FILE, UNFINISHED_FILE
from framework.data.lmdb_reading import opened_lmdb
from framework.data.lmdb_store import LMDB_FILE, encode, packed_names, read_packed
from framework.data.prepare_images import PROGRESS
from framework.data.procedural.catalogue import generate
from framework.data.procedural.sampling import build_mesh
from framework.export.mesh_files import save_mesh
from framework.testing.picture_set import ellipse
from tests.resume.files import check_whole, leftovers
from tests.resume.processes import Killer, Running

OBJECTS = 10
SAMPLES = "surface_samples=2000 volume_samples=2000 near_samples=500 view_size=48 val_fraction=0.2 test_fraction=0.2"
SHAPES = ["prepare", "data=shapes", *(f"data.prepare.{option}" for option in SAMPLES.split())]
TOY = "train=6 val=2 test=2 samples=2000 render_size=48 surface_points=64 supervision_points=64 validation_points=64"
PROCEDURAL = ["prepare", "data=procedural", *(f"data.{option}" for option in TOY.split())]
PICTURES, FACES = 4, 120
STAGES = "shape.steps=2 shape.guidance=1.0 shape.extraction.depth=4"
PREDICT = ["predict", "method=craftsman/small", "device=cpu", "turntable=false"]
PREDICT += [f"method.stages.{option}" for option in STAGES.split()]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders with meshes, one of them no mesh, and with pictures."""
    root = tmp_path_factory.mktemp("sources")
    for number in range(OBJECTS):
        save_mesh(build_mesh(generate("mug", number), resolution=24), root / "meshes" / f"mug_{number}.obj")
    (root / "meshes" / "broken.obj").write_text("v nothing")
    (root / "pictures").mkdir()
    for number in range(PICTURES):
        picture = PilImage.new("RGB", (80, 80), (255, 255, 255))
        ImageDraw.Draw(picture).ellipse((10, 10 + 5 * number, 70, 70), fill=(200, 30 * number, 40))
        picture.save(root / "pictures" / f"p{number}.png")
    return root


def killed(
    place: Path, words: list[str], kills: int, cold_share: float = 0.0, check: Callable[[Path], None] | None = None
) -> tuple[Path, list[Path]]:
    """Run a command in `place` without a kill, then again and again with kills; returns the output of the first and of
    all others. `check(output)` is called after each kill, beside reading all files.
    """

    def started(name: str) -> tuple[Path, Callable[[bool], Running]]:
        folder = place / name
        folder.mkdir()
        return folder / "out", lambda cold: Running([*words, "output=out"], folder, cold=cold)

    lives = []
    for cold in (False, True) if cold_share else (False,):
        whole, start = started(f"whole{cold:d}")
        running = start(cold)
        assert running.wait() == [0], running.text()
        lives.append(running.seconds)
    killer, outputs = Killer(kills, lives), []
    while killer.left:
        output, start = started(f"round{len(outputs)}")

        def after_kill(output: Path = output) -> None:
            check_whole(output)
            if check is not None and output.exists():
                check(output)

        killer.until_finished(start, after_kill, cold_share=cold_share)
        check_whole(output)
        assert not leftovers(output), str(killer)
        outputs.append(output)
    print(f"{len(outputs)} rounds, {killer}")  # noqa: T201
    return whole, outputs


def files(folder: Path, *left_out: str) -> dict[str, str]:
    """Name -> hash of all files but those that tell times."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name not in left_out)
    return {path.relative_to(folder).as_posix(): digest(path) for path in paths}


def report(output: Path) -> dict[str, Any]:
    """The report of a preparation without times, and without what tells a new object from one that was there."""
    told = json.loads((output / "report.json").read_text())
    left_out = ("seconds", "status")
    objects = [{key: value for key, value in each.items() if key not in left_out} for each in told["objects"]]
    return {"splits": told["splits"], "objects": objects}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("workers", "kills", "cold_share"), [(1, 6, 0.2), (2, 2, 0.0)])
def test_folders(tmp_path: Path, sources: Path, workers: int, kills: int, cold_share: float) -> None:
    words = [*SHAPES, f"source={sources / 'meshes'}", f"data.prepare.workers={workers}"]
    whole, outputs = killed(tmp_path, words, kills, cold_share)
    for output in outputs:
        assert files(output, "report.json") == files(whole, "report.json")
        assert report(output) == report(whole)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_one_packed_file(tmp_path: Path, sources: Path) -> None:
    words = [*SHAPES, f"source={sources / 'meshes'}", "data.prepare.workers=1", "data.prepare.pack=lmdb"]
    whole, outputs = killed(tmp_path, words, 6)
    assert sum(len(json.loads((whole / f"{split}.json").read_text())) for split in ("train", "val", "test")) == OBJECTS
    for output in outputs:
        assert files(output, "report.json", LMDB_FILE) == files(whole, "report.json", LMDB_FILE)
        assert report(output) == report(whole)
        contents = [
            {name: encode(read_packed(folder / LMDB_FILE, name)) for name in packed_names(folder / LMDB_FILE)}
            for folder in (whole, output)
        ]
        assert contents[0] == contents[1]
        assert len(contents[0]) == OBJECTS


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("processes", "kills", "cold_share"), [(1, 8, 0.2), (2, 3, 0.0)])
def test_picture_sets(tmp_path: Path, processes: int, kills: int, cold_share: float) -> None:
    """The set is the same key by key, and no picture that was committed is made again."""
    (tmp_path / "faces").mkdir()
    for number in range(FACES):
        pixels = ellipse(number, 400 + number)
        PilImage.fromarray(pixels).save(tmp_path / "faces" / f"f{number:03d}.png", compress_level=1)
    (tmp_path / "faces" / "f010a.png").write_bytes(b"nothing")
    committed: dict[Path, int] = {}

    def check(output: Path) -> None:
        if (output / UNFINISHED_FILE).is_file() and (output / UNFINISHED_FILE).stat().st_size:
            with opened_lmdb(output / UNFINISHED_FILE) as file:
                done = json.loads(file.get(PROGRESS) or b'{"done": 0}')["done"] if list(file) else 0
            assert done >= committed.get(output, 0)
            committed[output] = done

    words = [
        "prepare",
        "data=image_lmdb",
        f"source={tmp_path / 'faces'}",
        "data.sizes=[512,64]",
        "data.write_lists=true",
    ]
    words += [f"data.processes={processes}", "data.val_fraction=0.1"]
    whole, outputs = killed(tmp_path, words, kills, cold_share, check)
    for output in outputs:
        assert files(output, "report.json", SET_FILE) == files(whole, "report.json", SET_FILE)
        assert report(output) == report(whole)
        objects = json.loads((output / "report.json").read_text())["objects"]
        made = sum(each["status"] == "written" for each in objects)
        assert made <= FACES - committed.get(output, 0) + 1  # the refused one counts among the committed
        contents = []
        for folder in (whole, output):
            with opened_lmdb(folder / SET_FILE) as file:
                contents.append({key: file.get(key) for key in file})
        assert contents[0] == contents[1]
        assert len(contents[0]) == 2 * FACES + 1
    assert any(committed.values())


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_objects_from_a_seed(tmp_path: Path) -> None:
    whole, outputs = killed(tmp_path, [*PROCEDURAL, "data.processes=0"], 6)
    for output in outputs:
        assert files(output) == files(whole)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_predictions(tmp_path: Path, sources: Path) -> None:
    """A case that was finished before a kill is not made again."""
    finished: dict[Path, int] = {}

    def check(output: Path) -> None:
        for path in output.glob("*/case.json"):
            if json.loads(path.read_text())["status"] == "finished":
                assert finished.setdefault(path, path.stat().st_mtime_ns) == path.stat().st_mtime_ns

    whole, outputs = killed(tmp_path, [*PREDICT, f"input={sources / 'pictures'}"], 20, 0.2, check)
    times = ("case.json", "manifest.json", "config.yaml")
    for output in outputs:
        check(output)
        assert files(output, *times) == files(whole, *times)
        for number in range(PICTURES):
            records = [json.loads((folder / f"p{number}" / "case.json").read_text()) for folder in (whole, output)]
            assert records[1]["status"] == "finished"
            stages = [{stage["name"]: stage["digests"] for stage in record["stages"]} for record in records]
            assert stages[0] == stages[1]
        assert json.loads((output / "manifest.json").read_text())["status"] == "finished"
    assert finished
