"""What a sweep says: a table in a terminal, lines elsewhere."""

import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from framework.sweeps.job_folder import Result
from framework.sweeps.table import View, duration, table_of
from tests.sweeps.finished import sweep_of

VALUES = [{"seed": str(seed), "data.root": "[red]/[/]"} for seed in range(1, 31)]


def drawn(results: dict[int, Result], rows: int = 40) -> list[str]:
    console = Console(file=io.StringIO(), width=120)
    console.print(table_of(sweep_of(Path("sweep"), VALUES[: len(results)]), results, rows))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_a_row_per_job() -> None:
    done = Result(status="finished", seconds=83.4, progress="10/10", metric="val/loss", best=0.123456)
    lines = drawn({1: done, 2: replace(done, status="running", progress="3/10"), 3: Result()})
    head = lines[1].replace("┃", " ").split()
    assert head == ["job", "seed", "root", "status", "progress", "val/loss", "time"]
    cells = [line.replace("│", " ").split() for line in lines[3:6]]
    assert cells[0] == ["1", "1", "[red]/[/]", "finished", "10/10", "0.1235", "0:01:23"]
    assert cells[1][3:5] == ["running", "3/10"]
    assert cells[2] == ["3", "3", "[red]/[/]", "waiting"]


def test_metrics_of_several_names_are_named() -> None:
    results = {1: Result(metric="val/iou", best=0.5), 2: Result(metric="val/loss", best=0.25)}
    text = "\n".join(drawn(results))
    assert "val/iou 0.5" in text
    assert "val/loss 0.25" in text


def test_a_long_table_shows_where_the_sweep_is() -> None:
    results = {number: Result(status="finished" if number < 20 else "waiting") for number in range(1, 31)}
    lines = drawn(results, rows=5)
    assert [line.replace("│", " ").split()[0] for line in lines[3:8]] == ["19", "20", "21", "22", "23"]
    assert "and 25 more" in lines[-1]


def test_lines_where_there_is_no_terminal() -> None:
    console = Console(file=io.StringIO(), width=80)
    sweep = sweep_of(Path("sweep"), VALUES[:2], parallel=2)
    results = {1: Result(status="finished"), 2: Result()}
    with View(sweep, console) as view:
        view.begin(results)
        view.started(sweep.plan.jobs[1])
        view.show(results)
        view.note(sweep.plan.jobs[1], "waits")
        view.note(sweep.plan.jobs[1], "waits")
        view.ended(sweep.plan.jobs[1], Result(status="failed", reason="no [red]", seconds=1, metric="a", best=2.0))
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "sweep of 2 jobs, 1 of them finished before, 2 at once, in sweep",
        "2/2 002_seed=2_root=red: started",
        "2/2 002_seed=2_root=red waits",
        "2/2 002_seed=2_root=red: failed after 0:00:01, no [red], a 2",
    ]


def test_a_live_table_in_a_terminal() -> None:
    console = Console(file=io.StringIO(), width=80, height=20, force_terminal=True)
    sweep = sweep_of(Path("sweep"), VALUES[:2])
    with View(sweep, console) as view:
        view.show({1: Result(status="running", progress="123/900"), 2: Result()})
    assert "123/900" in console.file.getvalue()  # type: ignore[attr-defined]


def test_durations() -> None:
    assert [duration(seconds) for seconds in (0.4, 83.5, 3600)] == ["0:00:00", "0:01:24", "1:00:00"]
