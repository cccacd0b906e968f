"""`python -m framework.testing <method> [--json]`: the contract suite against one method, ours or of another package.

Prints a row for each check and exits with 0 when all passed, 1 when one failed, 2 when there is no such method. It
needs no network and no GPU, and writes to a temporary folder only.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

os.environ["HF_HUB_OFFLINE"] = "1"  # before a library is imported that reads it
os.environ["CUDA_VISIBLE_DEVICES"] = ""

from rich.console import Console  # noqa: E402

from framework import registry  # noqa: E402
from framework.cli.report import plain_plugin_warnings, report  # noqa: E402

if TYPE_CHECKING:
    from framework.testing.contract.outcome import Outcome

EXIT_FAILED = 1
EXIT_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m framework.testing", description="Check what a method promises.")
    parser.add_argument("method", help="name of a method: launch.py list methods")
    parser.add_argument("--json", action="store_true", help="print the outcomes as JSON")
    options = parser.parse_args(arguments)
    plain_plugin_warnings()
    console = Console(file=sys.stdout, highlight=False, markup=False, soft_wrap=True)
    with contextlib.redirect_stdout(sys.stderr):  # what trainings say is no part of the answer
        return _check(options.method, console, as_json=options.json)


def _check(method: str, console: Console, *, as_json: bool) -> int:
    try:
        registry.method(method)
    except LookupError as error:
        return report(error, EXIT_USAGE, traceback=False)
    from framework.testing.contract.suite import check_method  # torch comes with it

    def show(outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            reason = f": {outcome.problem}" if outcome.problem else ""
            console.print(f"{'passed' if outcome.passed else 'FAILED'}  {outcome.part:<28}  {outcome.check}{reason}")

    with tempfile.TemporaryDirectory(prefix="atelier-contract-") as folder:
        outcomes = check_method(method, Path(folder), (lambda new: None) if as_json else show)
    failed = sum(not outcome.passed for outcome in outcomes)
    if as_json:
        rows = [vars(outcome) | {"passed": outcome.passed} for outcome in outcomes]
        console.print(json.dumps({"method": method, "passed": not failed, "checks": rows}, indent=2))
    else:
        console.print(f"{method}: {len(outcomes) - failed} passed, {failed} failed")
    return EXIT_FAILED if failed else 0


if __name__ == "__main__":
    sys.exit(main())
