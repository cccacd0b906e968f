"""The verb `predict`: run a method on pictures or seeds, case by case; one that fails is written down, the next runs.

All that can be wrong with the command is found before the first weight is read.
"""

import functools
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from framework.artifacts.atomic import remove_leftovers
from framework.config.build import to_dict
from framework.config.errors import ConfigError
from framework.data.pictures import check_picture_file
from framework.pipeline.assembly import (
    build_pipeline,
    check_input,
    choose_device,
    plan_method,
    resolve_weights,
)
from framework.pipeline.case import Case, read_record
from framework.pipeline.config import MethodConfig
from framework.pipeline.failure import Isolated, describe
from framework.pipeline.inputs import CaseInput, list_inputs, natural_key, read_inputs, seeded_cases
from framework.pipeline.pipeline import Pipeline, Presenter, fail, save_record
from framework.pipeline.plan import PlannedStage, select_stages
from framework.pipeline.presentation import last_mesh, present
from framework.tasks.config import PredictOptions
from framework.tasks.predict_report import Reporter
from framework.trainers.manifest import describe_run, end_leg, timestamp, update_manifest
from framework.trainers.run_folder import RunFolder, RunFolderError
from framework.weights.opening import fingerprint
from framework.weights.runs import OUTPUTS, new_run_id

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


def run(options: PredictOptions, console: Console | None = None) -> int:
    """Predict as `options` say; exit code 0, 1 when any case failed, 130 after Ctrl-C (finished cases stay)."""
    job = prepare(options)
    reporter = Reporter(console or Console(), job.folder.path, len(job.cases))
    manifest = job.folder.manifest
    described = describe_run(job.folder.run_id, "predict", options.seed, job.pipeline.context.device.type)
    update_manifest(manifest, **described, renderer=_renderer(job, options), weights=job.hashes)
    started, clock = timestamp(), time.monotonic()
    status = "failed"
    try:
        with reporter:
            for case in job.run(reporter):
                reporter.add(case)
        if not (job.pipeline.broken or reporter.count("failed")):
            status = "finished"
    except KeyboardInterrupt:
        status = "interrupted"
        reporter.interrupted()
    finally:
        seconds = round(time.monotonic() - clock, 1)
        leg = {"started": started, "seconds": seconds, "status": status, "cases": reporter.counts()}
        with Isolated():  # where the disk is full, that is no reason to lose the summary
            end_leg(manifest, status, leg)
    reporter.summary(job.pipeline.broken)
    return {"finished": 0, "failed": EXIT_FAILED, "interrupted": EXIT_INTERRUPTED}[status]


@dataclass(frozen=True)
class PlannedCase:
    """One case of the job."""

    name: str
    """Name of the case and of its folder."""

    seed: int
    """Its seed."""

    input: CaseInput | None
    """Its pictures, if any; None when the case is restarted from what lies in its folder."""


@dataclass
class Job:
    """A checked command: which cases run through which stages, into which folder."""

    pipeline: Pipeline
    selected: range
    cases: list[PlannedCase]
    folder: RunFolder
    hashes: dict[str, str]
    skip_finished: bool
    settings: str
    presenter: Presenter | None = field(default=None)

    def run(self, reporter: Reporter) -> Iterator[Case]:
        """Run the cases one by one and yield each when it is done, failed or skipped; stops when a stage is broken."""
        for planned in self.cases:
            case = Case(planned.name, self.folder.path / planned.name, planned.seed)
            signature = case.record.signature if planned.input is None else self._signature(planned)
            if self.skip_finished and case.is_finished(signature):
                reporter.skip(case)
                continue
            case.record.signature = signature
            if self._read(case, planned):
                self.pipeline.run(case, self.selected, reporter.stage, self.presenter)
            yield case
            if self.pipeline.broken is not None:
                return

    def _read(self, case: Case, planned: PlannedCase) -> bool:
        """Bring the pictures of a case into its folder; return whether that went well."""
        if planned.input is None or self.selected.start > 0:
            return True
        pictures = planned.input.pictures
        case.record.status, case.record.failure = "running", None
        case.record.source = str(pictures.get("front", ""))
        if not save_record(case):
            return False
        with Isolated() as guard:
            read_inputs(case, pictures)
        if guard.error is not None:
            fail(case, describe(guard.error, "input"), guard.error)
        return guard.error is None

    def _signature(self, planned: PlannedCase) -> str:
        """Hash of all that the result depends on; unreadable pictures count as empty and fail when they are read."""
        digest = hashlib.sha256(f"{self.settings} seed={planned.seed}".encode())
        for view, path in sorted(planned.input.pictures.items()) if planned.input else ():
            with Isolated():
                check_picture_file(path)
                digest.update(view.encode() + path.read_bytes())
        return digest.hexdigest()[:16]


