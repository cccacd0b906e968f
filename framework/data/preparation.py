"""What `prepare` asks of a kind of data: a job goes in, what became of every object comes out.

A data module that can be prepared has a method `prepare(job) -> list[Outcome]`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from framework.artifacts.atomic import write_json
from framework.geometry.mesh import Mesh

Status = Literal["written", "kept", "failed"]


class PrepareError(ValueError):
    """A set can't be prepared at all: says what is wrong and what to give instead."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one object."""

    id: str
    """Its name in the set."""
    source: str
    """What it was made from."""
    status: Status
    """Written now, kept from an earlier run, or failed."""
    reason: str = ""
    """Why it failed."""
    remarks: tuple[str, ...] = ()
    """What is unusual about it, as "open"."""
    split: str = ""
    """The split it belongs to."""
    faces: int = 0
    """Triangles of its mesh."""
    inside: float = 0.0
    """Share of the volume points that lie inside."""
    seconds: float = 0.0
    """Time it took."""


@dataclass(frozen=True, kw_only=True)
class PrepareJob:
    """What a preparation is given; the same for all kinds of data."""

    source: Path | None
    """Folder or file to start from, if the kind of data needs one."""
    output: Path
    """Folder of the set."""
    seed: int
    """Seed of everything random."""
    read_mesh: Callable[[Path], Mesh]
    """Reads a mesh file; MeshError when it can't. Called in other processes too, so a function of a module."""
    mesh_suffixes: tuple[str, ...]
    """Suffixes of the files that `read_mesh` reads, lower case with the dot."""
    watch: Callable[[Outcome, int, int], None]
    """Called after every object with its outcome, how many are done, and how many there are."""


def write_report(path: Path, outcomes: Sequence[Outcome], **facts: Any) -> None:
    """Write what became of every object, with counts and other `facts`, as JSON."""
    counts = Counter(outcome.status for outcome in outcomes)
    splits = Counter(outcome.split for outcome in outcomes if outcome.split)
    report = facts | {"counts": counts, "splits": splits, "objects": [asdict(outcome) for outcome in outcomes]}
    write_json(path, report)
