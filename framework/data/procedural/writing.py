"""Writes a procedural set as files in the layout of shape sets, object by object, in a few processes.

    <root>/{train,val,test}.json          the lists of `framework.data.shape_files`: "<shard>/<uid>"
    <root>/geometry/<shard>/<uid>/        pointcloud.npz, points.npz, near.npz, and labels.npz: the part index of each
                                          surface point (surface, uint8) and the parts' names
    <root>/images/<shard>/<uid>/          0.png to 3.png (front, right, back, left), rots.npy, annotation.json

A folder appears whole or not at all; objects that are there already are kept, so an interrupted run goes on where it
stopped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from framework.artifacts.atomic import atomic_folder
from framework.data.procedural.catalogue import generate, object_list
from framework.data.procedural.sampling import sample_object
from framework.data.procedural.solid import Array
from framework.data.shape_files import ShapeArrays, write_arrays, write_split, write_views

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
    family: str
    seed: int
    counts: SampleCounts

    @property
    def uid(self) -> str:
        """`<shard>/<name>`, unique over all splits and seeds of a set."""
        return f"{self.seed // _SHARD_SIZE:07d}/{self.family}-{self.seed:010d}"

    @property
    def done(self) -> bool:
        """Whether the object is there; its geometry is written last."""
        return (self.root / "geometry" / self.uid).is_dir()


def write_set(
    root: Path,
    split_counts: Mapping[str, int],
    seed: int = 0,
    counts: SampleCounts | None = None,
    processes: int = 2,
    lists: Path | None = None,
) -> Iterator[str]:
    """Write what is missing of a set; yields the uid of each new object as it is done (drive it to the end).

    split_counts: objects of "train", "val", "test". processes: 0 works in this one. lists: folder of the split lists,
    `root` by default; they are written last, so a list that exists names only objects that exist. Read the set with
    `data=shapes data.root=<lists> data.geometry=<root>/geometry data.images=<root>/images`.
    """
    root = Path(root)
    jobs = {split: _jobs(root, split, count, seed, counts) for split, count in split_counts.items()}
    missing = [job for split in jobs.values() for job in split if not job.done]
    if processes == 0 or len(missing) < 4:
        for job in missing:
            yield write_object(job)
    else:
        yield from _in_processes(missing, processes)
    for split, members in jobs.items():
        write_split(lists or root, split, [job.uid for job in members])


def missing_count(root: Path, split_counts: Mapping[str, int], seed: int = 0) -> int:
    """Number of objects that `write_set` would write."""
    return sum(not job.done for split, count in split_counts.items() for job in _jobs(root, split, count, seed))


def write_object(job: Job) -> str:
    """Make one object and write its two folders; returns its uid."""
    item = generate(job.family, job.seed)
    arrays = sample_object(item, **vars(job.counts))
    if job.counts.views:
        with atomic_folder(job.root / "images" / job.uid) as folder:
            write_views(folder, arrays["views"], np.repeat(np.eye(4)[None], len(arrays["views"]), axis=0))
            # The layout's own habit: a JSON string that holds the text of a dictionary.
            annotation = {"caption": item.caption, "family": item.family}
            (folder / "annotation.json").write_text(json.dumps(repr(annotation)), encoding="utf-8")
    with atomic_folder(job.root / "geometry" / job.uid) as folder:
        write_arrays(folder, _shape_arrays(arrays))
        np.savez(folder / "labels.npz", surface=arrays["surface_labels"], names=np.array(item.label_names))
    return job.uid


def _jobs(root: Path, split: str, count: int, seed: int, counts: SampleCounts | None = None) -> list[Job]:
    objects = object_list(split, count, seed)
    return [Job(root=root, family=family, seed=number, counts=counts or SampleCounts()) for family, number in objects]


def _in_processes(jobs: Iterable[Job], processes: int) -> Iterator[str]:
    # Spawned, not forked: a parent that has run torch may hold threads that a fork would lose.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_single_thread) as pool:
        futures = [pool.submit(write_object, job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _single_thread() -> None:
    """One thread per process: the processes share the cores already."""
    import torch

    torch.set_num_threads(1)


def _shape_arrays(arrays: Mapping[str, Array]) -> ShapeArrays:
    return ShapeArrays(
        surface=np.concatenate([arrays["surface"], arrays["normals"]], axis=1),
        points=arrays["volume"],
        occupancy=np.packbits(arrays["volume_occupancy"]),
        near_points=arrays["near"],
        near_occupancy=np.packbits(arrays["near_occupancy"]),
    )
