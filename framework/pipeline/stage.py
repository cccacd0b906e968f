"""One step of inference and what it may use from outside.

A stage declares the artifacts it reads and writes; the pipeline checks that the chain fits before any weight is read,
builds each stage once and runs it over all cases. A stage holds no state of a case: everything of a case is in its
folder, so that a run can be restarted from any stage and an edited intermediate file counts.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from framework.pipeline.case import Case

if TYPE_CHECKING:
    from framework.renderers.rasterizer import Rasterizer


class StageError(RuntimeError):
    """A stage can't do its work on this case: what went wrong and how to fix it. The next case runs."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(f"{reason}. {hint}" if hint else reason)
        self.reason = reason
        self.hint = hint


@dataclass(frozen=True, kw_only=True)
class Context:
    """What every stage of a run is given when it is built."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Where networks run."""

    seed: int = 0
    """Seed of the run; randomness of a case comes from `Case.seed`."""

    weights: Mapping[str, str] = field(default_factory=dict)
    """System name -> folder of its weights (already resolved)."""

    renderer: "Rasterizer | None" = None
    """The rasterizer that the user chose, for stages that draw."""

    def weights_of(self, system: str) -> Path:
        """Return the folder with the weights of `system`; StageError naming the option when none was given."""
        if system not in self.weights:
            given = ", ".join(sorted(self.weights)) or "none"
            raise StageError(
                f"no weights for '{system}' (given: {given})",
                f"Give them: weights.{system}=<run id, folder, hub id or official files>",
            )
        return Path(self.weights[system])


class Stage(ABC):
    """One step of inference. A concrete stage sets the class attributes and implements `run`."""

    Config: ClassVar[type]
    """Dataclass of the stage's options, from the package's `config.py`."""

    needs: ClassVar[Mapping[str, type]] = {}
    """Artifact name -> type that must be in the case folder."""

    uses: ClassVar[Mapping[str, type]] = {}
    """Artifacts that are read only when they are there."""

    gives: ClassVar[Mapping[str, type]] = {}
    """Artifact name -> type that `run` writes. No two stages of a pipeline give the same name."""

    may_give: ClassVar[Mapping[str, type]] = {}
    """Artifacts that `run` writes for some cases only."""

    def __init__(self, config: Any, context: Context) -> None:
        """Read weights and move networks to `context.device`; runs once per pipeline, at the first case."""
        self.config = config
        self.context = context

    @abstractmethod
    def run(self, case: Case) -> None:
        """Read `needs` from the case, compute, write `gives`.

        Randomness comes from `case.seed` alone. Raises StageError (with a hint) when this case can't be done.
        """
