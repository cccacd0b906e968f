"""`prepare data=shapes`: a folder of meshes, or a set that exists already, becomes a set that training reads.

    <output>/prepare.json                     what the objects were made with; a later run must ask for the same
    <output>/geometry/<shard>/<name>/         pointcloud.npz, points.npz, near.npz; facts.json: its part of the report
    <output>/images/<shard>/<name>/           0.png, 1.png, ..., rots.npy
    <output>/{train,val,test}.json            the splits, written last
    <output>/data.lmdb                        with pack=lmdb, in place of geometry/ and images/
    <output>/report.json                      what became of every mesh

Every object appears whole or not at all, and finished ones are kept, so an interrupted run goes on where it stopped. A
mesh that can't be used is written down with its reason; a disk that can't be written ends the run.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from framework.artifacts.atomic import TEMPORARY_PREFIX, remove_leftovers, write_json
from framework.artifacts.reading import read_mapping
from framework.data.config import ShapesConfig
from framework.data.lmdb_store import LMDB_FILE, encode, packed_names, read_packed, require_lmdb, write_lmdb
from framework.data.preparation import Outcome, PrepareError, PrepareJob, write_report
from framework.data.prepare_objects import ObjectTask, find_meshes, object_names, prepare_objects
from framework.data.shape_files import (
    SPLITS,
    ShapeFileError,
    ShapeObject,
    read_object,
    read_split,
    shape_id,
    write_split,
)
from framework.data.shape_store import open_store

RECIPE_FILE, REPORT_FILE = "prepare.json", "report.json"
SCHEMA = 1


def prepare_shapes(config: ShapesConfig, job: PrepareJob) -> list[Outcome]:
    """Prepare the set that `job` asks for, and return what became of every object.

    `job.source` is a folder of meshes, a mesh file, or a set (a folder with train.json): that is read object by
    object and, with pack=lmdb, packed. PrepareError when nothing can be made, OSError when the disk refuses.
    """
    source = job.source
    if source is None:
        raise PrepareError("source is missing. Give it: source=<folder of meshes, or of a prepared set>")
    if not source.exists():
        raise PrepareError(f"source={source} does not exist. Give a folder of meshes, or of a prepared set")
    is_set = any((source / f"{split}.json").is_file() for split in SPLITS)
    found = [] if is_set else find_meshes(source, job.mesh_suffixes)
    if not is_set and not found:
        raise PrepareError(f"source={source} holds no mesh. Looked for {' '.join(job.mesh_suffixes)}, in folders too")
    _open_output(config, job, is_set)
    remove_leftovers(job.output, *job.output.glob("*/*"))
    outcomes = _from_set(config, job, source) if is_set else _from_meshes(config, job, source, found)
    write_report(job.output / REPORT_FILE, outcomes)
    return outcomes


def _open_output(config: ShapesConfig, job: PrepareJob, is_set: bool) -> None:
    """Make the folder, and refuse one that holds something else or objects of another recipe."""
    output, recipe = job.output, _recipe(config, job, is_set)
    if config.prepare.pack == "lmdb":
        require_lmdb(f"writing {output / LMDB_FILE}")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PrepareError(f"output={output} can't be made: {error.strerror}. Give another folder") from error
    path = output / RECIPE_FILE
    if not path.is_file():
        if any(not item.name.startswith(TEMPORARY_PREFIX) for item in output.iterdir()):
            raise PrepareError(f"output={output} holds files that prepare didn't write. Give a new or empty folder")
        write_json(path, recipe)
    try:
        before = read_mapping(path)
        different = sorted(key for key in recipe.keys() | before.keys() if recipe.get(key) != before.get(key))
    except (OSError, ValueError) as error:
        raise PrepareError(f"{path} is damaged: {error}. Give another output folder") from error
    if different:
        changes = ", ".join(f"{key} {before.get(key)} -> {recipe.get(key)}" for key in different)
        raise PrepareError(f"output={output} holds a set made with other options ({changes}). Give another folder")


def _recipe(config: ShapesConfig, job: PrepareJob, is_set: bool) -> dict[str, Any]:
    """What decides the content of the objects."""
    if is_set:
        return {"schema": SCHEMA, "source": str(Path(str(job.source)).resolve())}
    names = ("surface_samples", "volume_samples", "near_samples", "view_groups", "view_size", "half_extent")
    return {"schema": SCHEMA, "seed": job.seed} | {name: getattr(config.prepare, name) for name in names}


def _from_meshes(config: ShapesConfig, job: PrepareJob, source: Path, meshes: Sequence[Path]) -> list[Outcome]:
    root = source if source.is_dir() else source.parent
    names = object_names([path.relative_to(root) for path in meshes])
    tasks = [
        ObjectTask(job.output, name, path, config.prepare, job.seed, job.read_mesh)
        for name, path in zip(names, meshes, strict=True)
    ]
    outcomes: list[Outcome] = []
    packed, before = set(packed_names(job.output / LMDB_FILE)), _earlier_facts(job.output)
    for outcome in prepare_objects(tasks, packed, config.prepare.workers, config.prepare.check):
        known = before.get(outcome.id, {}) if outcome.id in packed else {}
        outcomes.append(replace(outcome, **known))
        job.watch(outcome, len(outcomes), len(tasks))
    split_of = assign_splits(
        [outcome.id for outcome in outcomes if outcome.status != "failed"],
        {"test": config.prepare.test_fraction, "val": config.prepare.val_fraction},
    )
    outcomes = [replace(outcome, split=split_of.get(outcome.id, "")) for outcome in outcomes]
    outcomes.sort(key=lambda outcome: outcome.id)
    if split_of:
        if packed or config.prepare.pack == "lmdb":
            write_report(
                job.output / REPORT_FILE, outcomes
            )  # the packed file has no place for the facts that lie in the folders
            _pack_folders(job.output, sorted(split_of), packed)
        for split in SPLITS:
            write_split(job.output, split, [f"geometry/{name}" for name in sorted(split_of) if split_of[name] == split])
    return outcomes


def _earlier_facts(output: Path) -> dict[str, dict[str, Any]]:
    """What the report of an earlier run says about packed meshes, by name; nothing when there is none."""
    try:
        objects = read_mapping(output / REPORT_FILE)["objects"]
        return {
            each["id"]: {"remarks": tuple(each["remarks"]), "faces": each["faces"], "inside": each["inside"]}
            for each in objects
        }
    except (OSError, ValueError, LookupError, TypeError):
        return {}  # facts for people only: a damaged report costs nothing else


def assign_splits(names: Sequence[str], fractions: dict[str, float]) -> dict[str, str]:
    """Return name -> split: `fractions` of the objects, at least one each if there are three, the rest for training.

    Objects go in the order of a hash of their last name, and those with the same one stay together: the same thing in
    two folders (or two formats) must not be trained on and tested with.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.rpartition("/")[2].rpartition("__")[2].partition(".")[0].lower(), []).append(name)
    order = sorted(groups, key=lambda stem: hashlib.sha256(stem.encode()).digest())
    split_of: dict[str, str] = {}
    for split, fraction in fractions.items():
        wanted = max(round(fraction * len(names)), 1 if fraction and len(groups) > len(fractions) else 0)
        while wanted > 0 and len(order) > 1:
            members = groups[order.pop(0)]
            wanted -= len(members)
            split_of |= dict.fromkeys(members, split)
    return split_of | {name: "train" for stem in order for name in groups[stem]}


