"""Commands on hostile files, run in a forked process under watch.

The process is forked once for many files. For each it runs `framework.cli.main` in an empty working folder and reports
what came out: exit code, text, memory, and every deed that reading a file must not lead to. Python's audit events tell
of programs, connections, files changed outside the working folder and files read in the secret one; lists of all files
before and after tell the rest, and whether any of the traps left its mark, a file named `owned`. A command that uses up
its processor time, or sleeps for good, ends its process, and the next file gets a new one.
"""

from __future__ import annotations

import getpass
import importlib
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from framework.cli import main
from framework.config.folders import config_folders

SECONDS = 10
"""Processor time for one command."""
MEMORY = 3 * 2**29
"""Bytes by which a command may grow: with torch and the rest, about 0.45 GiB, it stays within 2 GiB.

The system refuses more than this (RLIMIT_DATA: what a process takes and does not share), and the largest size that the
process had (VmHWM, files that it mapped included) is checked against it too.
"""
ASLEEP = 20.0
"""Seconds without any processor time after which a command counts as blocked for good."""
MARK = "owned"
"""How the file is named that any code in a hostile file would make."""
MAY_APPEAR = {"said.txt", "out"}
"""What a command may make in its working folder, beside what lay there before."""
PROGRAMS = {"git", "uname"}
"""Asked for the commit and the processor that go into a manifest."""
JOB = ["-m", "framework.sweeps.job"]
"""What a sweep starts."""
CHANGES = {"os.remove", "os.rmdir", "os.mkdir", "os.rename", "os.symlink", "os.link", "os.truncate", "os.chmod"}
"""Audit events whose first arguments are paths of what is changed."""


@dataclass(frozen=True)
class Hostile:
    """Files that want to do harm, and the command that a user would give them to."""

    name: str
    """Name of the case, also of its folder."""
    write: Callable[[Path], object]
    """Writes the files into a folder."""
    words: tuple[str, ...]
    """The command; `{folder}` stands for that folder."""
    says: str
    """What the error has to name: the file."""
    may_load: bool = False
    """Whether success is as good as an error: what is hostile may also be left out."""
    in_work: bool = False
    """Whether the files lie in the working folder itself, where the command may write."""
    installed: bool = False
    """Whether the files are installed packages: the folder is one that Python looks in."""


@dataclass
class Outcome:
    """What became of one command."""

    name: str
    code: int | None = None
    """Exit code; None when the process did not survive."""
    text: str = ""
    """What was printed, errors too."""
    peak: int = 0
    """Bytes that the process grew by."""
    deeds: list[str] = field(default_factory=list)
    """What should not have happened."""
    end: str = ""
    """How the process ended, if it did not survive."""


Program = Callable[[list[str]], int]


def run_all(cases: Sequence[Hostile], root: Path, program: Program = main) -> list[Outcome]:
    """Write the files of all cases below `root`, run their commands, and return what became of each.

    `program` takes the words of a command and returns its exit code.
    """
    (root / "secret").mkdir(parents=True)
    (root / "secret" / "secret.txt").write_text("a secret")
    for case in cases:
        for part in ("files", "work"):
            (root / part / case.name).mkdir(parents=True)
        case.write(root / ("work" if case.in_work else "files") / case.name)
    before = _listing(root)
    outcomes: list[Outcome] = []
    while len(outcomes) < len(cases):
        outcomes += _in_a_process(cases[len(outcomes) :], root, program)
    _note_changes(outcomes, before, _listing(root))
    return outcomes


def _listing(root: Path) -> dict[str, int]:
    """Size of every file that no command may change or make."""
    found = {str(path): 0 for path in (*root.iterdir(), *root.glob("work/*/*")) if path.name not in MAY_APPEAR}
    for part in ("files", "secret"):
        for parent, folders, names in os.walk(root / part):
            found |= {str(Path(parent, name)): os.lstat(Path(parent, name)).st_size for name in folders + names}
    return found | {str(path): 0 for path in root.glob(f"**/{MARK}*")}


def _note_changes(outcomes: Sequence[Outcome], before: dict[str, int], after: dict[str, int]) -> None:
    for path in sorted(before.keys() | after.keys()):
        parts = Path(path).parts
        if before.get(path) != after.get(path) and not _is_folder_of(path, after):
            guilty = [outcome for outcome in outcomes if outcome.name in parts] or list(outcomes)
            guilty[0].deeds.append(f"changed {path}")


def _is_folder_of(path: str, listing: dict[str, int]) -> bool:
    """Folders grow with their content, which is listed itself."""
    return any(other.startswith(path + os.sep) for other in listing)


