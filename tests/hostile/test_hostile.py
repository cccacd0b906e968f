"""Files that want to do harm end in a clear error, within seconds and gigabytes, and nothing else happens."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.hostile.gltf import gltf
from tests.hostile.image_sets import image_sets
from tests.hostile.large import large
from tests.hostile.meshes import meshes
from tests.hostile.pictures import pictures
from tests.hostile.recipes import recipes
from tests.hostile.routes import routes
from tests.hostile.runs import runs
from tests.hostile.sandbox import MEMORY, Hostile, Outcome, run_all
from tests.hostile.shape_sets import shape_sets
from tests.hostile.sweeps import sweeps
from tests.hostile.weights import weights

FAMILIES: dict[str, Callable[[], Iterator[Hostile]]] = {
    "pictures": pictures,
    "meshes": meshes,
    "gltf": gltf,
    "shape_sets": shape_sets,
    "image_sets": image_sets,
    "weights": weights,
    "runs": runs,
    "sweeps": sweeps,
    "recipes": recipes,
    "routes": routes,
    "large": large,
}

FEW = 7
"""Files of each family in the quick tests, at least."""


def judged(case: Hostile, outcome: Outcome) -> list[str]:
    """What is wrong with what became of a case."""
    wrong = [f"it happened: {deed}" for deed in outcome.deeds]
    if outcome.code is None:
        return [*wrong, f"the process ended: {outcome.end}"]
    if outcome.code == 0 and not case.may_load:
        wrong.append("it was taken for good")
    if outcome.code not in (0, 1, 2):
        wrong.append(f"exit code {outcome.code}")
    if outcome.code and Path(case.says).stem not in outcome.text:  # a case of `predict` has the name of its picture
        wrong.append(f"the error does not name '{case.says}'")
    unclear = ("Traceback", "Unable to allocate", "can't allocate", "MemoryError", "object at 0x")
    wrong += [f"'{word}' is in the text" for word in unclear if word in outcome.text]
    if outcome.peak > MEMORY:
        wrong.append(f"it took {outcome.peak / 2**30:.1f} GiB")
    return wrong


def check(cases: Sequence[Hostile], root: Path) -> None:
    """Run the cases and fail with all that is wrong."""
    problems = []
    for case, outcome in zip(cases, run_all(cases, root), strict=True):
        problems += [f"{case.name}: {wrong}\n    {outcome.text.strip()[-600:]}" for wrong in judged(case, outcome)]
    assert not problems, "\n".join([f"{len(problems)} problems", *problems])
    shutil.rmtree(root)  # a gigabyte, of which pytest would keep three


@functools.cache
def cases_of(family: str) -> tuple[Hostile, ...]:
    return tuple(FAMILIES[family]())


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "large"])
def test_some_hostile_files(family: str, tmp_path: Path) -> None:
    """A few of every family."""
    cases = cases_of(family)
    if not cases:
        pytest.importorskip("lmdb", reason="extra 'data': lmdb")
    check(cases[:: len(cases) // FEW], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_all_hostile_files(family: str, tmp_path: Path) -> None:
    check(cases_of(family), tmp_path)


def test_there_are_many_and_their_names_differ() -> None:
    names = [case.name for family in FAMILIES for case in cases_of(family)]
    assert len(names) == len(set(names)) >= 900
