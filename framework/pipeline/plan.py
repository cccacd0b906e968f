"""The chain of stages as it is written in a configuration: checked before anything is built or read.

Pure bookkeeping over names and types: which stage gives what, whether each one's needs are met, which part of the chain
`stages=a..b` means.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from framework.config.choice import Choice
from framework.pipeline.stage import Stage
from framework.registry import load_class


class PipelineError(ValueError):
    """The stages don't fit together, or `stages=` names one that is not there."""


@dataclass(frozen=True)
class PlannedStage:
    """One stage of the chain, not built yet."""

    name: str
    """Short name: the registry name without its method."""

    stage_class: type[Stage]
    """Class whose `needs` and `gives` are checked."""

    config: Any
    """Instance of `stage_class.Config`."""


def plan_stages(choices: Sequence[Choice]) -> tuple[PlannedStage, ...]:
    """Load the class of each configured stage. Raises the registry's errors for unknown or broken ones."""
    return tuple(
        PlannedStage(choice.type.rpartition("/")[2], load_class("stage", choice.type), choice.config)
        for choice in choices
    )


def check_chain(stages: Sequence[PlannedStage], given: Mapping[str, type]) -> None:
    """Check that every stage finds what it needs.

    given: artifact name -> type of what is in a case before the first stage.
    Raises PipelineError naming the stage and the artifact.
    """
    if not stages:
        raise PipelineError("method.stages is empty: a pipeline has at least one stage")
    names = [stage.name for stage in stages]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise PipelineError(f"stage '{twice}' stands twice in method.stages; each stage may run once")
    known, giver = dict(given), dict.fromkeys(given, "the input")
    for stage in stages:
        _check_needs(stage, known)
        for name, kind in {**stage.stage_class.gives, **stage.stage_class.may_give}.items():
            if name in known:
                raise PipelineError(f"stage '{stage.name}' gives '{name}', which {giver[name]} gives already")
            known[name], giver[name] = kind, f"stage '{stage.name}'"


def select_stages(stages: Sequence[PlannedStage], expression: str | None) -> range:
    """Return the indices that `stages=` means: `a..b`, `a..`, `..b`, or `a` alone; None means all.

    Raises PipelineError for an unknown name (with the nearest) or a backward range.
    """
    if not expression:
        return range(len(stages))
    first, dots, last = expression.partition("..")
    start = _index(stages, first) if first else 0
    stop = start if not dots else (_index(stages, last) if last else len(stages) - 1)
    if stop < start:
        raise PipelineError(f"stages={expression}: '{last}' runs before '{first}'. Order: {_order(stages)}")
    return range(start, stop + 1)


def _check_needs(stage: PlannedStage, known: Mapping[str, type]) -> None:
    for name in stage.stage_class.needs:
        if name not in known:
            raise PipelineError(f"stage '{stage.name}' needs '{name}'; no earlier stage gives it")
    for name, kind in {**stage.stage_class.needs, **stage.stage_class.uses}.items():
        if name in known and not issubclass(known[name], kind):
            raise PipelineError(
                f"stage '{stage.name}' needs '{name}' as {kind.__name__}, but it is given as {known[name].__name__}"
            )


def _index(stages: Sequence[PlannedStage], name: str) -> int:
    names = [stage.name for stage in stages]
    short = name.rpartition("/")[2]
    if short in names:
        return names.index(short)
    nearest = difflib.get_close_matches(short, names, n=1)
    hint = f" Nearest: {nearest[0]}." if nearest else ""
    raise PipelineError(f"stages: no stage '{name}'.{hint} Order: {_order(stages)}")


def _order(stages: Sequence[PlannedStage]) -> str:
    return " -> ".join(stage.name for stage in stages)
