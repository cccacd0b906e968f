"""The verb `list`."""

import io

import pytest
from rich.console import Console

from framework.tasks import listing
from framework.tasks.config import ListOptions


def lines(what: str, pattern: str = "*") -> tuple[int, str]:
    stream = io.StringIO()
    code = listing.run(ListOptions(what=what, pattern=pattern), Console(file=stream, width=40))  # type: ignore[arg-type]
    return code, stream.getvalue()


@pytest.mark.parametrize("what", list(listing.TABLES))
def test_every_kind_is_listed_one_line_each(what: str) -> None:
    code, text = lines(what)
    assert code == 0
    assert len(text.splitlines()) == len(listing.TABLES[what]())
    assert all(len(line.split()) > 1 for line in text.splitlines()), "a name without a word on it"


def test_pattern_filters() -> None:
    assert lines("data", "proc*")[1].startswith("procedural ")
    assert lines("data", "proc*")[1].count("\n") == 1


def test_nothing_found_names_the_nearest() -> None:
    assert lines("data", "procedurla") == (1, "No data like 'procedurla'. Nearest: \nprocedural.\n")
