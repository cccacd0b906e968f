"""The parity command itself: it must be able to fail."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.parity import fill, runners
from tests.parity.__main__ import main
from tests.parity.comparison import Judged, Tolerance, compare, tolerance_of
from tests.parity.fixture import Fixture, FixtureError, find_fixtures
from tests.parity.runners.rules import stated

FIXTURES = Path(__file__).parent / "fixtures"
Make = Callable[..., Fixture]


def written(folder: Path, name: str, tensors: dict[str, Any], **facts: Any) -> Fixture:
    """A fixture of the family `toy` in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"family": "toy", "salt": 1, "tolerance": {"atol": 0.1}} | facts), encoding="utf-8")
    if tensors:
        arrays = {key: np.ascontiguousarray(value) for key, value in tensors.items()}
        save_file(arrays, path.with_suffix(".safetensors"))
    return Fixture.read(path)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return lambda tensors, name="one", **facts: written(tmp_path / "craftsman", name, tensors, **facts)


def toy(fixture: Fixture) -> dict[str, Any]:
    """What the toy family computes: a ramp of `config.size` numbers."""
    return {"ramp": np.arange(fixture.config["size"], dtype=np.float32)}


@pytest.fixture
def toy_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(runners.RUNNERS, ("craftsman", "toy"), f"{__name__}:toy")


RAMP = np.arange(4, dtype=np.float32)


