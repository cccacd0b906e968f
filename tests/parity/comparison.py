"""Our numbers against those of a fixture, within its tolerance."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tests.parity.fixture import Fixture, FixtureError

_STATISTICS = {"shape", "mean", "std", "absmax", "l2"}
_SLICED = re.compile(r"^(?P<name>[^\[]+)(?P<slices>(?:\[[\d:, -]*\])+)$")


@dataclass(frozen=True)
class Tolerance:
    """A difference passes up to atol + rtol * |expected|."""

    atol: float = 0.0
    rtol: float = 0.0
    outside: float = 0.0
    """Share of the rows (entries of the first axis) that may differ by more."""
    share: float = 0.0
    """Part of the entries that may differ by more."""
    most: float = np.inf
    """What no entry may differ by more than, where `share` excuses some."""
    mean: float = np.inf
    """What the mean difference may be."""
    bits: bool = False
    """Entries are the bits of bytes."""
    filled: bool = False
    """Only entries that are -1 on neither side count."""

    def __str__(self) -> str:
        named = (("atol", self.atol), ("rtol", self.rtol), ("outside", self.outside), ("share", self.share))
        parts = [f"{name} {value:g}" for name, value in named if value]
        parts += [f"{name} {value:g}" for name, value in (("most", self.most), ("mean", self.mean)) if value < np.inf]
        return ", ".join(parts) or "exact"


@dataclass(frozen=True)
class Row:
    """The comparison of one output."""

    output: str
    difference: float
    """Largest absolute difference; infinite where nothing could be compared."""
    tolerance: Tolerance
    passed: bool
    reason: str = ""
    """Why it failed, where the difference does not say it."""


@dataclass(frozen=True)
class Judged:
    """What a runner returns for an output whose tolerance is a rule in words: the rule's measures, by name."""

    measures: Mapping[str, tuple[float, float]]
    """{name: (what was found, the most that is allowed)}."""


def compare(fixture: Fixture, given: Mapping[str, Any]) -> list[Row]:
    """One row for each tensor of the fixture that is no input, and for each entry of its statistics.

    An output that is missing from `given` fails, and so does a fixture that holds nothing to compare (FixtureError).
    """
    judged = {name: value for name, value in given.items() if isinstance(value, Judged)}
    rows = [row for name, value in judged.items() for row in _judged_rows(name, value)]
    given = {name: _array(value) for name, value in given.items() if name not in judged}
    left = {name: value for name, value in fixture.expected.items() if name not in judged}
    outputs = {name: value for name, value in left.items() if name in given or not _is_input(fixture, name)}
    rows += [_tensor_row(fixture, name, value, given) for name, value in outputs.items()]
    further = [*recorded(fixture), *measured(fixture, given)]
    rows += [row for name, value in further for row in _recorded_rows(fixture, name, value, given)]
    if not rows:
        raise FixtureError("holds no numbers to compare with")
    return rows


def recorded(fixture: Fixture) -> Iterator[tuple[str, Any]]:
    """(output, value) of what the JSON itself records under `outputs.stats...`: statistics, numbers, lists."""
    outputs = fixture.facts.get("outputs")
    for key, value in (outputs if isinstance(outputs, dict) else {}).items():
        if key.startswith("stats") and isinstance(value, dict):
            yield from [(key, value)] if value.keys() <= _STATISTICS else value.items()


