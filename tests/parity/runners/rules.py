"""Tolerances that fixtures state as rules in words, as measures."""

from __future__ import annotations

import re

import numpy as np
from torch import Tensor

from tests.parity.comparison import Judged
from tests.parity.fixture import Fixture, FixtureError

_NUMBER = re.compile(r"(\d+(?:\.\d+)?(?:e-?\d+)?)\s*(?:/\s*(\d+)|(%))?")


def stated(fixture: Fixture, rule: str) -> float:
    """The first number of a rule such as `at most 0.5 % of pixels` or `|difference| <= 2/255`."""
    found = _NUMBER.search(str(fixture.facts["tolerance"].get(rule, "")))
    if not found:
        raise FixtureError(f"states no number for the tolerance {rule!r}")
    number, divisor, percent = found.groups()
    return float(number) / (float(divisor) if divisor else 100.0 if percent else 1.0)


def of_the_largest(fixture: Fixture, output: str, value: Tensor, rule: str) -> Judged:
    """The difference of an output as a share of its largest magnitude."""
    expected = fixture.expected[output]
    difference = np.abs(value.detach().cpu().numpy() - expected).max() / np.abs(expected).max()
    return Judged({"of the largest": (difference, stated(fixture, rule))})
