"""Preparations and predictions that are killed just before any of their renames, tried one by one.

A file gets its name by a rename, so what a kill can leave is what lies on the disk before one: a copy of the output.
From each copy the same command goes on, and must end with the files of the one that was not killed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage
from PIL import ImageDraw
from rich.console import Console

from framework.artifacts.digest import digest
from framework.data.config import PrepareShapesConfig, ShapesConfig
from framework.data.lmdb_store import LMDB_FILE, encode, packed_names, read_packed
from framework.data.preparation import PrepareJob
from framework.data.prepare_shapes import prepare_shapes
from framework.export.mesh_files import READ, load_mesh, save_mesh
from framework.geometry.mesh import Mesh
from framework.pipeline import presentation
from framework.tasks.config import InputOptions, PredictOptions
from framework.tasks.predict import run as predict
from framework.testing.tiny_pipeline import register_tiny_stages, tiny_method
from tests.resume.files import check_whole, leftovers

CORNERS = np.array([[x, y, z] for x in (0.0, 1) for y in (0.0, 1) for z in (0.0, 1)])
FACES = np.array([[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]])
OPEN_BOX = np.concatenate([FACES, [[2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4]]])


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Meshes, of which one is open, and pictures; no time is spent on previews."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(presentation, "preview", lambda mesh, rasterizer: np.zeros((4, 4, 3), np.uint8))
    register_tiny_stages()
    for number in range(3):
        save_mesh(Mesh(CORNERS * [1, 1, 1 + number], OPEN_BOX), Path(f"meshes/box{number}.obj"))
        picture = PilImage.new("RGB", (60, 60), (255, 255, 255))
        ImageDraw.Draw(picture).rectangle((10, 10, 40, 30 + 10 * number), fill=(200, 40, 30))
        Path("pictures").mkdir(exist_ok=True)
        picture.save(f"pictures/p{number}.png")


def kill_images(command: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Run `command(output)` in `whole`, and return copies of its output as it was before each rename."""
    rename, copies = os.replace, []

    def spy(source: Any, target: Any) -> None:
        copies.append(Path(f"copies/{len(copies):03d}_{Path(target).name}"))
        shutil.copytree("whole", copies[-1])
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", spy)
        command(Path("whole"))
    return copies


def contents(folder: Path, *left_out: str) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): digest(path)
        for path in folder.rglob("*")
        if path.is_file() and path.name not in left_out
    }


@pytest.mark.parametrize("pack", ["none", "lmdb"])
def test_a_preparation(pack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if pack == "lmdb":
        pytest.importorskip("lmdb", reason="extra 'data': lmdb")

    def prepare(output: Path) -> None:
        sizes: dict[str, Any] = {"surface_samples": 100, "volume_samples": 100, "near_samples": 50, "view_size": 8}
        options = PrepareShapesConfig(workers=1, pack=pack, val_fraction=0.3, test_fraction=0.3, **sizes)  # type: ignore[arg-type]
        job = PrepareJob(
            source=Path("meshes"),
            output=output,
            seed=0,
            read_mesh=load_mesh,
            mesh_suffixes=READ,
            watch=lambda *_: None,
        )
        prepare_shapes(ShapesConfig(prepare=options), job)

    def report(output: Path) -> list[dict[str, Any]]:
        told = json.loads((output / "report.json").read_text())["objects"]
        return [{key: value for key, value in each.items() if key not in ("seconds", "status")} for each in told]

    copies = kill_images(prepare, monkeypatch)
    assert len(copies) > 12
    for copy in copies:
        check_whole(copy)
        prepare(copy)
        assert contents(copy, LMDB_FILE, "report.json") == contents(Path("whole"), LMDB_FILE, "report.json"), copy
        assert report(copy) == report(Path("whole")), copy
        if pack == "lmdb":
            packs = [folder / LMDB_FILE for folder in (Path("whole"), copy)]
            objects = [{name: encode(read_packed(path, name)) for name in packed_names(path)} for path in packs]
            assert objects[0] == objects[1] and len(objects[0]) == 3
    assert all("open" in remark for each in report(Path("whole")) for remark in each["remarks"])


def test_folders_that_were_packed_go_also_after_a_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the packed file's rename and the end of its folders there is no rename, but there is time."""
    pytest.importorskip("lmdb", reason="extra 'data': lmdb")
    options = PrepareShapesConfig(workers=1, pack="lmdb", surface_samples=50, volume_samples=50, view_groups=0)
    job = PrepareJob(
        source=Path("meshes"),
        output=Path("out"),
        seed=0,
        read_mesh=load_mesh,
        mesh_suffixes=READ,
        watch=lambda *_: None,
    )
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", _killed)
        with pytest.raises(KeyboardInterrupt):
            prepare_shapes(ShapesConfig(prepare=options), job)
    assert Path("out/geometry").is_dir() and Path("out/data.lmdb").is_file()
    outcomes = prepare_shapes(ShapesConfig(prepare=options), job)
    assert [outcome.status for outcome in outcomes] == ["kept"] * 3
    assert not Path("out/geometry").exists()
    assert not leftovers(Path("out"))


def _killed(path: Path, *_: Any, **__: Any) -> None:
    if Path(path).name == "geometry":
        raise KeyboardInterrupt


def test_a_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(output: Path) -> None:
        given = {"input": InputOptions(path="pictures"), "output": str(output), "device": "cpu", "turntable": False}
        assert predict(PredictOptions(method=tiny_method(), **given), Console(quiet=True)) == 0  # type: ignore[arg-type]

    copies = kill_images(run, monkeypatch)
    assert len(copies) > 20
    for copy in copies:
        check_whole(copy)
        records = {path: path.stat().st_mtime_ns for path in copy.glob("*/case.json")}
        done = {path for path in records if json.loads(path.read_text())["status"] == "finished"}
        run(copy)
        left_out = ("case.json", "manifest.json", "config.yaml")
        assert contents(copy, *left_out) == contents(Path("whole"), *left_out), copy
        assert {path for path, time in records.items() if path.stat().st_mtime_ns == time} == done
        for name in ("p0", "p1", "p2"):
            assert json.loads((copy / name / "case.json").read_text())["status"] == "finished"