def _pack_folders(output: Path, names: Sequence[str], packed: set[str]) -> None:
    """Move the objects into the LMDB file: a new one with all of them replaces the old one, then the folders go.

    They go too when nothing is new: a run that was killed after packing has left them.
    """

    def values() -> Iterator[tuple[str, bytes]]:
        for name in names:
            shape = read_packed(output / LMDB_FILE, name) if name in packed else _folder_object(output, name)
            yield name, encode(shape)

    if not packed.issuperset(names):
        write_lmdb(output / LMDB_FILE, values())
    for folder in ("geometry", "images"):
        shutil.rmtree(output / folder, ignore_errors=True)


def _folder_object(output: Path, name: str) -> ShapeObject:
    return read_object(output / "geometry" / name, output / "images" / name)


def _from_set(config: ShapesConfig, job: PrepareJob, source: Path) -> list[Outcome]:
    """Read every object of a set; with pack=lmdb write those that can be read into one file."""
    entries = {split: read_split(source, split) for split in SPLITS if (source / f"{split}.json").is_file()}
    outcomes: list[Outcome] = []
    values = _values(config, job, entries, outcomes)
    if config.prepare.pack == "none":
        deque(values, maxlen=0)
        return outcomes
    write_lmdb(job.output / LMDB_FILE, values)
    usable = {outcome.id for outcome in outcomes if outcome.status != "failed"}
    for split, listed in entries.items():
        write_split(job.output, split, [entry for entry in listed if shape_id(entry) in usable])
    return outcomes


def _values(
    config: ShapesConfig, job: PrepareJob, entries: Mapping[str, Sequence[str]], outcomes: list[Outcome]
) -> Iterator[tuple[str, bytes]]:
    """Yield the readable objects of a set as values, and write down in `outcomes` what became of each."""
    total = sum(map(len, entries.values()))
    for split in entries:
        store = open_store(replace(config, root=str(job.source)), split)
        for row, name in enumerate(store.ids):
            start = time.monotonic()
            outcome = Outcome(id=name, source=store.place(row), status="written", split=split)
            try:
                shape = store.shape(row)
                outcome = replace(outcome, inside=round(shape.arrays.inside_share(), 4))
                yield name, encode(shape)
            except ShapeFileError as error:
                outcome = replace(outcome, status="failed", reason=str(error), split="")
            outcomes.append(replace(outcome, seconds=round(time.monotonic() - start, 2)))
            job.watch(outcomes[-1], len(outcomes), total)
