"""The folder of one case: its artifacts, and `case.json`, which tells what each stage read, wrote and cost.

`read` always reads the file. So a restarted run computes from exactly what the first run computed from, and a picture
that a user edited between two runs is used as it is.
"""

import logging
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from framework.artifacts.atomic import write_json
from framework.artifacts.reading import read_json
from framework.config.build import from_dict
from framework.export.artifact_files import find_artifact, load_artifact, save_artifact

logger = logging.getLogger(__name__)

RECORD_FILE = "case.json"
ERROR_FILE = "error.txt"

Status = Literal["waiting", "running", "finished", "partial", "failed"]


@dataclass(kw_only=True)
class StageRecord:
    """What one stage did for a case."""

    name: str
    """Short name of the stage, as in `stages=`."""

    status: Literal["finished", "failed", "outdated"]
    """`outdated`: an earlier stage ran again since."""

    seconds: float
    """Wall-clock time of the stage, without building it."""

    reads: dict[str, str] = field(default_factory=dict)
    """Artifact -> file, relative to the case folder."""

    writes: dict[str, str] = field(default_factory=dict)
    """Artifact -> file, relative to the case folder."""

    digests: dict[str, str] = field(default_factory=dict)
    """Artifact -> SHA-256 of what was written, before anybody edited it."""

    measures: dict[str, float] = field(default_factory=dict)
    """Numbers that the stage found out about its result."""


@dataclass(kw_only=True)
class Failure:
    """Why a case has no result."""

    stage: str
    """Stage that failed, or `input` when the picture could not be read."""

    reason: str
    """One sentence for the user."""

    hint: str = ""
    """How to fix it, when that is known."""


@dataclass(kw_only=True)
class CaseRecord:
    """What `case.json` holds."""

    case: str
    """Name of the case."""

    source: str = ""
    """Picture that the case was made from; empty when there is none."""

    signature: str = ""
    """Hash of everything that the result depends on (options, weights, picture, seed): skip-finished compares it."""

    seed: int = 0
    """Seed of the case."""

    status: Status = "waiting"
    """`partial`: stopped early on purpose by `stages=`."""

    seconds: float = 0.0
    """Sum over the stages that ran in the last run."""

    preview_seconds: float = 0.0
    """Wall-clock time of making pictures and videos for people."""

    peak_memory_mb: float = 0.0
    """Largest memory of the process so far, in MiB; of the GPU when the run used one."""

    stages: list[StageRecord] = field(default_factory=list)
    """In the order in which they ran."""

    files: list[str] = field(default_factory=list)
    """Pictures and videos made for people, relative to the case folder."""

    failure: Failure | None = None
    """Set when the status is `failed`."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed is {self.seed}, expected 0 to 2^63 - 1")


class Case:
    """One input on its way through the pipeline.

    name: name of the case and of its folder; folder: where its files lie (made on the first write);
    seed: the only source of randomness of its stages.
    """

    def __init__(self, name: str, folder: Path, seed: int = 0) -> None:
        self.name = name
        self.folder = folder
        self.record = read_record(folder) or CaseRecord(case=name)
        self.record.seed = seed
        self.error: Exception | None = None
        self.reads: dict[str, str] = {}
        self.writes: dict[str, str] = {}
        self.measures: dict[str, float] = {}
        self.watcher: Callable[[str], None] | None = None

    @property
    def seed(self) -> int:
        """Seed of the case."""
        return self.record.seed

    def has(self, name: str) -> bool:
        """Say whether the artifact `name` lies in the case folder."""
        return find_artifact(self.folder, name) is not None

    def read(self, name: str) -> Any:
        """Read the artifact `name` from its file; ArtifactError when it is missing or damaged."""
        value = load_artifact(self.folder, name)
        path = find_artifact(self.folder, name)
        if path is not None:
            self.reads[name] = path.name
        return value

    def write(self, name: str, value: object) -> Path:
        """Write the artifact `name`, whole or not at all, and return its path."""
        path = save_artifact(value, self.folder, name)
        self.writes[name] = path.name
        return path

    def measure(self, **numbers: float) -> None:
        """Note numbers about the result of the running stage for `case.json`."""
        self.measures |= numbers

    def progress(self, text: str) -> None:
        """Say how far the running stage is, to whoever watches."""
        if self.watcher is not None:
            self.watcher(text)

    def forget_log(self) -> None:
        """Start counting reads, writes and numbers anew (before each stage)."""
        self.reads, self.writes, self.measures = {}, {}, {}

    def remove(self, files: Iterable[str]) -> None:
        """Remove files or folders that lie directly in the case folder; names with a path in them are left alone."""
        if not self.folder.is_dir():
            return
        for name in files:
            path = self.folder / name
            if name == ".." or Path(name).name != name:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def save_record(self) -> Path:
        """Write `case.json`."""
        return write_json(self.folder / RECORD_FILE, asdict(self.record))

    def is_finished(self, signature: str) -> bool:
        """Say whether an earlier run with the same `signature` finished this case and all its files are still there."""
        record = self.record
        files = [name for stage in record.stages for name in stage.writes.values()] + record.files
        # A name with a path in it was not written by this program, and may be anything.
        return (
            record.status == "finished"
            and record.signature == signature
            and all(Path(name).name == name and (self.folder / name).exists() for name in files)
        )


def read_record(folder: Path) -> CaseRecord | None:
    """Read `case.json` of a case folder; None when there is none, or (with a warning) when it is damaged."""
    path = folder / RECORD_FILE
    if not path.is_file():
        return None
    try:
        return from_dict(CaseRecord, read_json(path))
    except (OSError, ValueError) as error:
        logger.warning("%s is damaged (%s): the case counts as not done", path, error)
        return None
