"""Work shared by processes, of which any may be killed."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

AHEAD = 2
"""Tasks of each process that are handed over before the oldest result is taken, where results come in order."""


def shared_work(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int,
    killed: Callable[[Task], Result],
    *,
    ordered: bool = False,
) -> Iterator[Result]:
    """Yield `work(task)` of each task, done by `workers` processes, or here if that is one.

    Results come as they are done, or with `ordered` in the order of the tasks. When a process is killed, what was under
    way is tried again one by one; `killed(task)` stands for a task that ends its process then too. What `work` raises
    is raised. `work`, tasks and results must be picklable.
    """
    if workers == 1 or len(tasks) < 2:
        yield from map(work, tasks)
        return
    waiting = deque(tasks)
    while waiting:
        suspects = yield from _until_broken(work, waiting, workers, ordered)
        for task in suspects:
            yield _alone(work, task, killed)


def _until_broken(
    work: Callable[[Task], Result], waiting: deque[Task], workers: int, ordered: bool
) -> Generator[Result, None, list[Task]]:
    """Work on `waiting` until it is empty or a process is killed; return the tasks without result then: one is guilty.

    Few are handed over at once: the others can't be suspects, and few results wait in memory.
    """
    running: dict[Future[Result], Task] = {}
    with _pool(workers) as pool:
        try:
            while waiting or running:
                while waiting and len(running) < (AHEAD if ordered else 1) * workers:
                    future = pool.submit(work, waiting[0])
                    running[future] = waiting.popleft()
                done = [next(iter(running))] if ordered else wait(running, return_when=FIRST_COMPLETED).done
                for future in done:
                    result = future.result()
                    del running[future]
                    yield result
        except BrokenProcessPool:
            return list(running.values())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return []


def _alone(work: Callable[[Task], Result], task: Task, killed: Callable[[Task], Result]) -> Result:
    """The result of one task in a process of its own."""
    try:
        with _pool(1) as pool:
            return pool.submit(work, task).result()
    except BrokenProcessPool:
        return killed(task)


def _pool(workers: int) -> ProcessPoolExecutor:
    # Spawned, not forked: a parent that has run torch may hold threads that a fork would lose.
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread)


def _one_thread() -> None:
    """The processes share the cores already. Only work that needs torch imports it, mostly behind this."""
    os.environ["OMP_NUM_THREADS"] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
