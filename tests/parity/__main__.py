"""`python -m tests.parity <folder> [--method m] [--family f] [--fast]`: every fixture of a folder against our code.

Prints one line per output with the largest difference and the tolerance, and last `N passed, M failed`. Exit code 0
when all fixtures passed, 1 when one failed, 2 when there was nothing to run.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before a runner imports a library that reads it

from tests.parity.fixture import Fixture, FixtureError, find_fixtures  # noqa: E402
from tests.parity.report import Outcome, outcome_of, summary, table_lines  # noqa: E402


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    options = _parser().parse_args(arguments)
    if not options.folder.is_dir():
        return _refuse(f"{options.folder} is no folder")
    chosen = [entry for entry in map(_read, find_fixtures(options.folder)) if _wanted(entry, options)]
    if not chosen:
        return _refuse(f"{options.folder}: no fixture is selected. Fixtures are <method>/<name>.json with .safetensors")
    outcomes = []
    for entry in chosen:
        outcomes.append(outcome_of(entry) if isinstance(entry, Fixture) else entry)
        _say(*table_lines(outcomes[-1], header=len(outcomes) == 1))
    _say(*summary(outcomes))
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.parity", description="Compare our numbers with fixtures.")
    parser.add_argument("folder", type=Path, help="searched with everything below it for <method>/<name>.json")
    parser.add_argument("--method", help="only fixtures in folders of this name")
    parser.add_argument("--family", help="only fixtures of this family")
    parser.add_argument("--fast", action="store_true", help="leave out fixtures with more than 20 million weights")
    return parser


def _read(path: Path) -> Fixture | Outcome:
    """The fixture of a file, or the outcome that it can't be read."""
    try:
        return Fixture.read(path)
    except FixtureError as error:
        return Outcome(path.resolve().parent.name, path.stem, [], str(error))


def _wanted(entry: Fixture | Outcome, options: argparse.Namespace) -> bool:
    if options.method is not None and entry.method != options.method:
        return False
    if isinstance(entry, Outcome):
        return options.family is None
    return options.family in (None, entry.family) and not (options.fast and entry.heavy)


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _refuse(reason: str) -> int:
    sys.stderr.write(f"error: {reason}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
