"""Commands as real processes, and their end by SIGKILL at random moments.

Most are forked from a process that has imported everything already, so that a kill hits the work and not the imports;
some are `python launch.py ...` from the beginning.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from framework.trainers.stopping import FIRST_PROCESS
from framework.weights.runs import RUN_ID_VARIABLE

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 240.0
"""Seconds after which a process that should end is taken for hanging."""
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}

OF_A_RUN = (RUN_ID_VARIABLE, FIRST_PROCESS)
"""What a training tells its processes; another one must not hear it."""

_context = get_context("forkserver")
_context.set_forkserver_preload(["framework.tasks.train", "framework.tasks.predict", "framework.tasks.prepare"])


_started: list[Running] = []


@atexit.register
def _end_all() -> None:
    """No process outlives the tests, also after one that failed."""
    for running in _started:
        if not running.ends(0):
            running.signal(signal.SIGKILL)


class Running:
    """A command that runs, in one process or in the ranks of a distributed training.

    Everything that it and its own children print goes to `log`.
    """

    def __init__(self, words: list[str], folder: Path, *, ranks: int = 1, cold: bool = False) -> None:
        self.log = folder / "log.txt"
        self.started = time.monotonic()
        if cold:
            self._processes: list[Any] = [self._cold(words, folder)]
        else:
            self._processes = [self._warm(words, folder, settings) for settings in _rank_settings(ranks)]
        _started.append(self)

    def _cold(self, words: list[str], folder: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(REPOSITORY / "launch.py"), *words]
        inherited = {name: value for name, value in os.environ.items() if name not in OF_A_RUN}
        settings = inherited | ENVIRONMENT
        with self.log.open("ab") as log:
            return subprocess.Popen(command, cwd=folder, env=settings, stdout=log, stderr=log, start_new_session=True)

    def _warm(self, words: list[str], folder: Path, settings: dict[str, str]) -> Any:
        process = _context.Process(target=_run, args=(words, str(folder), str(self.log), settings))
        process.start()
        return process

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.started

    def alive(self) -> bool:
        """Whether its first process runs."""
        return _code(self._processes[0]) is None

    def signal(self, number: int, rank: int | None = None) -> None:
        """Send a signal to all its processes and their children, or to one rank alone."""
        for process in self._processes if rank is None else [self._processes[rank]]:
            try:
                os.kill(process.pid, number) if rank is not None else os.killpg(process.pid, number)
            except ProcessLookupError:  # it has ended, or has no group of its own yet
                if _code(process) is None:
                    _try_kill(process.pid, number)

    def ends(self, seconds: float) -> bool:
        """Wait until all its processes have ended; whether they have in time."""
        end = time.monotonic() + seconds
        while any(_code(process) is None for process in self._processes) and time.monotonic() < end:
            time.sleep(0.01)
        return all(_code(process) is not None for process in self._processes)

    def wait(self, seconds: float = PATIENCE) -> list[int]:
        """Wait until all its processes have ended, and return their exit codes; what hangs is an error, and killed."""
        if not self.ends(seconds):
            self.signal(signal.SIGKILL)
            raise AssertionError(f"still running after {seconds} s\n{self.text()}")
        codes = [_code(process) for process in self._processes]
        self.signal(signal.SIGKILL)  # loader processes of a rank that was killed alone
        return [int(code) for code in codes if code is not None]

    def left_over(self) -> list[int]:
        """Processes that the first one started, or itself, and that still run."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, _, group = path.read_text().rpartition(")")[2].split()[:3]
                found += [int(path.parent.name)] if state != "Z" and int(group) == self._processes[0].pid else []
        return found

    def text(self) -> str:
        """What was printed so far, by earlier commands in this folder too."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.is_file() else ""


class Killer:
    """Runs commands again and again, and kills them `kills` times at random moments.

    lives: seconds that a forked command, and one from the beginning (`cold`), take without a kill. `seed` decides the
    moments as shares of these; it is part of every message.
    """

    def __init__(self, kills: int, lives: Sequence[float]) -> None:
        self.left = kills
        self.lives = [lives[0], lives[-1]]
        self.seed = int(os.environ.get("RESUME_SEED", random.SystemRandom().randrange(10**6)))
        self.random = random.Random(self.seed)
        self.moments: list[str] = []

    def until_finished(
        self,
        start: Callable[[bool], Running],
        after_kill: Callable[[], object],
        *,
        ranks: int = 1,
        cold_share: float = 0.0,
    ) -> None:
        """Start the command, kill it, check what it left, and so on until it once ends by itself."""
        while True:
            cold = self.random.random() < cold_share
            running = start(cold)
            delay = self.random.uniform(0, self.lives[cold]) if self.left else PATIENCE
            while running.alive() and running.seconds < delay:
                time.sleep(0.002)
            if running.alive():
                self._kill(running, ranks, cold)
                after_kill()
                continue
            codes = running.wait()
            assert set(codes) == {0}, f"{self}: exit codes {codes}\n{running.text()}"
            # What it took now: the machine may have been busier, or idler, before.
            self.lives[cold] = (self.lives[cold] + running.seconds) / 2
            return

    def __str__(self) -> str:
        return f"seed {self.seed}, killed after {', '.join(self.moments) or 'nothing'} of {self.lives}"

    def _kill(self, running: Running, ranks: int, cold: bool) -> None:
        assert self.left, f"hangs\n{running.text()}"
        rank = self.random.randrange(ranks) if ranks > 1 and not cold and self.random.random() < 0.5 else None
        self.moments.append(f"{running.seconds:.2f} s{' cold' * cold}{'' if rank is None else f' rank {rank}'}")
        self.left -= 1
        running.signal(signal.SIGKILL, rank)
        if rank is not None and not running.ends(20):  # before they were connected the others can't know,
            running.signal(signal.SIGKILL)  # and a launcher ends them
        running.wait(60)


def _run(words: list[str], folder: str, log: str, settings: dict[str, str]) -> None:
    """The life of a forked command."""
    os.setsid()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.chdir(folder)
    os.environ.update(ENVIRONMENT | settings)
    for variable in OF_A_RUN:
        os.environ.pop(variable, None)
    sys.argv = ["launch.py", *words]
    import torch
    from pytorch_lightning.utilities import rank_zero_only

    from framework.cli import main
    from framework.testing.tiny import register_tiny

    # What both read from the environment when they are imported, which was before the fork.
    torch.set_num_threads(int(ENVIRONMENT["OMP_NUM_THREADS"]))
    rank_zero_only.rank = int(settings.get("LOCAL_RANK", "0"))
    register_tiny()
    sys.exit(main(words))


def _rank_settings(ranks: int) -> list[dict[str, str]]:
    """The environment in which a launcher starts each rank."""
    if ranks == 1:
        return [{}]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(ranks), "NODE_RANK": "0"}
    return [shared | {"LOCAL_RANK": str(rank)} for rank in range(ranks)]


def _code(process: Any) -> int | None:
    return process.poll() if isinstance(process, subprocess.Popen) else process.exitcode


def _try_kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
