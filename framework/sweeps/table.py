"""What a sweep says while it runs: a live table in a terminal, a line per event elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from framework.sweeps.job_folder import Result
from framework.sweeps.plan import Job, Sweep, short_keys
from framework.sweeps.results import shown_value, varied_keys

STYLES = {"waiting": "dim", "running": "bold", "finished": "green", "interrupted": "yellow", "failed": "red"}
OTHER_LINES = 8
"""Lines of the terminal that the rows of the table leave free."""


class View(AbstractContextManager["View"]):
    """Shows a sweep on a console."""

    def __init__(self, sweep: Sweep, console: Console) -> None:
        self.sweep = sweep
        self.console = console
        self.total = len(sweep.plan.jobs)
        self._noted: set[tuple[int, str]] = set()
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> View:
        """Begin to show the table, if the console is a terminal."""
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take the live table away."""
        if self._live:
            self._live.stop()

    def begin(self, results: Mapping[int, Result]) -> None:
        """Say what is to be done."""
        finished = sum(result.status == "finished" for result in results.values())
        done = f", {finished} of them finished before" if finished else ""
        self.say(f"sweep of {self.total} jobs{done}, {self.sweep.options.slots} at once, in {self.sweep.output}")

    def started(self, job: Job) -> None:
        """Note that a job runs."""
        if not self._live:
            self.say(f"{job.number}/{self.total} {job.name}: started")

    def ended(self, job: Job, result: Result) -> None:
        """Note how a job ended; this line stays."""
        facts = [f"{result.status} after {duration(result.seconds)}"]
        facts += [result.reason] if result.reason else []
        facts += [f"{result.metric} {shown_value(result.best)}"] if result.best is not None else []
        self.say(f"{job.number}/{self.total} {job.name}: {', '.join(facts)}")

    def note(self, job: Job, text: str) -> None:
        """Say something about a job, once."""
        if (job.number, text) not in self._noted:
            self._noted.add((job.number, text))
            self.say(f"{job.number}/{self.total} {job.name} {text}")

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def show(self, results: Mapping[int, Result]) -> None:
        """Draw the table anew."""
        if self._live:
            rows = max(1, self.console.height - OTHER_LINES)
            self._live.update(table_of(self.sweep, results, rows), refresh=True)


def table_of(sweep: Sweep, results: Mapping[int, Result], rows: int) -> Table:
    """Return the table of at most `rows` jobs: where there are more, those around the first that is not finished."""
    keys = varied_keys(sweep.plan)
    numbers = [job.number for job in sweep.plan.jobs]
    metrics = {result.metric for result in results.values() if result.metric}
    metric = metrics.pop() if len(metrics) == 1 else ""
    current = next((i for i, number in enumerate(numbers) if results[number].status in ("running", "waiting")), 0)
    first = max(0, min(current - 1, len(numbers) - rows))
    shown = sweep.plan.jobs[first : first + rows]
    rest = len(numbers) - len(shown)
    table = Table(
        "job",
        *map(escape, short_keys(dict.fromkeys(keys, ""))),
        "status",
        "progress",
        escape(metric) or "metric",
        "time",
    )
    table.caption = f"and {rest} more" if rest else None
    for job in shown:
        result = results[job.number]
        status = f"[{STYLES[result.status]}]{result.status}[/]"
        values = map(escape, job.values.values())
        time = duration(result.seconds) if result.seconds else ""
        name = "" if metric or result.best is None else f"{escape(result.metric)} "
        table.add_row(str(job.number), *values, status, result.progress, name + shown_value(result.best), time)
    return table


def duration(seconds: float) -> str:
    """Return e.g. `0:01:23`."""
    return str(timedelta(seconds=round(seconds)))
