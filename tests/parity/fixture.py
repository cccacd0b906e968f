"""A parity fixture: what was run, with which weights and inputs, and the numbers that the original gave.

`<method>/<name>.json` tells, `<name>.safetensors` holds the numbers; weights follow from their official keys (fill.py).
A runner (`tests.parity.runners`) runs our code on the fixture and returns `{output: tensor}`; `tests.parity.comparison`
holds that against the numbers.

Where `config` or `inputs` of a fixture is a sentence that no program reads, its copy carries a block
`values: {"config": {...}, "inputs": {...}}` with the same facts as numbers or expressions; it goes before the sentence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import Tensor

from tests.parity import fill
from tests.parity.expressions import evaluate

HEAVY = 20_000_000
"""Weights from which on a fixture counts as heavy: a network of tens of millions runs for many seconds on a CPU."""


class FixtureError(ValueError):
    """A fixture that can't be read or served: says what is missing."""


@dataclass(frozen=True)
class Fixture:
    """One fixture. `facts` is its JSON as it stands."""

    path: Path
    """The JSON file."""
    facts: dict[str, Any]
    """Everything that the JSON says."""
    taken: set[str] = field(default_factory=set, compare=False)
    """Stored tensors that were taken as inputs, and so are no outputs."""

    @staticmethod
    def read(path: Path) -> Fixture:
        """The fixture of a JSON file; FixtureError unless it is an object with a `family`."""
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FixtureError(f"can't be read: {error}") from error
        if not isinstance(facts, dict) or not isinstance(facts.get("family"), str):
            raise FixtureError("has no `family`")
        return Fixture(path, facts)

    @property
    def method(self) -> str:
        """The method it belongs to: the name of its folder."""
        return self.path.resolve().parent.name

    @property
    def name(self) -> str:
        """Its name within the method."""
        return self.path.stem

    @property
    def family(self) -> str:
        """Which runner serves it."""
        return self.facts["family"]

    @property
    def salt(self) -> int:
        """Second argument of the filling functions."""
        return int(self.facts.get("salt", 0))

    @cached_property
    def config(self) -> dict[str, Any]:
        """Facts of construction and options; those of `values` go before the rest."""
        return dict(self.facts.get("config") or {}) | self._values("config")

    @cached_property
    def descriptions(self) -> dict[str, Any]:
        """How each input is made; those of `values` go before the rest."""
        return dict(self.facts.get("inputs") or {}) | self._values("inputs")

    @cached_property
    def expected(self) -> dict[str, np.ndarray]:
        """The numbers of the safetensors file; empty if there is none."""
        tensors = self.path.with_suffix(".safetensors")
        return load_file(tensors) if tensors.is_file() else {}

    @property
    def heavy(self) -> bool:
        """Whether its networks have so many weights that a quick run leaves it out."""
        parts = (value for key, value in self.facts.items() if key.startswith("state"))
        return sum(_count(part) for part in parts if isinstance(part, dict)) > HEAVY

    def input(self, name: str, **names: Any) -> np.ndarray:
        """The input called `name`: numbers as they stand, an expression evaluated, or the stored tensor.

        `names` are further names that its expression may use (`same` is the shape where one is left open).
        FixtureError where the fixture has no such input.
        """
        description = self.descriptions.get(name, "stored")
        if not isinstance(description, str):
            return np.asarray(description)
        if not description.startswith("stored"):
            return np.asarray(evaluate(description, self.salt, names))
        return self.stored(name)

    def stored(self, name: str) -> np.ndarray:
        """The tensor `name` (or `input.<name>`) of the safetensors file as an input; FixtureError if it has none."""
        for key in (name, f"input.{name}"):
            if key in self.expected:
                self.taken.add(key)
                return self.expected[key]
        raise FixtureError(f"has no input {name!r}")

    def tensor(self, name: str, **names: Any) -> Tensor:
        """Like `input`, as a tensor."""
        return torch.from_numpy(np.ascontiguousarray(self.input(name, **names)))

    def weights(self, state: str = "state", part: str | None = None) -> dict[str, Tensor]:
        """{official key: tensor} of the network that `state` lists (its entry `part`, where it lists several).

        The prefix stays on the keys. Filled tensors are multiplied by the factor that `fill_scale` has for their key;
        `override` gives values outright; "computed" ones are taken from the safetensors file if it holds them, else
        left out, since they follow from the rest.
        """
        listed = self.facts.get(state) or {}
        listed = listed if part is None else listed[part]
        suffix = state.removeprefix("state")
        factors, given = (self.facts.get(kind + suffix) or {} for kind in ("fill_scale", "override"))
        return {key: torch.from_numpy(value) for key, value in self._filled(listed, factors, given)}

    def network_weights(self) -> dict[str, Tensor]:
        """`weights` without the fixture's prefix."""
        prefix = self.facts.get("prefix") or ""
        return {key.removeprefix(prefix): value for key, value in self.weights().items()}

    def _filled(
        self, listed: Mapping[str, Any], factors: Mapping[str, Any], given: Mapping[str, Any]
    ) -> Iterator[tuple[str, np.ndarray]]:
        for key, (shape, dtype, origin) in listed.items():
            if key in given:
                yield key, np.asarray(given[key], dtype).reshape(shape)
            elif origin == "filled":
                value = fill.weight(key, shape, self.salt)
                yield key, (value * np.float32(factors[key])).astype(np.float32) if key in factors else value
            elif key in self.expected:
                yield key, self.expected[key]

    def _values(self, part: str) -> dict[str, Any]:
        values = self.facts.get("values") or {}
        return dict(values.get(part) or {})


def _count(listed: Mapping[str, Any]) -> int:
    """Weights of all tensors in a `state`, or in its parts."""
    total = 0
    for entry in listed.values():
        if isinstance(entry, dict):
            total += _count(entry)
        elif isinstance(entry, list):
            total += int(np.prod(entry[0], dtype=np.int64))
    return total


def find_fixtures(folder: Path) -> list[Path]:
    """The JSON files of all fixtures in `folder` and below, in order; manifests (`*.official.json`) are none."""
    return sorted(path for path in folder.rglob("*.json") if not path.name.endswith(".official.json"))
