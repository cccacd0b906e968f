"""Meshes become sets: right samples, a reason for every mesh that can't be used, nothing half-written."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framework import optional
from framework.data import prepare_objects as objects
from framework.data.config import PrepareShapesConfig, ShapesConfig
from framework.data.lmdb_store import LMDB_FILE, packed_names
from framework.data.mesh_samples import view_rotations
from framework.data.preparation import Outcome, PrepareError, PrepareJob
from framework.data.prepare_objects import object_names
from framework.data.prepare_shapes import assign_splits, prepare_shapes
from framework.data.shape_files import read_arrays, read_rotations, read_split, read_views
from framework.data.shapes import ShapesData
from framework.export.mesh_files import READ, load_mesh, save_mesh
from framework.geometry.mesh import Mesh
from tests.data.balls import write_balls

CUBE = np.array([[x, y, z] for x in (0.0, 1) for y in (0.0, 1) for z in (0.0, 1)])
CUBE_FACES = np.array(
    [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]]
    + [[2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
)


def sphere() -> Mesh:
    """A ball of radius 2 around (5, 0, 0): a cube's faces divided and blown up."""
    steps = np.linspace(-1, 1, 17)
    rows = np.array([[a, b] for a in steps for b in steps])
    quads = np.array(
        [[i * 17 + j, i * 17 + j + 1, (i + 1) * 17 + j, (i + 1) * 17 + j + 1] for i in range(16) for j in range(16)]
    )
    triangles = np.concatenate([quads[:, [0, 2, 1]], quads[:, [1, 2, 3]]])
    vertices, faces = [], []
    for axis in range(3):
        for sign in (-1, 1):
            side = np.insert(rows, axis, sign, axis=1)
            turned = triangles if (sign > 0) == (axis != 1) else triangles[:, ::-1]
            faces.append(turned + 289 * len(vertices))
            vertices.append(side)
    points = np.concatenate(vertices)
    return Mesh([5, 0, 0] + 2 * points / np.linalg.norm(points, axis=1, keepdims=True), np.concatenate(faces))


def shapes_config(**prepare: Any) -> ShapesConfig:
    sizes = {"surface_samples": 600, "volume_samples": 2000, "near_samples": 400, "view_size": 16, "workers": 1}
    return ShapesConfig(prepare=PrepareShapesConfig(**(sizes | prepare)))


def prepared(source: Path, output: Path, seed: int = 0, **prepare: Any) -> list[Outcome]:
    job = PrepareJob(
        source=source, output=output, seed=seed, read_mesh=load_mesh, mesh_suffixes=READ, watch=lambda *_: None
    )
    return prepare_shapes(shapes_config(**prepare), job)


@pytest.fixture(scope="module")
def meshes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ball, a box without one face, an inside-out box in a folder, and four files that can't be used."""
    root = tmp_path_factory.mktemp("meshes")
    save_mesh(sphere(), root / "ball.ply")
    save_mesh(Mesh(CUBE, CUBE_FACES[2:]), root / "open box.obj")
    save_mesh(Mesh(CUBE, CUBE_FACES[:, ::-1]), root / "more" / "box.glb")
    save_mesh(Mesh(CUBE, CUBE_FACES[:2]), root / "sheet.stl")
    (root / "empty.obj").write_text("")
    (root / "points.off").write_text("OFF\n3 0 0\n0 0 0\n1 0 0\n0 1 0\n")
    (root / "nan.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 nan 0\nf 1 2 3\n")
    (root / "notes.txt").write_text("no mesh")
    (root / ".hidden.obj").write_text("v 0 0 0")
    return root


@pytest.fixture(scope="module")
def outcomes(meshes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Outcome]]:
    output = tmp_path_factory.mktemp("set") / "shapes"
    return output, {Path(outcome.source).name: outcome for outcome in prepared(meshes, output)}


def test_every_mesh_has_an_outcome(outcomes: tuple[Path, dict[str, Outcome]]) -> None:
    _, by_name = outcomes
    written = {name for name, outcome in by_name.items() if outcome.status == "written"}
    assert written == {"ball.ply", "open box.obj", "box.glb"}
    reasons = {name: outcome.reason for name, outcome in by_name.items() if outcome.status == "failed"}
    assert reasons.keys() == {"sheet.stl", "empty.obj", "points.off", "nan.obj"}
    assert "encloses no volume" in reasons["sheet.stl"] and "NaN" in reasons["nan.obj"]
    assert "no triangles" in reasons["points.off"] and "empty" in reasons["empty.obj"]
    assert "inside out: faces turned" in by_name["box.glb"].remarks
    assert "open: inside decided by winding number" in by_name["open box.obj"].remarks
    assert by_name["ball.ply"].remarks == ()


