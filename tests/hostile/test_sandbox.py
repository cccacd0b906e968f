"""The watch over hostile files sees what it is there for: programs that do what no reader may do."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hostile import sandbox
from tests.hostile.sandbox import Hostile, run_all
from tests.hostile.test_hostile import judged

CASE = Hostile("case", lambda folder: (folder / "trap.bin").write_bytes(b"1"), ("{folder}/trap.bin",), says="trap.bin")


def problems(program: Callable[[Path], object], root: Path) -> str:
    """What is said of a command that gives the file to `program` and then ends with a clear error."""

    def command(words: list[str]) -> int:
        program(Path(words[0]))
        sys.stdout.write(f"error: {words[0]} is damaged")
        return 1

    return "\n".join(judged(CASE, run_all([CASE], root, command)[0]))


def test_a_clear_error_is_no_problem(tmp_path: Path) -> None:
    assert problems(lambda path: path.read_bytes(), tmp_path / "a") == ""


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        (lambda path: os.system("true"), "it happened: os.system"),
        (lambda path: os.popen("true").read(), "it happened: program"),
        (lambda path: Path("owned").write_text("x"), "changed "),
        (lambda path: Path("other").write_text("x"), "other"),
        (lambda path: path.with_name("new").write_text("x"), "it happened: wrote"),
        (lambda path: path.write_text("larger"), "it happened: changed"),
        (lambda path: path.unlink(), "it happened: os.remove"),
        (lambda path: path.with_name("new").mkdir(), "it happened: os.mkdir"),
        (lambda path: (path.parents[2] / "secret" / "secret.txt").read_text(), "it happened: read"),
        (lambda path: bytearray(sandbox.MEMORY + 2**28), "the process ended: exit code 1"),
        (lambda path: os.kill(os.getpid(), signal.SIGKILL), "the process ended: signal 9"),
        (lambda path: sys.stdout.write("Traceback (most recent call last):"), "'Traceback' is in the text"),
        (lambda path: sys.stdout.write("Unable to allocate 9 GiB"), "'Unable to allocate' is in the text"),
    ],
)
def test_deeds_are_seen(tmp_path: Path, program: Callable[[Path], object], problem: str) -> None:
    assert problem in problems(program, tmp_path / "a")


def test_what_sleeps_for_good_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "ASLEEP", 1.0)
    assert "the process ended: signal 9" in problems(lambda path: time.sleep(1000), tmp_path / "a")


def test_what_computes_for_good_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "SECONDS", 0)

    def endless(path: Path) -> None:
        while True:
            pass

    assert "the process ended: signal 24" in problems(endless, tmp_path / "a")


@pytest.mark.parametrize(
    ("code", "text", "problem"),
    [(0, "", "it was taken for good"), (1, "error: damaged", "does not name 'trap.bin'"), (7, "trap", "exit code 7")],
)
def test_errors_that_say_too_little(tmp_path: Path, code: int, text: str, problem: str) -> None:
    def command(words: list[str]) -> int:
        sys.stdout.write(text)
        return code

    assert problem in "\n".join(judged(CASE, run_all([CASE], tmp_path / "a", command)[0]))


def test_the_next_file_gets_a_new_process(tmp_path: Path) -> None:
    def command(words: list[str]) -> int:
        if "first" in words[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return 2

    cases = [Hostile(name, lambda folder: None, ("{folder}",), says=name) for name in ("first", "second")]
    assert [outcome.code for outcome in run_all(cases, tmp_path / "a", command)] == [None, 2]