def measured(fixture: Fixture, given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(output, value) of results among the facts of `config`: numbers with a tolerance that the runner gives too."""
    stated = fixture.facts.get("tolerance") or {}
    for key, value in fixture.config.items():
        if key in given and key not in fixture.expected and stated.keys() & {key, key.rsplit("_", 1)[-1]}:
            yield key, value


def tolerance_of(fixture: Fixture, output: str, dtype: np.dtype) -> Tolerance:
    """What may differ: the entry for the output, else for its dtype or kind, else the general one.

    An entry may name the first or last word of outputs, as `item` does for `item0.image` and `colours` for
    `old_colors`. Integers and truth values are exact unless an entry names the output, its first or last word, the
    dtype, or the kind (`integer`). Kinds are `float`, `integer`; `all` and `others` are general; `fraction` is the
    share of rows that may lie outside the general tolerance of floats. FixtureError if floats have no tolerance.
    """
    stated = fixture.facts.get("tolerance") or {}
    exact_kind = dtype.kind in "biu"
    kinds = (dtype.name, "integer" if exact_kind else "float")
    general = () if exact_kind else ("all", "others")
    # `aligned` is said of `aligned_b` too, `volume` of a result `signed_volume`, `colours` of `old_colors`.
    last_word = _base_name(output).rpartition("_")[2]
    first_word = re.match(r"[a-z]*", output)
    words = (
        first_word and first_word[0],
        *(key for key in stated if output.startswith(f"{key}_")),
        last_word,
        last_word.replace("color", "colour"),
    )
    for key in (output, _base_name(output), *words, *kinds, *general):
        if key in stated:
            tolerance = _read_tolerance(stated[key])
            if tolerance is not None:
                return tolerance
    if exact_kind or stated.get("exact") is True:
        return Tolerance()
    if not stated.keys() & {"atol", "rtol"}:
        raise FixtureError(f"states no tolerance for {output}")
    return Tolerance(
        float(stated.get("atol", 0)), float(stated.get("rtol", 0)), outside=_fraction(stated.get("fraction"))
    )


def _fraction(entry: Any) -> float:
    """A share given as a number or in words, as in `up to 1 % of vertices`."""
    if isinstance(entry, int | float):
        return float(entry)
    percent = re.search(r"([\d.]+) ?%", str(entry))
    return float(percent[1]) / 100 if percent else 0.0


def _read_tolerance(entry: Any) -> Tolerance | None:
    """A tolerance given as a number, as {"atol", "rtol"}, as "exact", "+-1", "atol 1e-5, rtol 1e-4" or `_worded`;
    None: words.

    {"where": "valid in both"} leaves out entries that are -1 on either side.
    """
    if isinstance(entry, dict):
        filled = entry.get("where") == "valid in both"
        return Tolerance(float(entry.get("atol", 0)), float(entry.get("rtol", 0)), filled=filled)
    if isinstance(entry, int | float):
        return Tolerance(float(entry))
    if entry in ("exact", "equal"):
        return Tolerance()
    either_way = re.fullmatch(r"\+-([\d.]+(?:e-?\d+)?)", str(entry))
    if either_way:
        return Tolerance(float(either_way[1]))
    named = dict(re.findall(r"\b(atol|rtol) ([\d.]+(?:e-?\d+)?)", str(entry)))
    return Tolerance(**{name: float(value) for name, value in named.items()}) if named else _worded(str(entry))


_NUMBER = r"([\d.]+(?:e-?\d+)?)"


def _worded(sentence: str) -> Tolerance | None:
    """The tolerance of `2%`, `may differ by 1 on up to 2% of ...`, `at most 0.2% of bits may differ`,
    `Hausdorff < 1e-5` (of points in the same order), `mean abs < 1e-4, 99.5% of ... within 1e-3`; None for other words.
    """

    def found(pattern: str) -> list[float] | None:
        match = re.search(pattern.replace("#", _NUMBER), sentence)
        return match and [float(number) for number in match.groups()]  # type: ignore[return-value]

    if share := found(r"^# ?%$"):
        return Tolerance(rtol=share[0] / 100)
    if few := found(r"may differ by # on up to # ?% of"):
        return Tolerance(share=few[1] / 100, most=few[0])
    if bits := found(r"at most # ?% of bits may differ"):
        return Tolerance(share=bits[0] / 100, bits=True)
    if apart := found(r"Hausdorff < #"):
        return Tolerance(atol=apart[0])
    mean, most_of = found(r"mean abs < #"), found(r"# ?% of \w+ within #")
    if mean and most_of:
        return Tolerance(atol=most_of[1], share=1 - most_of[0] / 100, mean=mean[0])
    return None


def _base_name(output: str) -> str:
    match = _SLICED.match(output)
    return match["name"] if match else output


def _is_input(fixture: Fixture, name: str) -> bool:
    """Whether a stored tensor is an input: the runner took it as one, or it is `input.*`, drawn by the original."""
    return name in fixture.taken or name.startswith("input.")


def _array(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def _judged_rows(name: str, judged: Judged) -> Iterator[Row]:
    for measure, (found, allowed) in judged.measures.items():
        yield Row(f"{name} {measure}", float(found), Tolerance(allowed), bool(found <= allowed))


def _tensor_row(fixture: Fixture, name: str, expected: np.ndarray, given: Mapping[str, np.ndarray]) -> Row:
    tolerance = tolerance_of(fixture, name, expected.dtype)
    value = given[name] if name in given else _sliced(name, given)
    return _row(name, value, expected, tolerance)


def _sliced(name: str, given: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """The part of a given tensor that a name such as `latents[0][:, ::8]` means."""
    match = _SLICED.match(name)
    if not match or match["name"] not in given:
        return None
    value = given[match["name"]]
    for index in re.findall(r"\[([^\]]*)\]", match["slices"]):
        value = value[tuple(_index(part) for part in index.split(","))]
    return value


def _index(text: str) -> int | slice:
    parts = [int(part) if part.strip() else None for part in text.split(":")]
    return slice(*parts) if len(parts) > 1 else int(ast.literal_eval(text.strip()))


def _recorded_rows(fixture: Fixture, name: str, expected: Any, given: Mapping[str, np.ndarray]) -> Iterator[Row]:
    value = given.get(name)
    if not (isinstance(expected, dict) and expected.keys() <= _STATISTICS):
        wanted = np.asarray(expected)
        yield _row(name, value, wanted, tolerance_of(fixture, name, wanted.dtype))
        return
    tolerance = tolerance_of(fixture, name, np.dtype(np.float32))
    for statistic, number in expected.items():
        found = None if value is None else _statistic(value, statistic)
        yield _row(f"{name} {statistic}", found, np.asarray(number), Tolerance() if statistic == "shape" else tolerance)


def _statistic(value: np.ndarray, name: str) -> np.ndarray:
    """Mean, standard deviation (with n - 1), largest magnitude or Euclidean norm, in double precision; or the shape."""
    if name == "shape":
        return np.asarray(value.shape)
    numbers = value.astype(np.float64).ravel()
    if name == "mean":
        return numbers.mean()
    if name == "std":
        return numbers.std(ddof=1)
    return np.asarray(np.abs(numbers).max() if name == "absmax" else np.linalg.norm(numbers))


def _row(name: str, value: np.ndarray | None, expected: np.ndarray, tolerance: Tolerance) -> Row:
    if value is None:
        return Row(name, np.inf, tolerance, False, "the runner gives no such output")
    if value.size == expected.size == 1:  # one number is one number, with or without axes
        value = value.reshape(expected.shape)
    if value.shape != expected.shape:
        return Row(name, np.inf, tolerance, False, f"shape {value.shape}, expected {expected.shape}")
    if value.dtype.kind not in "biuf" or expected.dtype.kind not in "biuf":
        same = bool(np.array_equal(value, expected))
        return Row(name, 0.0 if same else np.inf, Tolerance(), same)
    kind = np.float64 if "f" in (value.dtype.kind, expected.dtype.kind) else np.int64
    if tolerance.bits:
        value, expected = np.unpackbits(value), np.unpackbits(expected)
    found, wanted = value.astype(kind), expected.astype(kind)
    if tolerance.filled:
        both = (found != -1) & (wanted != -1)
        found, wanted = found[both], wanted[both]
    return _judged(name, found, wanted, tolerance)


def _judged(name: str, found: np.ndarray, wanted: np.ndarray, tolerance: Tolerance) -> Row:
    equal = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    with np.errstate(invalid="ignore"):
        difference = np.where(equal, 0.0, np.abs(found - wanted))
        allowed = tolerance.atol + tolerance.rtol * np.abs(wanted)
        outside = ~(equal | (difference <= allowed))
        excused = difference <= tolerance.most  # not so for NaN
    mean = float(difference.mean()) if difference.size else 0.0
    few = np.count_nonzero(outside) <= tolerance.share * outside.size
    rows = outside.reshape(len(outside), -1).any(axis=1) if outside.ndim else outside
    few = few or np.count_nonzero(rows) <= tolerance.outside * rows.size
    largest = float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0))
    return Row(name, largest, tolerance, bool(few and np.all(excused) and mean <= tolerance.mean))
