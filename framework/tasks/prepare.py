"""The verb `prepare`: make a data set from your own files, and say what became of each of them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from framework import registry
from framework.data.preparation import Outcome, PrepareError, PrepareJob
from framework.export.mesh_files import READ, load_mesh
from framework.tasks.config import PrepareOptions

SHOWN_FAILURES = 20
"""Failures that are listed; the others stand in the report only."""


def run(options: PrepareOptions, console: Console | None = None) -> int:
    """Prepare the set, print a summary, and return exit code 0, or 1 when nothing in it can be used.

    Raises PrepareError when nothing can be made, and OSError when the output can't be written.
    """
    console = console or Console()
    output = Path(str(options.output))
    data = registry.load_class("data", options.data.type)(options.data.config)
    if not hasattr(data, "prepare"):
        raise PrepareError(f"data={options.data.type} needs no preparation. Train with it: launch.py train ...")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("preparing", total=None)

        def watch(outcome: Outcome, done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total, description=outcome.id)

        job = PrepareJob(
            source=Path(options.source) if options.source else None,
            output=output,
            seed=options.seed,
            read_mesh=load_mesh,
            mesh_suffixes=READ,
            watch=watch,
        )
        outcomes = data.prepare(job)
    usable = _report(outcomes, console)
    if not usable:
        console.print("nothing in this set can be used", highlight=False)
        return 1
    console.print(f"set: {output} ({_size(output)})", highlight=False, soft_wrap=True)
    console.print(f"train with: data={options.data.type} data.root={output}", highlight=False, soft_wrap=True)
    return 0


def _report(outcomes: Sequence[Outcome], console: Console) -> int:
    """Print the failures and a table of counts; return how many objects can be used."""
    failures = [outcome for outcome in outcomes if outcome.status == "failed"]
    for outcome in failures[:SHOWN_FAILURES]:
        console.print(f"skipped {outcome.source}: {outcome.reason}", highlight=False, markup=False, soft_wrap=True)
    if len(failures) > SHOWN_FAILURES:
        console.print(f"... and {len(failures) - SHOWN_FAILURES} more, see report.json", highlight=False)
    counts = Counter(outcome.status for outcome in outcomes)
    splits = Counter(outcome.split for outcome in outcomes if outcome.split)
    table = Table("written", "kept", "skipped", "train", "val", "test")
    numbers = [counts["written"], counts["kept"], counts["failed"], splits["train"], splits["val"], splits["test"]]
    table.add_row(*map(str, numbers))
    console.print(table)
    return counts["written"] + counts["kept"]


def _size(folder: Path) -> str:
    """Disk use in words."""
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return f"{size / 2**30:.2f} GB" if size >= 2**30 else f"{size / 2**20:.1f} MB"
