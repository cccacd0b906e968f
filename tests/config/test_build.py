"""Mappings to dataclasses and back; errors carry the full path."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from framework.config.build import describe, from_dict, hints_of, to_dict
from framework.config.choice import Choice
from framework.config.errors import ConfigError
from framework.config.registered import Registered


@dataclass(kw_only=True)
class Inner:
    """Inner options."""

    betas: tuple[float, float] = (0.9, 0.99)
    """Two numbers."""
    kind: Literal["a", "b", "32"] = "a"
    """One of some."""


@dataclass(kw_only=True)
class Outer:
    """Outer options."""

    count: int
    """Required."""
    inner: Inner = field(default_factory=Inner)
    """Nested."""
    maybe: Inner | None = None
    """Nested or nothing."""
    rate: float = 1.0
    """A number."""
    flag: bool = False
    """True or false."""
    names: list[str] = field(default_factory=list)
    """Texts."""
    sizes: tuple[int, ...] = ()
    """Any number of numbers."""
    table: dict[str, int] = field(default_factory=dict)
    """Name to number."""
    place: Path = Path()
    """A path."""
    either: int | str = 0
    """A number or text."""
    drawn: Annotated[Any, Registered("renderer")] = None
    """Chosen by name."""
    several: list[Annotated[Any, Registered("renderer")]] = field(default_factory=list)
    """Several, each chosen by name."""
    usual: Annotated[Any, Registered("renderer", default="torch")] = None
    """Chosen by name, or the usual one."""

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ConfigError("count", f"is {self.count}, expected 0 or more.")
        if self.rate > 100:
            raise ValueError(f"rate is {self.rate}, expected at most 100")


EVERYTHING = {
    "count": 3,
    "inner": {"betas": [0.5, 1], "kind": 32},
    "maybe": {"kind": "b"},
    "rate": 2,
    "flag": True,
    "names": ["x"],
    "sizes": [1, 2, 3],
    "table": {"a": 1},
    "place": "some/where",
    "either": "text",
    "drawn": {"type": "torch", "chunk": 1000},
    "several": [{"type": "torch"}],
    "usual": {"chunk": 1000},
}


def test_every_type_is_built() -> None:
    built = from_dict(Outer, EVERYTHING)
    assert built.inner == Inner(betas=(0.5, 1.0), kind="32")
    assert built.maybe == Inner(kind="b")
    assert (built.rate, type(built.rate)) == (2.0, float)
    assert built.sizes == (1, 2, 3)
    assert built.place == Path("some/where")
    assert built.either == "text"
    assert isinstance(built.drawn, Choice)
    assert (built.drawn.type, built.drawn.config.chunk) == ("torch", 1000)
    assert built.several[0].type == "torch"


def test_round_trip() -> None:
    built = from_dict(Outer, EVERYTHING)
    assert from_dict(Outer, to_dict(built)) == built
    assert to_dict(built)["drawn"]["type"] == "torch"


def test_a_choice_can_have_a_default_name() -> None:
    for given in ({}, {"type": "torch"}, None):
        assert from_dict(Outer, {"count": 1, "usual": given}).usual.type == "torch"
    assert from_dict(Outer, {"count": 1, "usual": {"chunk": 1000}}).usual.config.chunk == 1000
    with pytest.raises(ConfigError, match="outer.usual.chunks: unknown key. Nearest: chunk"):
        from_dict(Outer, {"count": 1, "usual": {"chunks": 1000}}, "outer")


def test_whole_floats_are_whole_numbers() -> None:
    assert from_dict(Outer, {"count": 1e5}).count == 100_000


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({}, "outer.count: missing. Expected whole number."),
        ({"cuont": 1}, "outer.cuont: unknown key. Nearest: count."),
        ({"count": "3"}, "outer.count: expected whole number, got '3'."),
        ({"count": 1.5}, "outer.count: expected whole number, got 1.5."),
        ({"count": True}, "outer.count: expected whole number, got True."),
        ({"count": None}, "outer.count: expected whole number, got None."),
        ({"count": -1}, "outer.count: is -1, expected 0 or more."),
        ({"count": 1, "rate": 101}, "outer: rate is 101.0, expected at most 100"),
        ({"count": 1, "rate": True}, "outer.rate: expected number, got True."),
        ({"count": 1, "flag": 1}, "outer.flag: expected true | false, got 1."),
        ({"count": 1, "inner": 3}, "outer.inner: expected options of Inner, got 3."),
        ({"count": 1, "inner": {"betas": [1]}}, "outer.inner.betas: expected [number, number], got [1]."),
        ({"count": 1, "inner": {"betas": [1, "x"]}}, "outer.inner.betas.1: expected number, got 'x'."),
        ({"count": 1, "inner": {"kind": "aa"}}, "outer.inner.kind: 'aa' is not one of a, b, 32. Nearest: a."),
        ({"count": 1, "maybe": {"knid": "a"}}, "outer.maybe.knid: unknown key. Nearest: kind."),
        ({"count": 1, "names": "x"}, "outer.names: expected list of text, got 'x'."),
        ({"count": 1, "table": {"a": "x"}}, "outer.table.a: expected whole number, got 'x'."),
        ({"count": 1, "either": 1.5}, "outer.either: expected whole number | text, got 1.5."),
        ({"count": 1, "drawn": "torch"}, "outer.drawn: expected a mapping with `type: <renderer>`, got 'torch'."),
        ({"count": 1, "drawn": {"chunk": 3}}, "outer.drawn: nothing is chosen. Give it: outer.drawn=<one of auto, "),
        (
            {"count": 1, "drawn": {"type": "torhc"}},
            "outer.drawn.type: renderer 'torhc' is not registered. Nearest: torch.",
        ),
        ({"count": 1, "drawn": {"type": "torch", "chnk": 1}}, "outer.drawn.chnk: unknown key. Nearest: chunk."),
        ({"count": 1, "several": [{"type": "torch", "chunk": ""}]}, "outer.several.torch.chunk: expected whole number"),
    ],
)
def test_errors_say_where_and_what(mapping: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict(Outer, mapping, "outer")
    assert str(caught.value).startswith(message)


def test_a_long_value_is_cut() -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict(Outer, {"count": "x" * 1000})
    assert len(str(caught.value)) < 120


def test_types_in_words() -> None:
    words = {name: describe(hint) for name, hint in hints_of(Outer).items()}
    assert words["maybe"] == "options of Inner | null"
    assert words["sizes"] == "[whole number, ...]"
    assert words["table"] == "mapping of whole number"
    assert words["drawn"] == "renderer by name"
    assert words["place"] == "path"
