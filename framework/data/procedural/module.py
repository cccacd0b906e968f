"""The data module `procedural`: the set is written once, then read like any other set of shapes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from framework.artifacts.atomic import one_at_a_time, remove_leftovers
from framework.data.config import ProceduralConfig, ShapeItemsConfig, ShapesConfig
from framework.data.preparation import Outcome, PrepareError, PrepareJob
from framework.data.procedural.catalogue import FAMILIES, RECIPE_VERSION
from framework.data.procedural.writing import SampleCounts, missing_count, write_set
from framework.data.shape_files import read_split
from framework.data.shapes import ShapesData

LOCK_FILE = "preparing.lock"


class ProceduralData(ShapesData):
    """`ShapesData` over a set that `prepare_data` writes below `config.root`; batches are `ShapeBatch`."""

    def __init__(self, config: ProceduralConfig) -> None:
        super().__init__(shapes_config(config))
        self.procedural = config

    def prepare_data(self) -> None:
        """Make the objects that are missing (one process of a machine only); an interrupted run goes on."""
        with one_at_a_time(objects_root(self.procedural) / LOCK_FILE):  # two trainings may start together
            _clear(objects_root(self.procedural))
            self._prepare_data()

    def _prepare_data(self) -> None:
        config = self.procedural
        splits = split_counts(config)
        missing = missing_count(objects_root(config), splits, config.seed)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), disable=missing == 0) as progress:
            task = progress.add_task("procedural objects", total=missing)
            for _ in write_set(
                objects_root(config),
                splits,
                config.seed,
                sample_counts(config),
                config.processes,
                lists=Path(self.config.root),
            ):
                progress.advance(task)

    def prepare(self, job: PrepareJob) -> list[Outcome]:
        """Write the set below `job.output`; train on it with `data.root=<output>` and otherwise the same options."""
        if job.source is not None:
            raise PrepareError("source is not used: these objects are made from a seed (data.seed). Leave it out")
        config = replace(self.procedural, root=str(job.output))
        root, splits, lists = objects_root(config), split_counts(config), Path(shapes_config(config).root)
        new: set[str] = set()
        with one_at_a_time(root / LOCK_FILE):
            _clear(root)
            total = missing_count(root, splits, config.seed)
            for name in write_set(root, splits, config.seed, sample_counts(config), config.processes, lists):
                new.add(name)
                job.watch(Outcome(id=name, source="seed", status="written"), len(new), total)
        found = [(split, name) for split in splits for name in read_split(lists, split)]
        return [
            Outcome(id=name, source="seed", status="written" if name in new else "kept", split=split)
            for split, name in found
        ]


def _clear(root: Path) -> None:
    """Remove what a killed run had not finished: parts of lists and of objects."""
    remove_leftovers(*root.glob("*/*"))


def split_counts(config: ProceduralConfig) -> dict[str, int]:
    """Objects of each split."""
    return {"train": config.train, "val": config.val, "test": config.test}


def sample_counts(config: ProceduralConfig) -> SampleCounts:
    """What is stored of each object."""
    return SampleCounts(
        surface=config.samples, volume=config.samples, near=config.samples, view_size=config.render_size
    )


def objects_root(config: ProceduralConfig) -> Path:
    """Folder of the objects: its name is a hash of the recipe's version and of what is stored.

    Sets of different seeds and sizes share it; their objects have different names.
    """
    facts = {"recipe": RECIPE_VERSION, "families": FAMILIES, "stored": vars(sample_counts(config))}
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
    return Path(config.root) / digest


def shapes_config(config: ProceduralConfig) -> ShapesConfig:
    """Options that make `ShapesData` read the set: its lists lie in a folder of their own beside the objects."""
    objects = objects_root(config)
    name = "_".join([f"seed{config.seed}", *(f"{split}{count}" for split, count in split_counts(config).items())])
    shared = {item.name: getattr(config, item.name) for item in fields(ShapeItemsConfig)}
    return ShapesConfig(
        root=str(objects / "splits" / name),
        geometry=str(objects / "geometry"),
        images=str(objects / "images"),
        **shared,
    )