def test_occupancy_is_that_of_the_shape(outcomes: tuple[Path, dict[str, Outcome]]) -> None:
    output, by_name = outcomes
    box = lambda points: (np.abs(points) < 0.9).all(1)  # noqa: E731
    ball = lambda points: np.linalg.norm(points, axis=1) < 0.9  # noqa: E731
    for name, analytic in (("ball.ply", ball), ("open box.obj", box), ("box.glb", box)):
        arrays = read_arrays(output / "geometry" / by_name[name].id)
        points = arrays.points.astype(np.float32)
        assert (arrays.inside(np.arange(len(points))) == analytic(points)).mean() > 0.99, name
        assert np.abs(points).max() > 1.05
        near = arrays.near_points.astype(np.float32)
        assert (arrays.near_inside(np.arange(len(near))) == analytic(near)).mean() > 0.97, name
        assert by_name[name].inside == pytest.approx(analytic(points).mean(), abs=0.01)


def test_surface_samples_lie_on_it_and_look_outwards(outcomes: tuple[Path, dict[str, Outcome]]) -> None:
    output, by_name = outcomes
    ball = read_arrays(output / "geometry" / by_name["ball.ply"].id).surface.astype(np.float32)
    np.testing.assert_allclose(np.linalg.norm(ball[:, :3], axis=1), 0.9, atol=0.01)
    assert ((ball[:, :3] * ball[:, 3:]).sum(1) > 0.85).all()
    box = read_arrays(output / "geometry" / by_name["box.glb"].id).surface.astype(np.float32)
    assert ((box[:, :3] * box[:, 3:]).sum(1) > 0.85).all()


def test_loc_and_scale_lead_back_to_the_source(outcomes: tuple[Path, dict[str, Outcome]]) -> None:
    output, by_name = outcomes
    arrays = read_arrays(output / "geometry" / by_name["ball.ply"].id)
    original = arrays.surface[:, :3].astype(np.float64) * arrays.scale + arrays.loc
    np.testing.assert_allclose(np.linalg.norm(original - [5, 0, 0], axis=1), 2.0, atol=0.02)


def test_views_show_the_object(outcomes: tuple[Path, dict[str, Outcome]]) -> None:
    output, by_name = outcomes
    folder = output / "images" / by_name["ball.ply"].id
    alpha = read_views(folder, range(4))[..., 3] / 255.0
    assert alpha.mean() == pytest.approx(np.pi * 0.9**2 / 2.4**2, abs=0.02)  # a disc of 0.9 in a window of 2.4
    np.testing.assert_array_equal(read_rotations(folder), np.tile(np.eye(4), (4, 1, 1)))


def test_the_set_can_be_trained_on(outcomes: tuple[Path, dict[str, Outcome]]) -> None:
    output, _ = outcomes
    splits = {split: read_split(output, split) for split in ("train", "val", "test")}
    assert [len(splits[split]) for split in ("train", "val", "test")] == [1, 1, 1]
    config = ShapesConfig(
        root=str(output), surface_points=64, supervision_points=64, near_fraction=0.5, views=4, batch_size=2
    )
    data = ShapesData(config)
    data.setup("fit")
    assert next(iter(data.train_dataloader()))["views"].shape == (2, 4, 4, 16, 16)


def test_the_report_says_the_same(outcomes: tuple[Path, dict[str, Outcome]]) -> None:
    output, by_name = outcomes
    report = json.loads((output / "report.json").read_text())
    assert report["counts"] == {"written": 3, "failed": 4}
    assert {item["id"]: item["status"] for item in report["objects"]} == {o.id: o.status for o in by_name.values()}
    assert not list(output.rglob(".part-*"))


def test_a_second_run_keeps_what_is_done(meshes: Path, tmp_path: Path) -> None:
    only = tmp_path / "meshes"
    only.mkdir()
    (only / "ball.ply").write_bytes((meshes / "ball.ply").read_bytes())
    (first,) = prepared(only, tmp_path / "set")
    points = tmp_path / "set" / "geometry" / first.id / "points.npz"
    before = points.stat().st_mtime_ns
    (only / "box.glb").write_bytes((meshes / "more" / "box.glb").read_bytes())
    again = {outcome.id: outcome.status for outcome in prepared(only, tmp_path / "set")}
    assert sorted(again.values()) == ["kept", "written"] and again[first.id] == "kept"
    report = json.loads((tmp_path / "set" / "report.json").read_text())
    assert all(item["faces"] > 0 for item in report["objects"])  # also of the one that was kept
    assert points.stat().st_mtime_ns == before
    points.write_bytes(b"")  # a damaged object is made again
    statuses = {outcome.id: outcome.status for outcome in prepared(only, tmp_path / "set")}
    assert statuses[first.id] == "written" and read_arrays(points.parent).points.shape == (2000, 3)


