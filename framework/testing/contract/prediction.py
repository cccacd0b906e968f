"""Checks of stages by a trial of their pipeline, on a tiny picture where it reads one; each stage runs once more."""

import hashlib
import shutil
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from framework.artifacts.image import Image
from framework.export.artifact_files import find_artifact, load_artifact
from framework.pipeline.assembly import build_pipeline, choose_device, plan_method, resolve_weights
from framework.pipeline.case import RECORD_FILE, Case
from framework.pipeline.inputs import VIEWS, list_inputs, read_inputs, view_artifact
from framework.pipeline.pipeline import Pipeline
from framework.pipeline.plan import PlannedStage
from framework.testing.contract.outcome import Check, ContractError, Outcome, attempt, expect

PICTURE = Path("picture.png")
SIZE = 64


def draw_picture() -> Path:
    """Write the picture of trials that name none, an orange ellipse on nothing, into the working directory."""
    rows, columns = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE * 2 - 1
    alpha = np.clip((0.7 - np.hypot(columns, rows / 0.7)) * SIZE / 2, 0, 1)
    colour = np.stack([0.9 - 0.2 * rows, 0.5 + 0.2 * columns, np.full_like(rows, 0.1), alpha], axis=-1)
    return Image(colour.clip(0, 1).astype(np.float32)).save(PICTURE)


class Prediction:
    """One `predict` command at toy size."""

    def __init__(self, options: Any) -> None:
        self.options = options
        self.folder = Path(tempfile.mkdtemp(prefix="prediction-", dir="."))

    @cached_property
    def stages(self) -> tuple[PlannedStage, ...]:
        """The chain, checked."""
        return plan_method(self.options.method)

    def pipeline(self) -> Pipeline:
        """A new pipeline, whose stages know nothing of what others computed."""
        options = self.options
        weights = resolve_weights(options.method, options.weights)
        device = choose_device("cpu")
        return build_pipeline(self.stages, weights, device=device, seed=options.seed, renderer=options.renderer)

    @cached_property
    def whole(self) -> Case:
        """The case after all stages."""
        given = self.options.input
        case = Case("whole", self.folder / "whole", self.options.seed)
        if given.given:
            read_inputs(case, list_inputs(given.path, given.views)[0].pictures)
        if not self.pipeline().run(case):
            failure = case.record.failure
            raise case.error or ContractError(failure.reason if failure else "failed without a reason")
        return case

    def leaves_what_it_says(self) -> None:
        """Everything that was declared is there and can be read, and nothing else lies beside it."""
        case = self.whole
        for stage in self.stages:
            for name, kind in stage.stage_class.gives.items():
                value = load_artifact(case.folder, name)
                expect(isinstance(value, kind), f"'{name}' is read as {type(value).__name__}, not {kind.__name__}")
        written = {name for record in case.record.stages for name in record.writes.values()}
        given = {path.name for view in VIEWS if (path := find_artifact(case.folder, view_artifact("input", view)))}
        others = {path.name for path in case.folder.iterdir()} - written - given - {RECORD_FILE}
        expect(not others, f"{', '.join(sorted(others))}: written past `case.write`, so not whole or not at all")

    def repeats(self, index: int) -> None:
        """The stage alone, built anew, makes the same files from the same case."""
        name = self.stages[index].name
        before = self.whole
        folder = self.folder / name
        shutil.copytree(before.folder, folder)
        case = Case("whole", folder, self.options.seed)
        done = self.pipeline().run(case, range(index, index + 1))
        if not done:
            raise case.error or ContractError("it fails when it runs alone")
        files = [file for record in before.record.stages if record.name == name for file in record.writes.values()]
        different = [file for file in files if content(before.folder / file) != content(folder / file)]
        expect(not different, f"{', '.join(different)} differ although case and seed are the same")


def content(path: Path) -> dict[str, str]:
    """Return a hash of each file of an artifact, which is a file or a folder; empty when it is missing."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return {str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def check_prediction(options: Any, title: str, package: str) -> list[Outcome]:
    """Run the trial of `options` (those of the verb `predict`), called `title`, and check its stages by it."""
    prediction = Prediction(options)
    pipeline: list[Check] = [
        ("stages fit together", lambda: prediction.stages),
        ("makes a result", lambda: prediction.whole),
        ("writes what it declares, whole and readable", prediction.leaves_what_it_says),
    ]
    outcomes = attempt(title, pipeline, package, in_turn=True)
    if not outcomes[0].passed or not outcomes[1].passed:
        return outcomes
    for index, choice in enumerate(options.method.stages):
        if choice.type.partition("/")[0] == options.method.name:
            check: Check = ("same case, same seed, same result", lambda index=index: prediction.repeats(index))  # type: ignore[misc]
            outcomes += attempt(f"stage {choice.type}", [check], package)
    return outcomes
