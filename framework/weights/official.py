"""Checkpoints as their authors published them: what a method must say to have its own read and written.

A method that has such checkpoints names an `OfficialFormat` in its spec. Keys are matched strictly in both
directions: whatever is left over or missing is an error with the nearest names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from framework.registry import PublishedFile, nearest
from framework.weights.folder import SavedWeights, WeightsError

LISTED = 4
"""Keys that an error lists of each kind."""


@dataclass(frozen=True)
class OfficialFiles:
    """A published checkpoint: its tensors by their published names, and what lies beside them."""

    tensors: Mapping[str, Tensor]
    """Published key -> value."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Name -> content of the small files beside the tensors: those of the format's `companions` that are there."""
    where: str = "the official checkpoint"
    """File or folder, for messages."""
    facts: Mapping[str, int] = field(default_factory=dict)
    """Numbers of the container: `epoch`, `global_step`."""
    places: Mapping[str, str] = field(default_factory=dict)
    """Registry name of a system -> where its weights are about to lie, for systems that name another's weights."""

    published: PublishedFile | None = None
    """Which of the published files this is, or has the name of; None for any other."""
    notes: tuple[str, ...] = ()
    """What the user should know about the file itself: that it has only the name of a published one."""

    def place_of(self, system: str) -> str:
        """Return where the weights of `system` can be found: the place they are imported to, or this checkpoint."""
        return self.places.get(system, self.where)


@dataclass(frozen=True)
class OfficialFormat:
    """How a method's published checkpoints become weights of its systems, and the other way round."""

    systems: Callable[[Collection[str]], tuple[str, ...]]
    """Published keys -> registry names of the systems that can be built from them; empty for a stranger's keys."""
    read: Callable[[OfficialFiles, str], SavedWeights]
    """(files, system) -> that system's weights; WeightsError unless every key is accounted for."""
    write: Callable[[Mapping[str, SavedWeights]], OfficialFiles]
    """Weights by system -> a published checkpoint; WeightsError when they hold what it can't express."""
    companions: tuple[str, ...] = ()
    """Names of the text files that may lie beside the tensors, such as a config."""
    parts: tuple[str, ...] = ()
    """Names of the mappings of tensors in the file (`g`, `d`), if it is no single one; keys here are `<part>.<key>`."""
    file: str = "model.ckpt"
    """Name of the file that an export writes."""


def check_official_keys(expected: Mapping[str, tuple[int, ...]], given: Mapping[str, Tensor], where: str) -> None:
    """Raise WeightsError unless `given` has exactly the published keys and shapes of `expected`.

    The text names the first few of each kind, the nearest name of each, and what to do.
    """
    missing = [key for key in expected if key not in given]
    surplus = [key for key in given if key not in expected]
    wrong = [
        f"{key} is {tuple(given[key].shape)}, expected {shape}"
        for key, shape in expected.items()
        if key in given and tuple(given[key].shape) != shape
    ]
    problems = [
        _listed("missing", [_beside(key, surplus, "the file has") for key in missing[:LISTED]], len(missing)),
        _listed("unknown", [_beside(key, expected, "nearest") for key in surplus[:LISTED]], len(surplus)),
        _listed("of another shape", wrong[:LISTED], len(wrong)),
    ]
    if any(problems):
        raise WeightsError(
            f"{where}: {'; '.join(filter(None, problems))}. Expected the {len(expected)} keys of this variant. Is the "
            "file complete, and of this method and generation? Download it again, or rename the keys before the import"
        )


def _listed(kind: str, texts: list[str], count: int) -> str:
    more = f" and {count - len(texts)} more" if count > len(texts) else ""
    return f"{count} keys {kind}: {', '.join(texts)}{more}" if count else ""


def _beside(key: str, others: Collection[str], word: str) -> str:
    near = nearest(key, others)
    return f"{key} ({word} {near})" if near else key
