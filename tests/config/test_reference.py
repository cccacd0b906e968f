"""The option reference is complete and up to date."""

from pathlib import Path

import pytest

from framework import registry
from framework.config.reference import main, reference


def test_the_page_is_up_to_date() -> None:
    assert main(["--check"]) == 0, "write it again: make options"


def test_everything_registered_is_on_it() -> None:
    text = reference()
    for kind in ("task", "data", "system", "stage", "encoder", "renderer"):
        for name in registry.names(kind):
            assert f"{name}`\n" in text
    assert "| `trainer.max_steps` | whole number |" in text


def test_check_notices_an_old_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "docs" / "options.md"
    assert main(["--check"], page) == 1
    assert "out of date" in capsys.readouterr().err
    assert main([], page) == 0
    assert main(["--check"], page) == 0
    assert page.read_text() == reference()
