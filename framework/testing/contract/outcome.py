"""What a check says, and how it is run: whatever goes wrong inside becomes one sentence."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass

from framework.pipeline.failure import Isolated


class ContractError(ValueError):
    """A part does not keep its contract: what is wrong, and what was expected."""


@dataclass(frozen=True)
class Outcome:
    """The answer of one check."""

    part: str
    """What was checked, as `system <method>/<name>`."""

    check: str
    """What it should do, in a few words."""

    problem: str = ""
    """What is wrong; empty when the check passed."""

    @property
    def passed(self) -> bool:
        """Whether there is no problem."""
        return not self.problem


Check = tuple[str, Callable[[], object]]
"""What a part should do, in a few words, and the function that raises when it does not."""


def attempt(part: str, checks: list[Check], package: str, *, in_turn: bool = False) -> list[Outcome]:
    """Run the checks of a part. With `in_turn`, those behind one that fails are not tried.

    `package` is the import name of the method's package: an error from its code names the line.
    """
    outcomes: list[Outcome] = []
    for check, function in checks:
        failed = next((outcome.check for outcome in outcomes if not outcome.passed), None)
        if in_turn and failed is not None:
            outcomes.append(Outcome(part, check, f"not tried, because '{failed}' failed"))
            continue
        with Isolated() as guard:
            function()
        outcomes.append(Outcome(part, check, _sentence(guard.error, package) if guard.error else ""))
    return outcomes


def expect(condition: object, problem: str) -> None:
    """Raise ContractError with `problem` unless `condition` holds."""
    if not condition:
        raise ContractError(problem)


def _sentence(error: Exception, package: str) -> str:
    """The error's text on one line; of an error from the method's own code also its type and place."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, ContractError):
        return text
    places = [
        f" ({frame.f_code.co_filename}:{line})"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if f"{frame.f_globals.get('__name__')}.".startswith(f"{package}.")
    ]
    return f"{type(error).__name__}: {text}{places[-1] if places else ''}"
