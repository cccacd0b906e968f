"""One mesh file becomes one object of a shape set; many of them, in a few processes.

What goes wrong with a mesh stays with that mesh, even if a library ends the process; what goes wrong with the disk is
raised, since it would go wrong for every object.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from framework.artifacts.atomic import atomic_folder, write_json
from framework.data.config import PrepareShapesConfig
from framework.data.mesh_samples import SampleCounts, prepared_mesh, render_views, sample_mesh, view_rotations
from framework.data.preparation import Outcome
from framework.data.processes import shared_work
from framework.data.shape_files import ShapeFileError, read_object, write_arrays, write_views
from framework.geometry.mesh import Mesh
from framework.renderers.config import TorchRasterizerConfig
from framework.renderers.torch_rasterizer import TorchRasterizer

FACTS_FILE = "facts.json"

# What geometry and rendering raise for a mesh that is odd in a way that no check names. OSError is not among them: by
# then the mesh is read, and the disk is at fault.
_MESH_ERRORS = (ValueError, RuntimeError, ArithmeticError, LookupError, TypeError, MemoryError)


@dataclass(frozen=True)
class ObjectTask:
    """One object to make."""

    output: Path
    id: str
    path: Path
    config: PrepareShapesConfig
    seed: int
    read_mesh: Callable[[Path], Mesh]

    @property
    def geometry(self) -> Path:
        """Folder of its points, written last: if it is there, the object is done."""
        return self.output / "geometry" / self.id

    @property
    def images(self) -> Path:
        """Folder of its views."""
        return self.output / "images" / self.id


def find_meshes(source: Path, suffixes: Sequence[str]) -> list[Path]:
    """All files below `source` (or itself) with one of `suffixes`, sorted; hidden files and folders are left out."""
    if source.is_file():
        return [source] if source.suffix.lower() in suffixes else []
    files = (path for path in source.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    return sorted(path for path in files if not any(part.startswith(".") for part in path.relative_to(source).parts))


def object_names(relative_paths: Sequence[Path]) -> list[str]:
    """`<shard>/<uid>` of each mesh: its path without suffix, folders joined by "__", odd characters replaced.

    Where that gives one name to several, a hash of the path follows. The shard is a hash too: it stays the same when
    files are added.
    """
    uids = [re.sub(r"[^A-Za-z0-9_-]", "_", "__".join(path.with_suffix("").parts)) for path in relative_paths]
    uses = Counter(uids)
    for number, path in enumerate(relative_paths):
        if uses[uids[number]] > 1:
            uids[number] += f".{_digest(str(path))[:6]}"
    return [f"{_digest(uid)[0]}/{uid}" for uid in uids]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def prepare_objects(tasks: Sequence[ObjectTask], packed: set[str], workers: int, check: bool) -> Iterator[Outcome]:
    """Make what is not there yet, and yield what became of each object, in the order in which they are done.

    packed: names that an LMDB file holds already. check: read finished objects and make damaged ones again.
    """
    missing = []
    for task in tasks:
        if task.id in packed or (task.geometry.is_dir() and not (check and _is_damaged(task))):
            yield Outcome(id=task.id, source=str(task.path), status="kept", **_facts(task))
        else:
            missing.append(task)
    yield from shared_work(prepare_object, missing, workers, _killed)


def prepare_object(task: ObjectTask) -> Outcome:
    """Read a mesh and write its object. Only OSError (the disk) and a missing extra are raised."""
    start = time.monotonic()
    try:
        return _written(task, start)
    except _MESH_ERRORS as error:
        reason = str(error).removeprefix(f"{task.path}: ") or type(error).__name__
        seconds = round(time.monotonic() - start, 2)
        return Outcome(id=task.id, source=str(task.path), status="failed", reason=reason, seconds=seconds)


def _written(task: ObjectTask, start: float) -> Outcome:
    config = task.config
    seed = int(_digest(f"{task.seed}/{task.id}")[:8], 16)
    mesh, loc, scale, remarks = prepared_mesh(task.read_mesh(task.path), config.half_extent)
    counts = SampleCounts(surface=config.surface_samples, volume=config.volume_samples, near=config.near_samples)
    arrays = replace(sample_mesh(mesh, counts, seed), loc=loc, scale=scale)
    if config.view_groups:
        rotations = view_rotations(config.view_groups, seed)
        rasterizer = TorchRasterizer(TorchRasterizerConfig())
        write_views(task.images, render_views(mesh, rotations, config.view_size, rasterizer), rotations)
    facts = {"remarks": remarks, "faces": len(mesh.faces), "inside": round(arrays.inside_share(), 4)}
    with atomic_folder(task.geometry) as folder:
        write_arrays(folder, arrays)
        write_json(folder / FACTS_FILE, facts)
    seconds = round(time.monotonic() - start, 2)
    return Outcome(id=task.id, source=str(task.path), status="written", seconds=seconds, **_facts(task))


def _facts(task: ObjectTask) -> dict[str, Any]:
    """What the report says about a finished object; for people only, so that a missing file costs nothing else."""
    try:
        facts = json.loads((task.geometry / FACTS_FILE).read_text(encoding="utf-8"))
        return {"remarks": tuple(facts["remarks"]), "faces": facts["faces"], "inside": facts["inside"]}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def _is_damaged(task: ObjectTask) -> bool:
    try:
        return len(read_object(task.geometry, task.images).views) != 4 * task.config.view_groups
    except ShapeFileError:
        return True


def _killed(task: ObjectTask) -> Outcome:
    reason = "the process was killed while it worked on this mesh, perhaps for lack of memory"
    return Outcome(id=task.id, source=str(task.path), status="failed", reason=reason)
