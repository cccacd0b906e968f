"""What StyleSDF's fixtures say in words: names with remarks, calls within sentences, every n-th element."""

from __future__ import annotations

import re

import numpy as np
import torch
from torch import Tensor

from tests.parity.expressions import evaluate
from tests.parity.fixture import Fixture, FixtureError

_CALL = re.compile(r"(?:fill\.)?\b(?:inputs|uniform)\((?:[^()]|\([^()]*\))*\)")


def called(fixture: Fixture, sentence: object) -> list[Tensor]:
    """What the filling calls in a sentence give, in order; a call without a salt has the fixture's."""
    return [torch.from_numpy(np.asarray(evaluate(call, fixture.salt))) for call in _CALL.findall(str(sentence))]


def named(fixture: Fixture, name: str) -> Tensor:
    """The input that `name` heads or that a remark gives to `name`: `z2 (second code)`, `noise (styledconv, upsample)`.

    FixtureError where there is none, or no call in its sentence.
    """
    return several(fixture, name)[0]


def several(fixture: Fixture, name: str) -> list[Tensor]:
    """Like `named` for an entry of several inputs, `x, skip (torgb)`: all of them."""
    for label, sentence in fixture.descriptions.items():
        head, _, remark = label.partition("(")
        if name in _words(head) or name in _words(remark):
            found = called(fixture, sentence)
            if found:
                return found
    raise FixtureError(f"has no input {name!r} that is called for")


def step(fixture: Fixture, output: str, otherwise: int = 1) -> int:
    """n of `every n-th ...` in what is said about an output."""
    found = re.search(r"every (\d+)", str(fixture.facts["outputs"].get(output, {}).get("what", "")))
    return int(found[1]) if found else otherwise


def stated(fixture: Fixture, output: str, pattern: str) -> re.Match[str]:
    """The match of `pattern` in what is said about an output; FixtureError where it does not match."""
    said = str(fixture.facts["outputs"].get(output, {}).get("what", ""))
    found = re.search(pattern, said)
    if found is None:
        raise FixtureError(f"outputs.{output} is not understood: {said!r}")
    return found


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text)