def prepare(options: PredictOptions) -> Job:
    """Check everything that can be wrong with `options` and return the job. Reads no weights, writes `config.yaml`."""
    method = _method(options)
    stages = plan_method(method)
    selected = select_stages(stages, options.stages)
    cases = list_cases(options, stages, selected)
    weights = resolve_weights(method, options.weights)
    pipeline = build_pipeline(
        stages, weights, device=choose_device(options.device), seed=options.seed, renderer=options.renderer
    )
    hashes = {system: fingerprint(path) for system, path in weights.items()}
    return Job(
        pipeline=pipeline,
        selected=selected,
        cases=cases,
        folder=open_folder(options, method.name),
        hashes=hashes,
        skip_finished=options.stages is None and (options.output is not None or options.run is not None),
        settings=_settings(method, options, hashes),
        presenter=_presenter(stages, selected, pipeline, options.turntable),
    )


def list_cases(options: PredictOptions, stages: Sequence[PlannedStage], selected: range) -> list[PlannedCase]:
    """Return the cases of `input=`, one per seed where the stages read no picture, or those of a run's folder.

    The last is for a restart in its middle. Raises ConfigError for pictures that are missing or not wanted.
    """
    if selected.start > 0 and options.run and not options.output:
        return _stored_cases(RunFolder.open(options.run), options.seed)
    if selected.start > 0 and not options.output:
        raise ConfigError(
            "stages", "a prediction that starts in the middle needs an earlier one: run=<id>, or its folder as output=."
        )
    given, leading = options.input, stages[: selected.stop]
    check_input(leading, given.given)
    seeds = range(options.seed, options.seed + options.count)
    if not given.given:
        return [PlannedCase(item.name, seed, item) for seed, item in zip(seeds, seeded_cases(seeds), strict=True)]
    return [
        PlannedCase(item.name if options.count == 1 else f"{item.name}__seed{seed}", seed, item)
        for item in list_inputs(given.path, given.views)
        for seed in seeds
    ]


def open_folder(options: PredictOptions, method: str) -> RunFolder:
    """Return the folder of the run with this command's `config.yaml` in it; RunFolderError when it can't be made."""
    if options.run and not options.output:
        folder = RunFolder.open(options.run)
    else:
        folder = RunFolder(Path(options.output).expanduser() if options.output else OUTPUTS / method / new_run_id())
    if folder.checkpoints.exists():
        raise RunFolderError(f"{folder.path} is the folder of a training. Give another one: output=<folder>")
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder.path)
        folder.write_config(to_dict(options) | {"run": None, "stages": None})
    except OSError as error:
        raise RunFolderError(
            f"output: the folder {folder.path} can't be written ({error.strerror}: {error.filename}). "
            "Give a writable place with output=<folder>"
        ) from error
    return folder


def _stored_cases(folder: RunFolder, seed: int) -> list[PlannedCase]:
    """The cases of an earlier run, with their seeds moved by as much as `seed` differs from the run's."""
    moved = seed - int(folder.read_config().get("seed", seed))
    records = {path.name: read_record(path) for path in folder.path.iterdir() if path.is_dir()}
    names = sorted((name for name, record in records.items() if record is not None), key=natural_key)
    if not names:
        raise ConfigError("run", f"{folder.path} holds no case to restart. Give the id of a prediction.")
    return [PlannedCase(name, record.seed + moved, None) for name in names if (record := records[name]) is not None]


def _renderer(job: Job, options: PredictOptions) -> str:
    """The name of the rasterizer that draws, where `auto` was asked for."""
    rasterizer = job.pipeline.context.renderer
    return rasterizer.name if rasterizer is not None else options.renderer.type


def _method(options: PredictOptions) -> MethodConfig:
    if options.method is None:
        raise ConfigError("method", "is missing. Give it: method=<name>/<preset>.")
    return options.method


def _settings(method: MethodConfig, options: PredictOptions, hashes: dict[str, str]) -> str:
    settings: dict[str, Any] = {"method": to_dict(method), "renderer": to_dict(options.renderer), "weights": hashes}
    for name in ("weights", "obtain"):  # where weights lie does not matter, only what they are
        settings["method"].pop(name)
    return json.dumps(settings, sort_keys=True)


def _presenter(
    stages: tuple[PlannedStage, ...], selected: range, pipeline: Pipeline, with_turntable: bool
) -> Presenter | None:
    """Pictures of the mesh that the chain ends with, when the stage that gives it runs."""
    name = last_mesh(stages)
    rasterizer = pipeline.context.renderer
    if name is None or rasterizer is None or not any(name in stages[i].stage_class.gives for i in selected):
        return None
    return functools.partial(present, mesh_name=name, rasterizer=rasterizer, with_turntable=with_turntable)