def _in_a_process(cases: Sequence[Hostile], root: Path, program: Program) -> list[Outcome]:
    """Outcomes of the first cases: all of them, or up to the one that ended the process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reader)
            _work(cases, root, writer, program)
            code = 0
        finally:
            if sys.exception() is not None:
                traceback.print_exc()
                sys.stderr.flush()
            os._exit(code)
    os.close(writer)
    outcomes = list(_received(reader, child))
    os.close(reader)
    status = os.waitpid(child, 0)[1]
    if len(outcomes) < len(cases):
        end = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit code {os.WEXITSTATUS(status)}"
        name = cases[len(outcomes)].name
        outcomes.append(Outcome(name, end=end, text=(root / "work" / name / "said.txt").read_text(errors="replace")))
    return outcomes


def _received(reader: int, child: int) -> Iterator[Outcome]:
    """Outcomes as they come in; ends the process when it sleeps for good."""
    buffer, used, since = b"", -1, time.monotonic()
    while True:
        ready, _, _ = select.select([reader], [], [], 0.5)
        if ready:
            if not (chunk := os.read(reader, 65536)):
                return
            buffer += chunk
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            yield Outcome(**json.loads(line))
        now = _ticks(child)
        if now != used:
            used, since = now, time.monotonic()
        elif time.monotonic() - since > ASLEEP:
            os.kill(child, signal.SIGKILL)


def _ticks(child: int) -> int:
    """Processor time of a process so far, and 1 more in every look at a process that waits for the processor."""
    facts = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
    return int(facts[11]) + int(facts[12]) + (time.monotonic_ns() if facts[0] == "R" else 0)


def _work(cases: Sequence[Hostile], root: Path, writer: int, program: Program) -> None:
    sys.dont_write_bytecode = True
    torch.set_num_threads(1)  # the threads of the process that forked are not here, and would be waited for
    deeds: list[str] = []
    place: list[Path] = [root]
    sys.addaudithook(lambda event, arguments: _watch(event, arguments, place[0], root, deeds))
    memory = _status("VmData") + MEMORY
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for case in cases:
        place[0] = root / "work" / case.name
        os.chdir(place[0])
        deeds.clear()
        outcome = _watched(case, root / "files" / case.name, program)
        outcome.deeds = list(deeds)
        os.write(writer, json.dumps(vars(outcome)).encode() + b"\n")


def _watched(case: Hostile, folder: Path, program: Program) -> Outcome:
    """Run one command; the file with what it says stays open in place of standard output and error."""
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    resource.setrlimit(resource.RLIMIT_CPU, (int(used) + SECONDS + 1, resource.RLIM_INFINITY))
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _status("VmRSS")
    with Path("said.txt").open("w+") as said:
        _say_into(said.fileno())
    with _importable(folder) if case.installed else nullcontext():
        code = program([word.replace("{folder}", str(folder)) for word in case.words])
    sys.stdout.flush()
    sys.stderr.flush()
    return Outcome(case.name, code, Path("said.txt").read_text(errors="replace"), _status("VmHWM") - before)


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let Python find the packages in a folder as long as the block lasts."""
    sys.path.append(str(folder))
    _look_again()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        _look_again()


def _look_again() -> None:
    importlib.invalidate_caches()
    config_folders.cache_clear()


def _say_into(descriptor: int) -> None:
    """Standard output and error go into a file, also those of libraries that are not Python."""
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)  # noqa: SIM115 PTH123
    sys.stderr = sys.__stderr__ = open(2, "w", closefd=False)  # noqa: SIM115 PTH123


def _status(name: str) -> int:
    """An entry of the process's memory in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _watch(event: str, arguments: tuple[Any, ...], work: Path, root: Path, deeds: list[str]) -> None:
    """Note what reading a file must not lead to."""
    if event in ("os.system", "os.exec", "os.posix_spawn", "socket.connect", "socket.getaddrinfo", "pickle.find_class"):
        deeds.append(f"{event} {arguments[:2]!r:.200}")
    elif event == "subprocess.Popen":
        command = arguments[1] if isinstance(arguments[1], (list, tuple)) else [arguments[0]]
        if Path(str(command[0])).name not in PROGRAMS and list(command[1:3]) != JOB:
            deeds.append(f"program {command!r:.200}")
    elif event == "open" and isinstance(arguments[0], (str, bytes)):
        path = _path(arguments[0])
        writes = bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) if arguments[2] is not None else False
        if root / "secret" in path.parents:
            deeds.append(f"read {path}")
        if writes and not _may_be_written(path, work):
            deeds.append(f"wrote {path}")
    elif event in CHANGES:
        paths = [_path(argument) for argument in arguments if isinstance(argument, (str, bytes, os.PathLike))]
        deeds += [f"{event} {path}" for path in paths if not _may_be_written(path, work)]


def _path(name: str | bytes | os.PathLike[str]) -> Path:
    return Path(os.path.abspath(os.fsdecode(name)))  # noqa: PTH100


def _may_be_written(path: Path, work: Path) -> bool:
    cache = Path(tempfile.gettempdir()) / f"torchinductor_{getpass.getuser()}"
    free = (work, Path("/dev"), Path("/proc/self"), cache)
    return any(folder == path or folder in path.parents for folder in free)
