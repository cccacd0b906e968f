"""Runs the jobs of a sweep, each in a process of its own, a few at once.

Finished jobs are left alone, a failed one does not stop the others, and what is known stands in `results.csv` after
every job, in `report.html` at the end. SIGINT or SIGTERM lets the running jobs save and stop, Ctrl-C after
that ends them at once.
"""

from __future__ import annotations

import fcntl
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

from rich.console import Console

from framework.config.errors import ConfigError
from framework.sweeps.job_folder import JobFolder
from framework.sweeps.plan import PLAN_FILE, Job, Sweep, write_plan
from framework.sweeps.process import Process, start
from framework.sweeps.report import write_report
from framework.sweeps.results import best_jobs, shown_value, write_results
from framework.sweeps.table import View

EXIT_FAILED = 1
POLL_SECONDS = 0.2
SHOW_SECONDS = 1.0


def run(sweep: Sweep, console: Console | None = None) -> int:
    """Run what is not finished; exit code 0, 1 when a job failed, 128 + the signal's number when it was interrupted."""
    console = console or Console()
    if not (sweep.output / PLAN_FILE).is_file():
        write_plan(sweep.plan, sweep.output)
    with _alone(sweep), _Signals() as signals:
        runner = _Runner(sweep, signals, View(sweep, console))
        runner.run()
        results = {job.number: runner.folders[job.number].result() for job in sweep.plan.jobs}
        table = write_results(sweep, results)
        report = write_report(sweep, results)
    counts = Counter(result.status for result in results.values())
    lines = [", ".join(f"{count} {status}" for status, count in counts.items())]
    for job in best_jobs(sweep.plan, results):
        result = results[job.number]
        lines.append(f"best: {job.name}, {result.metric} {shown_value(result.best)}")
    lines += [f"results: {table}", f"report: {report}"]
    lines += [f"continue: {sweep.command}"] if counts["finished"] < len(results) else []
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
    if signals.first:
        return 128 + signals.first
    return EXIT_FAILED if counts["failed"] else 0


class _Signals:
    """Notes SIGINT and SIGTERM instead of ending the program."""

    def __init__(self) -> None:
        self.first = 0
        self.insisted = False

    def __enter__(self) -> _Signals:
        numbers = (signal.SIGINT, signal.SIGTERM)
        self._previous = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.insisted = self.insisted or bool(self.first and number == signal.SIGINT)
        self.first = self.first or number


class _Runner:
    """The pool: which jobs wait, which run, and where."""

    def __init__(self, sweep: Sweep, signals: _Signals, view: View) -> None:
        self.sweep = sweep
        self.signals = signals
        self.view = view
        self.folders = {job.number: JobFolder(sweep.output / job.name) for job in sweep.plan.jobs}
        self.results = {number: folder.result() for number, folder in self.folders.items()}
        self.waiting = [job for job in sweep.plan.jobs if self.results[job.number].status != "finished"]
        self.running: list[Process] = []
        self.asked = False

    def run(self) -> None:
        """Run all that waits; return when nothing runs any more."""
        with self.view:
            self.view.begin(self.results)
            shown = 0.0
            try:
                while self.running or (self.waiting and not self.signals.first):
                    self._pass_signals_on()
                    self._collect()
                    self._fill()
                    if time.monotonic() - shown > SHOW_SECONDS:
                        shown = time.monotonic()
                        self._look()
                    time.sleep(POLL_SECONDS)
            finally:  # after an error of ours, as a full disk, nothing runs on unseen
                for process in self.running:
                    process.ask_to_end()

    def _fill(self) -> None:
        """Start jobs while there is a free place."""
        for job in list(self.waiting):
            taken = {process.slot for process in self.running}
            free = [slot for slot in range(self.sweep.options.slots) if slot not in taken]
            if not free or self.signals.first:
                return
            if self.folders[job.number].result().status == "finished":  # by what a killed sweep had left running
                self.waiting.remove(job)
                self._note_end(job)
                continue
            process = start(job, self.sweep.plan.verb, self.folders[job.number], free[0], self.sweep.options)
            if process is None:  # what a killed sweep left is about to end by itself
                self.view.note(job, "waits for the process that an earlier sweep started")
                continue
            self.waiting.remove(job)
            self.running.append(process)
            self.view.started(job)

    def _collect(self) -> None:
        """Take notice of the processes that ended."""
        for process in list(self.running):
            if process.ended(asked=self.asked):
                self.running.remove(process)
                self._note_end(process.job)

    def _note_end(self, job: Job) -> None:
        result = self.results[job.number] = self.folders[job.number].result()
        write_results(self.sweep, self.results)
        self.view.ended(job, result)

    def _look(self) -> None:
        """Show how the running jobs stand."""
        for process in self.running:
            known = process.folder.result()
            seconds = known.seconds + process.seconds
            self.results[process.job.number] = replace(known, status="running", reason="", seconds=seconds)
        self.view.show(self.results)

    def _pass_signals_on(self) -> None:
        if self.signals.first and not self.asked:
            self.asked = True
            for process in self.running:
                process.ask_to_end()
            self.view.say(f"interrupted: {len(self.running)} running jobs save and stop. Ctrl-C ends them at once")
        if self.signals.insisted:
            for process in self.running:
                process.kill()


@contextmanager
def _alone(sweep: Sweep) -> Iterator[None]:
    """Hold the sweep's folder; ConfigError when another process works on it."""
    with (sweep.output / PLAN_FILE).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = f"another process runs the sweep in {sweep.output}. Wait for it, or give another output=."
            raise ConfigError("output", text) from None
        except OSError:  # some network disks know no locks
            pass
        yield
