"""Starting the process of a job, and ending it."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any, BinaryIO

from framework.artifacts.atomic import write_json
from framework.config.errors import ConfigError
from framework.config.places import PACKAGE, shipped
from framework.sweeps.config import SweepOptions
from framework.sweeps.job_folder import JobFolder
from framework.sweeps.plan import Job
from framework.weights.runs import RUN_ID_VARIABLE

MODULE = "framework.sweeps.job"


@dataclass
class Process:
    """A job that runs."""

    job: Job
    """What runs."""

    folder: JobFolder
    """Where it writes."""

    slot: int
    """Which of the sweep's places it has."""

    popen: subprocess.Popen[bytes]
    """The process; as long as its standard input is open it knows that the sweep is there."""

    started: float
    """When, on the monotonic clock."""

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.started

    def ended(self, *, asked: bool) -> bool:
        """Whether it is over; then `ended.json` says how, also where the process could not. `asked`: it was told to."""
        code = self.popen.poll()
        if code is None:
            return False
        if self.popen.stdin:
            self.popen.stdin.close()
        if code and not self.folder.ended.is_file():
            how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            line = self.folder.last_line()
            reason = f"{how}{f', after it had said: {line}' if line else ''}"
            write_json(self.folder.ended, {"status": "interrupted" if asked else "failed", "reason": reason})
        return True

    def ask_to_end(self) -> None:
        """Let it save and stop."""
        self.popen.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, together with the processes that it started."""
        os.killpg(self.popen.pid, signal.SIGKILL)


def start(job: Job, verb: str, folder: JobFolder, slot: int, options: SweepOptions) -> Process | None:
    """Start or continue a job; None when a process of an earlier sweep still works on it.

    ConfigError when its folder can't be made.
    """
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"the folder {folder.path} can't be made ({error.strerror}). Move away what lies there."
        raise ConfigError("output", problem) from error
    with folder.log.open("ab") as log:
        if not _lock(log):
            return None
        folder.ended.unlink(missing_ok=True)
        write_json(folder.job, {"verb": verb, "options": _placed(job, verb, folder)})
        popen = subprocess.Popen(
            [sys.executable, "-m", MODULE, str(folder.job)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(options, slot),
            start_new_session=True,  # Ctrl-C in the terminal is for the sweep, which passes it on once
        )
    return Process(job, folder, slot, popen, time.monotonic())


def environment(options: SweepOptions, slot: int) -> dict[str, str]:
    """Return the environment of the job in a place of the pool: its GPU, its share of the cores, no run id of ours."""
    variables = {name: value for name, value in os.environ.items() if name != RUN_ID_VARIABLE}
    if not shipped().is_relative_to(PACKAGE):  # a checkout, which need not be installed
        paths = [str(PACKAGE.parent), *filter(None, [variables.get("PYTHONPATH")])]
        variables |= {"PYTHONPATH": os.pathsep.join(paths)}
    variables["PYTHONSAFEPATH"] = "1"  # as with launch.py, the working folder's own packages don't count
    if options.devices:
        variables["CUDA_VISIBLE_DEVICES"] = _device(options.devices[slot])
    if options.slots > 1:
        variables.setdefault("OMP_NUM_THREADS", str(max(1, cores() // options.slots)))
    return variables


def _placed(job: Job, verb: str, folder: JobFolder) -> dict[str, Any]:
    """The job's options with its folder. A run that was begun goes on: only the sweep can tell, before it is one."""
    if verb == "train" and folder.is_run:
        return job.options | {"run": str(folder.path), "output": None}
    return job.options | {"output": str(folder.path)}


def _device(device: int | str) -> str:
    """A value for CUDA_VISIBLE_DEVICES; numbers count among the GPUs that are visible here."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = visible.split(",") if visible else []
    return names[device].strip() if isinstance(device, int) and device in range(len(names)) else str(device)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _lock(log: BinaryIO) -> bool:
    """Lock a job's log for the process that will write it, and for those that it starts; False when one has it."""
    try:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network disks know no locks
        pass
    return True