def test_the_same_seed_gives_the_same_samples(meshes: Path, tmp_path: Path) -> None:
    found = [prepared(meshes / "more", tmp_path / name, seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))]
    files = [tmp_path / name / "geometry" / outcome.id for name, (outcome,) in zip("abc", found, strict=True)]
    first, second, other = (read_arrays(file) for file in files)
    np.testing.assert_array_equal(first.points, second.points)
    np.testing.assert_array_equal(first.surface, second.surface)
    assert not np.array_equal(first.points, other.points)


def test_further_groups_of_views_are_turned(meshes: Path, tmp_path: Path) -> None:
    (outcome,) = prepared(meshes / "more", tmp_path / "set", view_groups=3)
    folder = tmp_path / "set" / "images" / outcome.id
    rotations = read_rotations(folder)
    assert rotations is not None and rotations.shape == (12, 4, 4) and read_views(folder, range(12)).shape[0] == 12
    np.testing.assert_array_equal(rotations[4], rotations[7])
    assert not np.allclose(rotations[4], rotations[8]) and np.linalg.det(rotations[8]) == pytest.approx(1)
    assert len(view_rotations(5, seed=0)) == 20


@pytest.mark.slow
def test_processes_give_the_same_set(meshes: Path, outcomes: tuple[Path, dict[str, Outcome]], tmp_path: Path) -> None:
    parallel = {Path(o.source).name: o for o in prepared(meshes, tmp_path / "set", workers=2)}
    assert {name: (o.id, o.status, o.split) for name, o in parallel.items()} == {
        name: (o.id, o.status, o.split) for name, o in outcomes[1].items()
    }
    ball = parallel["ball.ply"].id
    np.testing.assert_array_equal(
        read_arrays(tmp_path / "set" / "geometry" / ball).points, read_arrays(outcomes[0] / "geometry" / ball).points
    )


def _deadly(path: Path) -> Mesh:
    if path.name == "ball.ply":
        os.kill(os.getpid(), 9)
    return load_mesh(path)


@pytest.mark.slow
def test_a_killed_process_costs_one_mesh_only(meshes: Path, tmp_path: Path) -> None:
    for name in ("ball.ply", "open box.obj", "more/box.glb"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / Path(name).name).write_bytes((meshes / name).read_bytes())
    job = PrepareJob(
        source=tmp_path / "in",
        output=tmp_path / "set",
        seed=0,
        read_mesh=_deadly,
        mesh_suffixes=READ,
        watch=lambda *_: None,
    )
    found = {Path(o.source).name: o for o in prepare_shapes(shapes_config(workers=2), job)}
    assert "process was killed" in found["ball.ply"].reason
    assert {name for name, outcome in found.items() if outcome.status == "written"} == {"open box.obj", "box.glb"}


def test_leftovers_of_a_killed_run_are_removed(meshes: Path, tmp_path: Path) -> None:
    output = tmp_path / "set"
    (outcome,) = prepared(meshes / "more", output)
    leftover = (output / "geometry" / outcome.id).with_name(".part-123-x")
    leftover.mkdir()
    (output / ".part-123-data.lmdb").write_bytes(b"half")
    prepared(meshes / "more", output)
    assert not list(output.rglob(".part-*"))


def test_packing(meshes: Path, tmp_path: Path) -> None:
    pytest.importorskip("lmdb", reason="extra 'data': lmdb")
    only = tmp_path / "meshes"
    only.mkdir()
    (only / "box.glb").write_bytes((meshes / "more" / "box.glb").read_bytes())
    output = tmp_path / "set"
    prepared(only, output, pack="lmdb")
    assert not (output / "geometry").exists() and not (output / "images").exists()
    (only / "ball.ply").write_bytes((meshes / "ball.ply").read_bytes())
    statuses = sorted(outcome.status for outcome in prepared(only, output))  # a packed set stays packed
    assert statuses == ["kept", "written"] and len(packed_names(output / LMDB_FILE)) == 2
    config = ShapesConfig(root=str(output), surface_points=64, supervision_points=64, views=4)
    item = ShapesData(config).dataset("train")[0, 0]
    assert item["views"].shape == (4, 4, 16, 16)


def test_a_set_that_exists_is_checked_and_packed(tmp_path: Path) -> None:
    pytest.importorskip("lmdb", reason="extra 'data': lmdb")
    source = write_balls(tmp_path / "balls", train=3, val=1)
    (source / "geometry/s/t1/points.npz").write_bytes(b"")
    found = prepared(source, tmp_path / "packed", pack="lmdb")
    assert {outcome.id: outcome.status for outcome in found} == {
        "s/t0": "written",
        "s/t1": "failed",
        "s/t2": "written",
        "s/v0": "written",
    }
    assert read_split(tmp_path / "packed", "train") == ["geometry/s/t0", "geometry/s/t2"]
    sizes = {"surface_points": 32, "supervision_points": 32, "views": 2}
    first = ShapesData(ShapesConfig(root=str(tmp_path / "packed"), **sizes)).dataset("train")[0, 0]
    second = ShapesData(ShapesConfig(root=str(source), **sizes)).dataset("train")[0, 0]
    np.testing.assert_array_equal(first["views"], second["views"])
    checked = prepared(source, tmp_path / "checked")
    assert [outcome.status for outcome in checked].count("failed") == 1
    assert not (tmp_path / "checked" / "train.json").exists()


