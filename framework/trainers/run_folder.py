"""The folder of a training: `outputs/<method>/<run id>/` with its config, manifest, checkpoints, metrics and pictures.

All processes of a run share one folder, so its id must not come from each one's clock: it is taken from the
environment variable ATELIER_RUN_ID, which the first process sets for those it starts.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytorch_lightning.utilities import rank_zero_only

from framework.artifacts.atomic import write_text
from framework.config.compose import read_yaml, to_yaml
from framework.trainers.checkpoints import LAST
from framework.trainers.loggers import METRICS_FILE
from framework.weights.resolve import RUN_WEIGHTS
from framework.weights.runs import OUTPUTS, RUN_ID_VARIABLE, find_run, new_run_id

CONFIG_FILE = "config.yaml"
MANIFEST_FILE = "manifest.json"


class RunFolderError(ValueError):
    """A run folder can't be made or read."""


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run."""

    path: Path
    """The folder itself."""

    @property
    def run_id(self) -> str:
        """Name of the folder."""
        return self.path.name

    @property
    def reference(self) -> str:
        """What to write after `run=`: the id, or the path of a run that lies elsewhere."""
        return self.run_id if self.path.parent.parent == OUTPUTS else str(self.path)

    @property
    def config(self) -> Path:
        """The resolved options."""
        return self.path / CONFIG_FILE

    @property
    def manifest(self) -> Path:
        """What ran, where, how long and how it ended."""
        return self.path / MANIFEST_FILE

    @property
    def checkpoints(self) -> Path:
        """Folder of `last.ckpt` and `best.ckpt`."""
        return self.path / "checkpoints"

    @property
    def last_checkpoint(self) -> Path:
        """What a continued training starts from."""
        return self.checkpoints / LAST

    @property
    def metrics(self) -> Path:
        """What was logged, a row per step."""
        return self.path / METRICS_FILE

    @property
    def images(self) -> Path:
        """Folder of the pictures drawn in validation."""
        return self.path / "images"

    @property
    def weights(self) -> Path:
        """Weights folder, written when a training ends."""
        return self.path / RUN_WEIGHTS

    @classmethod
    def place(cls, system: str, output: str | None = None) -> "RunFolder":
        """Return the folder that a new run will have; nothing is written yet.

        `system` is a registry name whose first part names the method; `output` replaces the usual place.
        """
        return cls(Path(output) if output else OUTPUTS / system.split("/")[0] / run_id())

    @classmethod
    def open(cls, run: str) -> "RunFolder":
        """Return the folder of an existing run, given its id or path; RunNotFound with the nearest ids."""
        return cls(find_run(run))

    def read_config(self) -> dict[str, Any]:
        """Return the saved options as plain data."""
        return read_yaml(self.config)

    def write_config(self, options: Mapping[str, Any]) -> None:
        """Replace the saved options; only the first process writes."""
        if is_first_process():
            write_text(self.config, to_yaml(options))

    def make(self, options: Mapping[str, Any]) -> None:
        """Make the folder of a new run and write its `config.yaml`; only the first process does.

        Raises RunFolderError when the folder holds a run already or can't be made.
        """
        if not is_first_process():
            return
        if self.config.exists():
            raise RunFolderError(
                f"{self.path} holds a run already. Continue it with run={self.path}, or give another output="
            )
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            self.write_config(options)
        except OSError as error:
            raise RunFolderError(
                f"output: the run folder {self.path} can't be made ({error.strerror}: {error.filename}). "
                "Give a writable place with output=<folder>"
            ) from error


def is_first_process() -> bool:
    """Whether this process is the one that writes files, as the launcher's environment tells."""
    return getattr(rank_zero_only, "rank", 0) == 0


def run_id() -> str:
    """Return this run's id and set it in the environment for processes that this one starts.

    Raises RunFolderError under a launcher that starts the processes itself, if it gave no ATELIER_RUN_ID.
    """
    if RUN_ID_VARIABLE not in os.environ:
        os.environ[RUN_ID_VARIABLE] = _shared_id() or new_run_id()
    return os.environ[RUN_ID_VARIABLE]


def _shared_id() -> str | None:
    """An id that all processes of an outside launcher compute alike, or None when this process is the first."""
    environment = os.environ
    if "SLURM_PROCID" in environment and int(environment.get("SLURM_NTASKS", "1")) > 1:
        return f"slurm-{environment['SLURM_JOB_ID']}-{environment.get('SLURM_STEP_ID', '0')}"
    if "TORCHELASTIC_RUN_ID" not in environment:
        return None
    parent = Path(f"/proc/{os.getppid()}/stat")
    if int(environment.get("GROUP_WORLD_SIZE", "1")) > 1 or not parent.exists():
        raise RunFolderError(
            f"torchrun starts processes that can't agree on a run id by themselves. Give one: "
            f"{RUN_ID_VARIABLE}=<any new name> {Path(sys.argv[0]).name} ..."
        )
    # Field 22 is the start time in clock ticks: with the process id it names the launcher once per boot.
    started = parent.read_text().rpartition(")")[2].split()[19]
    return f"torchrun-{started}-{os.getppid()}"