def test_agreement_passes(make: Make, toy_runner: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make({"ramp": RAMP + 0.05}, config={"size": 4})
    assert main([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:3] == ["craftsman/one", "ramp", "0.05"]
    assert lines[-1] == "1 passed, 0 failed"


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({"ramp": RAMP + np.array([0, 0, 0.2, 0], np.float32)}, "FAILED"),
        ({"ramp": RAMP[:3]}, "shape (4,), expected (3,)"),
        ({"ramp": RAMP, "other": RAMP}, "the runner gives no such output"),
        ({"ramp": np.array([0, 1, np.nan, 3], np.float32)}, "inf"),
        ({}, "holds no numbers to compare with"),
    ],
)
def test_disagreement_fails(
    make: Make,
    toy_runner: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    tensors: dict[str, Any],
    reason: str,
) -> None:
    make(tensors, config={"size": 4})
    make({"ramp": RAMP}, name="two", config={"size": 4})
    assert main([str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert reason in out
    assert out.splitlines()[-2:] == ["failed: craftsman/one", "1 passed, 1 failed"]


def test_a_runner_that_raises_has_failed(
    make: Make, toy_runner: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make({"ramp": RAMP}, config={})
    assert main([str(tmp_path)]) == 1
    assert "FAILED: KeyError: 'size'" in capsys.readouterr().out


def test_unknown_families_and_broken_files_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "deep" / "craftsman"
    written(folder, "stranger", {"a": RAMP}, family="never_heard_of")
    (folder / "broken.json").write_text("{", encoding="utf-8")
    (folder / "nameless.json").write_text("{}", encoding="utf-8")
    (folder / "list.official.json").write_text("{}", encoding="utf-8")
    assert main([str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "family 'never_heard_of' of 'craftsman' has no runner" in out
    assert "has no `family`" in out
    assert "can't be read" in out
    assert out.splitlines()[-1] == "0 passed, 3 failed"


def test_nothing_to_run_is_an_error(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "empty")]) == 2
    assert main([str(tmp_path / "absent")]) == 2
    make({"ramp": RAMP})
    assert main([str(tmp_path), "--family", "other"]) == 2
    assert main([str(tmp_path), "--method", "other"]) == 2
    assert "no fixture is selected" in capsys.readouterr().err


def test_selection(make: Make, toy_runner: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    big = {"layer.weight": [[5000, 5000], "float32", "filled"]}
    make({"ramp": RAMP}, name="light", config={"size": 4})
    make({"ramp": RAMP}, name="heavy", config={"size": 4}, state=big)
    make({"ramp": RAMP}, name="nested", config={"size": 4}, state={"a": big, "b": "same as a"})
    written(tmp_path / "stylesdf", "other", {"ramp": RAMP}, family="rays")
    for arguments, last in {
        ("--method", "craftsman"): "3 passed, 0 failed",
        ("--method", "craftsman", "--fast"): "1 passed, 0 failed",
        ("--family", "toy"): "3 passed, 0 failed",
        (): "3 passed, 1 failed",
    }.items():
        main([str(tmp_path), *arguments])
        assert capsys.readouterr().out.splitlines()[-1] == last


def test_the_command_ends_with_its_exit_code(tmp_path: Path) -> None:
    """As `python -m tests.parity`, from the repository, on an altered copy of a fixture."""
    path = FIXTURES / "craftsman" / "fourier_embedder.json"
    tensors = dict(Fixture.read(path).expected)
    tensors["nf8_pi0_in1_log1"] = tensors["nf8_pi0_in1_log1"] + np.array(1e-3, np.float32)
    copy = tmp_path / "craftsman" / path.name
    copy.parent.mkdir()
    copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    save_file(tensors, copy.with_suffix(".safetensors"))
    words = [sys.executable, "-m", "tests.parity", str(tmp_path), "--family", "fourier_embedder"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 1, done.stderr
    assert done.stdout.count("passed\n") == 3
    assert done.stdout.splitlines()[-1] == "0 passed, 1 failed"


def test_slices_statistics_and_single_numbers_are_compared(make: Make) -> None:
    whole = fill.inputs("w", (2, 9, 8))
    stats = {
        "whole": {"shape": [2, 9, 8], "mean": float(whole.mean()), "std": float(whole.std(ddof=1)), "absmax": 1.0},
        "count": 3,
        "closed": True,
    }
    tensors = {"whole[0][::4, ::8]": whole[0][::4, ::8], "whole[:, :2]": whole[:, :2], "input.seen": RAMP}
    fixture = make(tensors, outputs={"words": "for people", "stats": stats}, tolerance={"atol": 1e-6})
    rows = {row.output: row.passed for row in compare(fixture, {"whole": whole, "count": 3, "closed": False})}
    assert rows == {
        "whole[0][::4, ::8]": True,
        "whole[:, :2]": True,
        "whole shape": True,
        "whole mean": True,
        "whole std": True,
        "whole absmax": False,
        "count": True,
        "closed": False,
    }
    shifted = {row.output: row.passed for row in compare(fixture, {"whole": whole + 1})}
    assert not any(passed for name, passed in shifted.items() if name not in ("whole shape", "whole std"))


def test_a_number_may_have_axes(make: Make) -> None:
    fixture = make(
        {"loss": np.array([2.0], np.float32), "pair": np.array([1, 1], np.float32)}, tolerance={"atol": 1e-6}
    )
    rows = {row.output: row.passed for row in compare(fixture, {"loss": np.float32(2.0), "pair": np.float32(1)})}
    assert rows == {"loss": True, "pair": False}


def test_one_block_of_statistics_describes_one_tensor(make: Make) -> None:
    fixture = make({}, outputs={"stats": {"shape": [4], "l2": 14**0.5}}, tolerance={"atol": 1e-6})
    assert [(row.output, row.passed) for row in compare(fixture, {"stats": RAMP})] == [
        ("stats shape", True),
        ("stats l2", True),
    ]
    assert not any(row.passed for row in compare(fixture, {}))


def test_stored_inputs_are_no_outputs(make: Make) -> None:
    fixture = make({"turn": RAMP, "ramp": RAMP})
    assert [row.output for row in compare(fixture, {"ramp": RAMP})] == ["ramp", "turn"]
    np.testing.assert_array_equal(fixture.stored("turn"), RAMP)
    assert [row.output for row in compare(fixture, {"ramp": RAMP})] == ["ramp"]


@pytest.mark.parametrize(
    ("stated", "output", "dtype", "expected"),
    [
        ({"atol": 1e-4, "rtol": 1e-3}, "a", "float32", Tolerance(1e-4, 1e-3)),
        ({"atol": 1e-4}, "a", "int64", Tolerance()),
        ({"atol": 1e-4}, "a", "bool", Tolerance()),
        ({"uint8": 1, "float": 0.004}, "a", "uint8", Tolerance(1)),
        ({"uint8": 1, "float": 0.004}, "a", "float32", Tolerance(0.004)),
        ({"uint8": 1, "float": 0.004}, "a", "int32", Tolerance()),
        ({"uint8": 0, "pixel_values": 1e-4}, "pixel_values[:, ::4]", "float32", Tolerance(1e-4)),
        ({"rgb": {"atol": 2e-3, "rtol": 1e-5}, "atol": 1}, "rgb", "float32", Tolerance(2e-3, 1e-5)),
        ({"all": {"atol": 1e-6}}, "a", "float32", Tolerance(1e-6)),
        ({"steps": "atol 1e-5, faces exact"}, "steps", "float32", Tolerance(1e-5)),
        ({"faces": "exact", "atol": 1e-5}, "faces", "float32", Tolerance()),
        ({"atol": 1e-5, "a": "in words"}, "a", "float32", Tolerance(1e-5)),
        ({"exact": True}, "a", "float32", Tolerance()),
        ({"a": {"atol": 1e-3}, "b": 1e-4}, "a_b", "float32", Tolerance(1e-3)),
        ({"a": "2%"}, "a", "int64", Tolerance(rtol=0.02)),
        ({"a": "may differ by 1 on up to 2% of rays (borders)"}, "a", "int32", Tolerance(share=0.02, most=1)),
        ({"a": "at most 0.5% of bits may differ"}, "a", "uint8", Tolerance(share=0.005, bits=True)),
        ({"a": "same count; or Hausdorff < 1e-5"}, "a", "float32", Tolerance(1e-5)),
        ({"a": "mean abs < 1e-4, 75% of pixels within 1e-3"}, "a", "float32", Tolerance(1e-3, share=0.25, mean=1e-4)),
        ({"a": {"atol": 1e-5, "where": "valid in both"}}, "a", "float32", Tolerance(1e-5, filled=True)),
        ({"positions": 1e-6, "colours": "+-1"}, "old_positions", "float64", Tolerance(1e-6)),
        ({"positions": 1e-6, "colours": "+-1"}, "old_colors", "uint8", Tolerance(1)),
        ({"positions": 1e-6, "colours": "+-1"}, "old_faces", "int32", Tolerance()),
        ({"atol": 1e-3, "fraction": "allow up to 2.5 % of rows"}, "a", "float32", Tolerance(1e-3, outside=0.025)),
        ({"atol": 1e-3, "fraction": 0.1}, "a", "float32", Tolerance(1e-3, outside=0.1)),
        ({"atol": 1e-3, "fraction": 0.1}, "a", "int32", Tolerance()),
    ],
)
def test_tolerances(make: Make, stated: dict[str, Any], output: str, dtype: str, expected: Tolerance) -> None:
    assert tolerance_of(make({}, tolerance=stated), output, np.dtype(dtype)) == expected


@pytest.mark.parametrize(
    ("stated", "expected", "given", "passed"),
    [
        ("may differ by 1 on up to 50% of rays", [5, 5], [5, 6], True),
        ("may differ by 1 on up to 50% of rays", [5, 5], [5, 7], False),
        ("may differ by 1 on up to 50% of rays", [5, 5], [6, 6], False),
        ("mean abs < 0.1, 50% of pixels within 0.01", [0.0, 0.0], [0.005, 0.15], True),
        ("mean abs < 0.1, 50% of pixels within 0.01", [0.0, 0.0], [0.005, 0.5], False),
        ("mean abs < 0.1, 50% of pixels within 0.01", [0.0, 0.0], [0.02, 0.02], False),
        ("mean abs < 0.1, 50% of pixels within 0.01", [0.0, 0.0], [0.0, np.nan], False),
        ({"atol": 0.1, "where": "valid in both"}, [-1.0, 2.0], [7.0, 2.05], True),
        ({"atol": 0.1, "where": "valid in both"}, [-1.0, 2.0], [7.0, 2.5], False),
    ],
)
def test_tolerances_that_excuse_some_entries(
    make: Make, stated: Any, expected: list[float], given: list[float], passed: bool
) -> None:
    fixture = make({"a": np.asarray(expected)}, tolerance={"a": stated})
    assert [row.passed for row in compare(fixture, {"a": np.asarray(given)})] == [passed]


def test_bits_are_counted_one_by_one(make: Make) -> None:
    fixture = make({"a": np.zeros(10, np.uint8)}, tolerance={"a": "at most 2.5% of bits may differ"})
    two_bits, three_bits = np.zeros(10, np.uint8), np.zeros(10, np.uint8)
    two_bits[3], three_bits[3] = 0b10001, 0b10101
    assert [row.passed for row in compare(fixture, {"a": two_bits})] == [True]
    assert [row.passed for row in compare(fixture, {"a": three_bits})] == [False]


def test_results_among_the_facts_are_compared(make: Make) -> None:
    facts = {"config": {"size": 4, "signed_volume": 2.0}, "tolerance": {"atol": 0.1, "volume": "10%"}}
    fixture = make({"ramp": RAMP}, **facts)
    rows = compare(fixture, {"ramp": RAMP, "signed_volume": 2.15, "size": 5, "other": 1.0})
    assert [(row.output, row.passed) for row in rows] == [("ramp", True), ("signed_volume", True)]
    assert not compare(fixture, {"ramp": RAMP, "signed_volume": 2.25})[1].passed


@pytest.mark.parametrize(("wrong", "passed"), [(0, True), (1, True), (2, True), (3, False)])
def test_a_share_of_the_rows_may_lie_outside(make: Make, wrong: int, passed: bool) -> None:
    fixture = make({"a": np.zeros((20, 3), np.float32)}, tolerance={"atol": 1e-3, "fraction": "up to 10 %"})
    given = np.zeros((20, 3), np.float32)
    given[:wrong] = 7.0
    (row,) = compare(fixture, {"a": given})
    assert (row.passed, row.difference) == (passed, 7.0 if wrong else 0.0)


def test_floats_without_a_tolerance_are_an_error(make: Make) -> None:
    with pytest.raises(FixtureError, match="states no tolerance for a"):
        tolerance_of(make({}, tolerance={"words": "about equal"}), "a", np.dtype(np.float32))


def test_weights_are_filled_scaled_overridden_or_stored(make: Make) -> None:
    state = {
        "net.a.weight": [[3, 2], "float32", "filled"],
        "net.b.weight": [[3], "float32", "filled"],
        "net.c.beta": [[1], "float32", "override"],
        "net.d.table": [[4], "float32", "computed"],
        "net.e.kernel": [[4], "float32", "computed"],
    }
    scale, given = {"net.b.weight": 1.7}, {"net.c.beta": [0.03]}
    fixture = make({"net.d.table": RAMP}, state=state, prefix="net.", fill_scale=scale, override=given)
    weights = {key: value.numpy() for key, value in fixture.network_weights().items()}
    assert list(weights) == ["a.weight", "b.weight", "c.beta", "d.table"]
    np.testing.assert_array_equal(weights["a.weight"], fill.weight("net.a.weight", (3, 2), 1))
    np.testing.assert_array_equal(weights["b.weight"], fill.weight("net.b.weight", (3,), 1) * np.float32(1.7))
    np.testing.assert_array_equal(weights["c.beta"], np.array([0.03], np.float32))
    np.testing.assert_array_equal(weights["d.table"], RAMP)


def test_a_second_network_has_its_own_state_and_factors(make: Make) -> None:
    state = {"weight": [[2, 2], "float32", "filled"]}
    fixture = make({}, state={"first": state}, state_d=state, fill_scale_d={"weight": 2.0})
    plain = fill.weight("weight", (2, 2), 1)
    np.testing.assert_array_equal(fixture.weights(part="first")["weight"].numpy(), plain)
    np.testing.assert_array_equal(fixture.weights("state_d")["weight"].numpy(), plain * 2)


def test_inputs_are_numbers_expressions_or_stored_and_values_go_first(make: Make) -> None:
    described = {"t": [3, 4], "x": "inputs('x',(2,),salt): words", "y": "a sentence", "rot": "stored", "z": "stored"}
    values = {"inputs": {"y": "2*inputs('y',(2,),salt)"}, "config": {"depth": 5}}
    fixture = make({"rot": RAMP, "input.z": 2 * RAMP}, inputs=described, config={"depth": "deep"}, values=values)
    np.testing.assert_array_equal(fixture.input("t"), [3, 4])
    np.testing.assert_array_equal(fixture.input("x"), fill.inputs("x", (2,), 1))
    np.testing.assert_array_equal(fixture.input("y"), 2 * fill.inputs("y", (2,), 1))
    np.testing.assert_array_equal(fixture.input("rot"), RAMP)
    np.testing.assert_array_equal(fixture.tensor("z").numpy(), 2 * RAMP)
    assert fixture.config["depth"] == 5
    with pytest.raises(FixtureError, match="has no input 'w'"):
        fixture.input("w")


def test_every_runner_of_the_table_is_there_for_the_fixtures_here() -> None:
    for path in find_fixtures(FIXTURES):
        fixture = Fixture.read(path)
        assert runners.find_runner(fixture.method, fixture.family) is not None, fixture.family


def test_rules_in_words_pass_and_fail_by_their_measures(make: Make) -> None:
    fixture = make({"picture": np.zeros(3)})
    for found, passed in ((0.1, True), (0.3, False), (float("nan"), False)):
        rows = compare(fixture, {"picture": Judged({"share": (0.0, 0.2), "rest": (found, 0.2)})})
        assert [row.output for row in rows] == ["picture share", "picture rest"]
        assert [row.passed for row in rows] == [True, passed]


def test_numbers_of_rules(make: Make) -> None:
    rules = {"one": "|difference| <= 2/255 on pixels", "two": "at most 0.5 % differ", "three": "1e-4 of the largest"}
    fixture = make({"picture": np.zeros(3)}, tolerance=rules)
    assert [stated(fixture, rule) for rule in rules] == [2 / 255, 0.005, 1e-4]
    with pytest.raises(FixtureError, match="no number for the tolerance 'four'"):
        stated(fixture, "four")
