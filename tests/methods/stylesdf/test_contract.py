"""StyleSDF keeps what every method promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.testing.contract.suite import check_method


@pytest.mark.slow
def test_it_passes_the_contract_suite(tmp_path: Path) -> None:
    pytest.importorskip("lmdb", reason="extra 'data': lmdb")
    outcomes = check_method("stylesdf", tmp_path)
    assert [outcome for outcome in outcomes if not outcome.passed] == []
    tried = {outcome.part for outcome in outcomes if outcome.check == "a trial runs it"}
    assert {"system stylesdf/volume", "system stylesdf/full", "stage stylesdf/invert"} <= tried