def test_packing_without_lmdb_is_an_error_before_any_work(
    meshes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optional, "_is_installed", lambda package: package != "lmdb")
    with pytest.raises(optional.MissingExtra, match=r"data\.lmdb needs the package 'lmdb': pip install"):
        prepared(meshes, tmp_path / "set", pack="lmdb")
    assert not (tmp_path / "set").exists()


def test_every_file_has_a_name_of_its_own() -> None:
    paths = [Path("a.b.ply"), Path("a b.obj"), Path("a/b.obj"), Path("a__b.obj"), Path("c.glb")]
    names = object_names(paths)
    uids = [name.partition("/")[2] for name in names]
    assert uids[4] == "c" and len(set(names)) == 5
    assert [uid.partition(".")[0] for uid in uids[:4]] == ["a_b", "a_b", "a__b", "a__b"]
    assert object_names(paths[4:]) == names[4:]


def test_splits_follow_fractions_and_keep_copies_together() -> None:
    names = [f"0/meshes__thing{number}" for number in range(100)] + [f"1/closed__thing{number}" for number in range(50)]
    splits = assign_splits(names, {"test": 0.1, "val": 0.2})
    counts = {split: list(splits.values()).count(split) for split in ("train", "val", "test")}
    assert abs(counts["test"] - 15) <= 1 and abs(counts["val"] - 30) <= 1 and sum(counts.values()) == 150
    assert all(splits[f"0/meshes__thing{number}"] == splits[f"1/closed__thing{number}"] for number in range(50))
    assert assign_splits(names[:1], {"test": 0.1, "val": 0.1}) == {names[0]: "train"}
    assert set(assign_splits(names[:3], {"test": 0.1, "val": 0.1}).values()) == {"train", "val", "test"}
    assert set(assign_splits(names[:3], {"test": 0.0, "val": 0.0}).values()) == {"train"}


def test_wrong_places_are_named_before_any_work(meshes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "prepare_object", lambda task: pytest.fail("work began"))
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    (tmp_path / "empty").mkdir()
    for source, output, message in (
        (meshes, tmp_path / "file" / "set", "can't be made: Not a directory"),
        (meshes, tmp_path / "file", "can't be made: File exists"),
        (meshes, tmp_path / "full", "holds files that prepare didn't write"),
        (tmp_path / "nothing", tmp_path / "set", "does not exist"),
        (tmp_path / "empty", tmp_path / "set", "holds no mesh. Looked for .glb"),
    ):
        with pytest.raises(PrepareError, match=message):
            prepared(source, output)
    assert (tmp_path / "file").read_text() == "x" and not (tmp_path / "set").exists()


def test_other_options_need_another_folder(meshes: Path, outcomes: tuple[Path, dict[str, Outcome]]) -> None:
    with pytest.raises(PrepareError, match=r"other options \(view_size 16 -> 32\)"):
        prepared(meshes, outcomes[0], view_size=32)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_ends_the_run_and_leaves_nothing_half_written(meshes: Path, tmp_path: Path) -> None:
    with largest_file(5000), pytest.raises(OSError, match="too large"):
        prepared(meshes / "more", tmp_path / "set")
    left = {path.name for path in (tmp_path / "set").rglob("*") if path.is_file()}
    assert left <= {"prepare.json", "0.png", "1.png", "2.png", "3.png", "rots.npy"}
    assert not list((tmp_path / "set").rglob(".part-*"))
    (outcome,) = prepared(meshes / "more", tmp_path / "set")  # with room again it goes on
    assert outcome.status == "written"


def test_a_full_disk_while_packing_keeps_the_folders(meshes: Path, tmp_path: Path) -> None:
    pytest.importorskip("lmdb", reason="extra 'data': lmdb")
    output = tmp_path / "set"
    prepared(meshes / "more", output)
    with largest_file(20_000), pytest.raises(OSError, match=r"data\.lmdb"):
        prepared(meshes / "more", output, pack="lmdb")
    assert not (output / LMDB_FILE).exists() and not list(output.glob(".part-*"))
    (outcome,) = prepared(meshes / "more", output, pack="lmdb")
    assert outcome.status == "kept" and packed_names(output / LMDB_FILE) == [outcome.id]
