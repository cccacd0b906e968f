"""What became of a fixture, and the table that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from framework.pipeline.failure import Isolated
from tests.parity.comparison import Row, compare
from tests.parity.fixture import Fixture
from tests.parity.runners import find_runner

_WIDTHS = (34, 40, 12, 24)


@dataclass(frozen=True)
class Outcome:
    """One fixture's comparison."""

    method: str
    name: str
    rows: list[Row]
    """One for each output; empty where none could be compared."""
    error: str = ""
    """Why nothing was compared."""

    @property
    def passed(self) -> bool:
        """Whether something was compared and all of it agrees."""
        return not self.error and bool(self.rows) and all(row.passed for row in self.rows)


def outcome_of(fixture: Fixture) -> Outcome:
    """Run the fixture's runner and compare; whatever goes wrong is in the outcome."""
    rows: list[Row] = []
    with Isolated() as guard:
        runner = find_runner(fixture.method, fixture.family)
        if runner is None:
            return Outcome(
                fixture.method, fixture.name, [], f"family {fixture.family!r} of {fixture.method!r} has no runner"
            )
        rows = compare(fixture, runner(fixture))
    reason = f"{type(guard.error).__name__}: {guard.error}" if guard.error else ""
    return Outcome(fixture.method, fixture.name, rows, " ".join(reason.split()))


def table_lines(outcome: Outcome, header: bool = False) -> list[str]:
    """The lines of a fixture: output, largest difference, tolerance, verdict."""
    name = f"{outcome.method}/{outcome.name}"
    lines = [_line("fixture", "output", "difference", "tolerance", "result")] if header else []
    lines += [
        _line(name, row.output, f"{row.difference:.3g}", str(row.tolerance), _verdict(row)) for row in outcome.rows
    ]
    if outcome.error:
        lines.append(_line(name, "-", "-", "-", f"FAILED: {outcome.error}"))
    return lines


def summary(outcomes: Sequence[Outcome]) -> list[str]:
    """The names of what failed, and the last line."""
    failed = [outcome for outcome in outcomes if not outcome.passed]
    names = [f"failed: {outcome.method}/{outcome.name}" for outcome in failed]
    return [*names, f"{len(outcomes) - len(failed)} passed, {len(failed)} failed"]


def _verdict(row: Row) -> str:
    if row.passed:
        return "passed"
    return f"FAILED: {row.reason}" if row.reason else "FAILED"


def _line(*cells: str) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=False)]
    return "  ".join([*padded, cells[-1]]).rstrip()
