"""All checks of one method: what it says about itself, then its trials."""

import contextlib
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from framework import registry
from framework.cli.arguments import Command, parse
from framework.cli.options import build
from framework.config.errors import ConfigError
from framework.optional import has
from framework.pipeline.config import INPUT_MISSING
from framework.pipeline.failure import Isolated
from framework.registry import MethodSpec
from framework.testing.contract.outcome import ContractError, Outcome
from framework.testing.contract.parts import check_entry, check_spec, entries_of, module_of
from framework.testing.contract.prediction import PICTURE, check_prediction, draw_picture
from framework.testing.contract.training import check_training
from framework.testing.picture_set import write_picture_set

PICTURE_SET = Path("pictures")
"""Set that trials with `data=image_lmdb` train on, if the extra `data` is installed: pictures of 16 and 64 pixels."""

Watcher = Callable[[list[Outcome]], None]
"""Called with the outcomes of each part as they come."""


def check_method(name: str, folder: Path, watch: Watcher = lambda outcomes: None) -> list[Outcome]:
    """Check the method `name` and return what every check says; its trials run in the empty folder `folder`.

    Raises NotRegistered (with the nearest name) or FailedToImport when there is no such method.
    """
    spec = registry.method(name)
    outcomes: list[Outcome] = []

    def add(new: list[Outcome]) -> None:
        watch(new)
        outcomes.extend(new)

    add(check_spec(spec))
    for kind, part in entries_of(spec):
        add(check_entry(spec, kind, part))
    with contextlib.chdir(folder):
        draw_picture()
        if has("lmdb"):
            write_picture_set(PICTURE_SET)
        tried = {part for text in spec.trials for part in _run_trial(spec, text, add)}
    wanted = [(kind, part) for kind, part in entries_of(spec) if kind in ("system", "stage", "data")]
    add([_is_tried(f"{kind} {part}", part in tried) for kind, part in wanted])
    return outcomes


def read_trial(text: str) -> tuple[Command, Any]:
    """Return the command of a trial and its options; ContractError for a verb that can't be tried.

    A prediction that misses a picture gets the one of trials.
    """
    command = parse(shlex.split(text))
    if command.verb not in ("train", "predict"):
        raise ContractError("expected a command that begins with train or predict")
    try:
        return command, build(command)
    except ConfigError as error:
        if INPUT_MISSING not in str(error):
            raise
        command.assignments.append(("input", str(PICTURE)))
        return command, build(command)


def _run_trial(spec: MethodSpec, text: str, add: Watcher) -> set[str]:
    """Run one command of `trials` and return the parts that it ran."""
    package = module_of(spec.name)
    with Isolated() as guard:
        command, options = read_trial(text)
    if guard.error is not None:
        add([Outcome(f"method {spec.name}", "its trials are commands", f"'{text}': {guard.error}")])
        return set()
    if command.verb == "train":
        add(check_training(options, package))
        return {options.system.type, options.data.type}
    add(check_prediction(options, f"pipeline {dict(command.assignments)['method']}", package))
    return {choice.type for choice in options.method.stages}


def _is_tried(part: str, tried: bool) -> Outcome:
    return Outcome(part, "a trial runs it", "" if tried else "none does: add a command that runs it to `trials`")
