"""Writes a procedural set as files in the layout of shape sets, object by object, in a few processes.

    <root>/{train,val,test}.json          list of geometry folders relative to the root, ".../<shard>/<uid>"
    <root>/geometry/<shard>/<uid>/        pointcloud.npz  points, normals (N, 3) float16, loc, scale, labels uint8
                                          points.npz      points (M, 3) float16, occupancies (packed bits), loc, scale
                                          near.npz        the same for points near the surface
    <root>/images/<shard>/<uid>/          0.png ... (front, right, back, left), rots.npy (K, 4, 4), annotation.json

Positions in files are halved (the unit-box frame, +-0.5), as readers of this layout expect. A folder appears whole or
not at all; objects that are there already are kept, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from framework.artifacts.atomic import atomic_folder, write_json
from framework.data.procedural.catalogue import generate, object_list
from framework.data.procedural.sampling import sample_object
from framework.data.procedural.solid import Array

_SHARD_SIZE = 1000


@dataclass(frozen=True, kw_only=True)
class SampleCounts:
    """Arguments of `sample_object`: how much is stored of each object."""

    surface: int = 20_000
    volume: int = 20_000
    near: int = 20_000
    views: int = 4
    view_size: int = 96
    resolution: int = 96


@dataclass(frozen=True, kw_only=True)
class Job:
    """One object to write."""

    root: Path
    shard: str
    family: str
    seed: int
    counts: SampleCounts

    @property
    def uid(self) -> str:
        """Folder name, unique in the set."""
        return f"{self.family}-{self.seed:010d}"

    @property
    def geometry(self) -> Path:
        """Folder of the points."""
        return self.root / "geometry" / self.shard / self.uid

    @property
    def images(self) -> Path:
        """Folder of the views."""
        return self.root / "images" / self.shard / self.uid

    @property
    def done(self) -> bool:
        """Whether the object is there; its geometry is written last."""
        return self.geometry.is_dir()


def write_set(root: Path, split_counts: Mapping[str, int], seed: int = 0, counts: SampleCounts | None = None,
              workers: int = 2) -> Iterator[str]:
    """Write what is missing of a set and yield the uid of each object as it is done (drive it to the end).

    split_counts: objects of "train", "val", "test". workers: processes; 0 works in this one. When the iterator is
    exhausted the split lists are written, so a list that exists names only objects that exist.
    """
    counts = counts or SampleCounts()
    jobs = {split: list(_jobs(root, split, count, seed, counts)) for split, count in split_counts.items()}
    missing = [job for split in jobs.values() for job in split if not job.done]
    if workers == 0 or len(missing) < 4:
        for job in missing:
            yield write_object(job)
    else:
        yield from _in_processes(missing, workers)
    for split, members in jobs.items():
        write_json(root / f"{split}.json", [f"geometry/{job.shard}/{job.uid}" for job in members])


def missing_count(root: Path, split_counts: Mapping[str, int], seed: int = 0) -> int:
    """Number of objects that `write_set` would write."""
    counts = SampleCounts()
    return sum(not job.done for split, n in split_counts.items() for job in _jobs(root, split, n, seed, counts))


def write_object(job: Job) -> str:
    """Make one object and write its two folders; returns its uid."""
    item = generate(job.family, job.seed)
    arrays = sample_object(item, **vars(job.counts))
    if job.counts.views:
        with atomic_folder(job.images) as folder:
            annotation = {"caption": item.caption, "family": item.family, "labels": list(item.label_names)}
            _write_images(folder, arrays["views"], annotation)
    with atomic_folder(job.geometry) as folder:
        _write_geometry(folder, arrays)
    return job.uid


def _jobs(root: Path, split: str, count: int, seed: int, counts: SampleCounts) -> Iterator[Job]:
    for index, (family, object_seed) in enumerate(object_list(split, count, seed)):
        shard = f"{split}-{index // _SHARD_SIZE:03d}"
        yield Job(root=Path(root), shard=shard, family=family, seed=object_seed, counts=counts)


def _in_processes(jobs: Iterable[Job], workers: int) -> Iterator[str]:
    # Spawned, not forked: a parent that has run torch may hold threads that a fork would lose.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_single_thread) as pool:
        futures = [pool.submit(write_object, job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _single_thread() -> None:
    """One thread per process: processes already share the cores."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)


def _write_geometry(folder: Path, arrays: Mapping[str, Array]) -> None:
    # loc and scale would lead back to the source's own units; procedural objects have none.
    frame: dict[str, Any] = {"loc": np.zeros(3), "scale": np.float64(1.0)}
    np.savez(folder / "pointcloud.npz", points=_halved(arrays["surface"]), labels=arrays["surface_labels"],
             normals=arrays["normals"].astype(np.float16), **frame)
    for name, kind in (("points", "volume"), ("near", "near")):
        occupancies = np.packbits(arrays[f"{kind}_occupancy"])
        np.savez(folder / f"{name}.npz", points=_halved(arrays[kind]), occupancies=occupancies, **frame)


def _write_images(folder: Path, views: Array, annotation: Mapping[str, Any]) -> None:
    for index, pixels in enumerate(views):
        Image.fromarray(pixels, "RGBA").save(folder / f"{index}.png")
    np.save(folder / "rots.npy", np.repeat(np.eye(4)[None], len(views), axis=0))
    # The layout's own habit: a JSON string that holds the text of a dictionary.
    (folder / "annotation.json").write_text(json.dumps(repr(dict(annotation))), encoding="utf-8")


def _halved(points: Array) -> Array:
    return (points * 0.5).astype(np.float16)
