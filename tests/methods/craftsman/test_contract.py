"""CraftsMan keeps what every method promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.testing.contract.suite import check_method


@pytest.mark.slow
def test_it_passes_the_contract_suite(tmp_path: Path) -> None:
    outcomes = check_method("craftsman", tmp_path)
    assert [outcome for outcome in outcomes if not outcome.passed] == []
    tried = {outcome.part for outcome in outcomes if outcome.check == "a trial runs it"}
    assert {"system craftsman/autoencoder", "stage craftsman/cleanup", "data craftsman/latents"} <= tried
