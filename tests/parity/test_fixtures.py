"""Every fixture that lies here agrees with our code; the machinery that says so is tested in `test_machinery.py`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.parity.fixture import Fixture, find_fixtures
from tests.parity.report import Outcome, outcome_of, table_lines

FIXTURES = Path(__file__).parent / "fixtures"
WITH_LMDB = {("stylesdf", "dataset")}
"""Families of sets in LMDB."""
LARGE_PICTURES = {"stylesdf/decoder_1024"}
"""Fixtures of few weights that take many seconds all the same."""


def cases() -> list[object]:
    """One case for each fixture; heavy ones are slow."""
    return [case(Fixture.read(path)) for path in find_fixtures(FIXTURES)]


def case(fixture: Fixture) -> object:
    name = f"{fixture.method}/{fixture.name}"
    slow = fixture.heavy or name in LARGE_PICTURES
    return pytest.param(fixture, id=name, marks=[pytest.mark.slow] if slow else [])


def assert_passed(outcome: Outcome) -> None:
    assert outcome.passed, "\n".join(["", *table_lines(outcome, header=True)])


@pytest.mark.parametrize("fixture", cases())
def test_fixture(fixture: Fixture) -> None:
    if (fixture.method, fixture.family) in WITH_LMDB:
        pytest.importorskip("lmdb", reason="extra 'data': lmdb")
    assert_passed(outcome_of(fixture))


@pytest.mark.parametrize("name", ["lr_schedules", "v1_dataset", "v15_dataset"])
def test_sentences_say_the_same_as_the_values(name: str, tmp_path: Path) -> None:
    """A fixture without the block `values` is served too, from its sentences."""
    source, folder = FIXTURES / "craftsman", tmp_path / "craftsman"
    folder.mkdir()
    facts = json.loads((source / f"{name}.json").read_text(encoding="utf-8"))
    del facts["values"]
    (folder / f"{name}.json").write_text(json.dumps(facts), encoding="utf-8")
    shutil.copy(source / f"{name}.safetensors", folder)
    assert_passed(outcome_of(Fixture.read(folder / f"{name}.json")))
