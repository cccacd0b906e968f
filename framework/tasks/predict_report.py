"""What `predict` says on the screen: a line per case while it runs, a table or the paths of the files at the end."""

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from framework.pipeline.case import Case, CaseRecord, Failure

STYLES = {"finished": "green", "skipped": "cyan", "partial": "yellow", "failed": "red", "not run": "yellow"}


class Reporter(AbstractContextManager["Reporter"]):
    """Keeps what became of each case.

    console: where it is said; folder: the run's folder; total: number of cases.
    """

    def __init__(self, console: Console, folder: Path, total: int) -> None:
        self.console = console
        self.folder = folder
        self.total = total
        self.rows: list[tuple[str, CaseRecord]] = []
        columns = (
            SpinnerColumn(),
            MofNCompleteColumn(),
            BarColumn(20),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
        )
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task("", total=total)

    def __enter__(self) -> "Reporter":
        """Begin to show progress."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take the progress bar away."""
        self._progress.stop()

    def stage(self, case: Case, stage: str) -> None:
        """Show which stage of which case runs now."""
        self._progress.update(self._task, description=f"{escape(case.name)}: {stage}")

    def skip(self, case: Case) -> None:
        """Note a case that an earlier run finished."""
        self._note("skipped", case)

    def add(self, case: Case) -> None:
        """Note a case that ran."""
        self._note(case.record.status, case)

    def interrupted(self) -> None:
        """Say that Ctrl-C was heard."""
        self.console.print("interrupted: finished cases stay; the same command with output= or run= goes on from here")

    def count(self, status: str) -> int:
        """Return how many cases have this status."""
        return self.counts()[status]

    def counts(self) -> Counter[str]:
        """Return status -> number of cases; `not run` are those that were not reached."""
        counts = Counter(status for status, _ in self.rows)
        if len(self.rows) < self.total:
            counts["not run"] = self.total - len(self.rows)
        return counts

    def summary(self, broken: Failure | None) -> None:
        """Print the result: files of a single case, a table for many."""
        if len(self.rows) == 1 and self.total == 1:
            self._one(*self.rows[0])
        elif self.rows:
            self._table()
        if broken is not None:
            text = f"stage '{broken.stage}' can't be built, so no case can run: {broken.reason}. {broken.hint}"
            self._print(f"[red]error:[/red] {escape(text.strip())}")

    def _note(self, status: str, case: Case) -> None:
        self.rows.append((status, case.record))
        self._progress.advance(self._task)
        if self.total > 1:
            line = f"{len(self.rows)}/{self.total} {escape(case.name)}: [{STYLES[status]}]{status}[/]"
            self._print(f"{line}{_seconds(status, case.record)}{_reason(case.record)}")

    def _one(self, status: str, record: CaseRecord) -> None:
        colour = STYLES[status]
        self._print(f"{escape(record.case)}: [{colour}]{status}[/]{_seconds(status, record)}{_reason(record)}")
        for name in _files(record):
            self._print(f"  {escape(str(self.folder / record.case / name))}")

    def _table(self) -> None:
        """One row per case; what helps a failed one stood in its line above and stands in its case.json."""
        table = Table("case", "result", "seconds", "files or reason")
        table.columns[0].overflow = "fold"
        for status, record in self.rows:
            what = _reason(record, hint=False).removeprefix(": ") or ", ".join(_files(record))
            seconds = f"{record.seconds + record.preview_seconds:.1f}"
            table.add_row(escape(record.case), f"[{STYLES[status]}]{status}[/]", seconds, what)
        self.console.print(table)
        counts = ", ".join(f"{count} {status}" for status, count in sorted(self.counts().items()))
        self._print(f"{counts}; results in {escape(str(self.folder))}")

    def _print(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)


def _seconds(status: str, record: CaseRecord) -> str:
    return f" in {record.seconds + record.preview_seconds:.1f} s" if status in ("finished", "partial") else ""


def _reason(record: CaseRecord, hint: bool = True) -> str:
    """Why a case failed and, unless `hint` is off, what helps; empty for one that did not."""
    failure = record.failure
    if failure is None:
        return ""
    return escape(": " + f"{failure.stage}: {failure.reason}. {failure.hint if hint else ''}".strip())


def _files(record: CaseRecord) -> Iterator[str]:
    """Files that matter to a person: meshes and films, or pictures where there are none, and what was made to look at.

    What the stages in between leave is in the case's folder too.
    """
    written = [name for stage in record.stages for name in stage.writes.values()]
    results = [name for name in written if name.endswith((".glb", ".mp4", ".gif"))]
    yield from [*(results or [name for name in written if name.endswith(".png")]), *record.files]
