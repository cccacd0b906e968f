"""Runs a chain of stages case by case.

The chain is checked when the pipeline is made; a stage is built (its weights read) at the first case that reaches it
and kept for all others. What a stage raises is written down in the case and the next case runs. A stage that can't be
built would fail every case in the same way, so then the pipeline is `broken` and the caller stops.
"""

import functools
import logging
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch

from framework.artifacts.atomic import remove_leftovers, write_text
from framework.artifacts.digest import digest
from framework.pipeline.case import ERROR_FILE, Case, Failure, StageRecord
from framework.pipeline.failure import Isolated, describe
from framework.pipeline.plan import PlannedStage, check_chain
from framework.pipeline.stage import Context, Stage, StageError

logger = logging.getLogger(__name__)

StageWatcher = Callable[[Case, str], None]
"""Called with the case and the stage's name just before a stage is built or run, then with what the stage says."""

Presenter = Callable[[Case], Iterable[str]]
"""Makes pictures and videos of a case's artifacts for people and returns their file names."""

PRESENTING = "preview"
"""What presenting is called where stages are named."""


class Pipeline:
    """A checked chain of stages.

    stages: the chain; context: what stages are built with; given: artifact name -> type present in every case at the
    start. Raises PipelineError when the chain doesn't fit.
    """

    def __init__(self, stages: Sequence[PlannedStage], context: Context, given: Mapping[str, type]) -> None:
        check_chain(stages, given)
        self.stages = tuple(stages)
        self.context = context
        self.broken: Failure | None = None
        self._built: dict[str, Stage] = {}

    def run(
        self,
        case: Case,
        selected: range | None = None,
        watch: StageWatcher | None = None,
        present: Presenter | None = None,
    ) -> bool:
        """Run the `selected` stages (all by default) on `case`, then `present`; return whether all went well.

        What happened is in `case.record` and in `case.json`. KeyboardInterrupt passes; the case then counts as
        unfinished and runs again next time.
        """
        selected = selected if selected is not None else range(len(self.stages))
        if not self._begin(case, selected):
            return False
        for index in selected:
            stage = self.stages[index]
            if watch is not None:
                watch(case, stage.name)
                case.watcher = functools.partial(_pass_on, watch, case, stage.name)
            error = self._run_stage(case, stage)
            if error is not None:
                fail(case, describe(error, stage.name), error)
                return False
        return (present is None or self._present(case, present, watch)) and self._end(case)

    def _begin(self, case: Case, selected: range) -> bool:
        """Forget what the stages that will run wrote before, so that no stage mistakes an old file for a new one."""
        record = case.record
        record.status, record.failure = "running", None
        record.seconds, record.preview_seconds = 0.0, 0.0
        case.remove([ERROR_FILE, *record.files])
        remove_leftovers(case.folder)
        record.files = []
        names = [stage.name for stage in self.stages]
        rerun, later = names[selected.start : selected.stop], names[selected.stop :]
        for stage in record.stages:
            if stage.name in rerun or stage.name not in names:
                case.remove(stage.writes.values())
        record.stages = [stage for stage in record.stages if stage.name in names and stage.name not in rerun]
        for stage in record.stages:
            stage.status = "outdated" if stage.name in later else stage.status
        return save_record(case)

    def _present(self, case: Case, present: Presenter, watch: StageWatcher | None) -> bool:
        if watch is not None:
            watch(case, PRESENTING)
        start = time.perf_counter()
        with Isolated() as guard:
            case.record.files = list(present(case))
        case.record.preview_seconds = round(time.perf_counter() - start, 3)
        if guard.error is not None:
            fail(case, describe(guard.error, PRESENTING), guard.error)
        return guard.error is None

    def _end(self, case: Case) -> bool:
        done = {record.name for record in case.record.stages if record.status == "finished"}
        case.record.status = "finished" if done == {stage.name for stage in self.stages} else "partial"
        return save_record(case)

    def _run_stage(self, case: Case, planned: PlannedStage) -> Exception | None:
        with Isolated() as guard:
            stage = self._build(planned)
            self._check_present(case, planned)
            case.forget_log()
            start = time.perf_counter()
            with Isolated() as inner:
                stage.run(case)
                _check_promise(case, planned)
            seconds = time.perf_counter() - start
            self._note(case, planned, seconds, failed=inner.error is not None)
            if inner.error is not None:
                raise inner.error
            case.save_record()
        return guard.error

    def _build(self, planned: PlannedStage) -> Stage:
        if planned.name not in self._built:
            with Isolated() as guard:
                self._built[planned.name] = planned.stage_class(planned.config, self.context)
            if guard.error is not None:
                self.broken = describe(guard.error, planned.name)
                raise guard.error
        return self._built[planned.name]

    def _check_present(self, case: Case, planned: PlannedStage) -> None:
        """A restart in the middle finds its artifacts only if the earlier stages once ran."""
        for name in planned.stage_class.needs:
            if not case.has(name):
                giver = next((stage.name for stage in self.stages if name in stage.stage_class.gives), None)
                hint = f"Run from there: stages={giver}.." if giver else "Run the case from the start"
                raise StageError(f"stage '{planned.name}' needs '{name}', which {case.folder} does not hold", hint)

    def _note(self, case: Case, planned: PlannedStage, seconds: float, failed: bool) -> None:
        record = StageRecord(
            name=planned.name,
            status="failed" if failed else "finished",
            seconds=round(seconds, 3),
            reads=dict(case.reads),
            writes=dict(case.writes),
            digests={name: digest(case.folder / file) for name, file in case.writes.items()},
            measures=dict(case.measures),
        )
        order = [stage.name for stage in self.stages]
        others = [stage for stage in case.record.stages if stage.name != planned.name]
        case.record.stages = sorted([*others, record], key=lambda stage: order.index(stage.name))
        case.record.seconds = round(case.record.seconds + seconds, 3)
        case.record.peak_memory_mb = peak_memory_mb(self.context.device)


def _pass_on(watch: StageWatcher, case: Case, stage: str, text: str) -> None:
    watch(case, f"{stage}: {text}")


def fail(case: Case, failure: Failure, error: Exception | None = None) -> None:
    """Write down that `case` failed: `case.json`, and `error.txt` with the traceback of `error`."""
    case.record.status, case.record.failure, case.error = "failed", failure, error
    save_record(case)
    if error is None:
        return
    text = "".join(traceback.format_exception(error))
    logger.debug("case %s failed in stage %s\n%s", case.name, failure.stage, text)
    with Isolated() as guard:
        write_text(case.folder / ERROR_FILE, text)
    if guard.error is not None:
        logger.warning("%s: error.txt could not be written (%s)", case.folder, guard.error)


def save_record(case: Case) -> bool:
    """Write `case.json`; where the disk refuses that, mark the case as failed, say so in the log and return False."""
    with Isolated() as guard:
        case.save_record()
    if guard.error is None:
        return True
    logger.warning("%s: case.json could not be written (%s)", case.folder, guard.error)
    if case.record.status != "failed":
        case.record.status, case.record.failure = "failed", describe(guard.error, "case.json")
        case.error = guard.error
    return False


def peak_memory_mb(device: torch.device) -> float:
    """Return the largest memory used so far in MiB: of the GPU for a CUDA device, else of this process."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    units_per_mb = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / units_per_mb, 1)


def _check_promise(case: Case, planned: PlannedStage) -> None:
    """A stage that forgets an artifact, or writes one that it never declared, is a bug: name it at its source."""
    declared = {**planned.stage_class.gives, **planned.stage_class.may_give}
    missing = sorted(set(planned.stage_class.gives) - set(case.writes))
    extra = sorted(set(case.writes) - set(declared))
    if missing:
        raise StageError(f"stage '{planned.name}' did not write {missing}, which it declares in `gives`")
    if extra:
        raise StageError(f"stage '{planned.name}' wrote {extra}, which it does not declare in `gives`")
