"""Single options: text is taken as it stands, everything else by Hydra's grammar."""

from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest

from framework.config.compose import resolve
from framework.config.errors import ConfigError
from framework.config.overrides import assign, escape, hint_at, read_value
from framework.config.registered import Registered


@dataclass(kw_only=True)
class Options:
    """Options of the test."""

    input: str | None = None
    """Text."""
    weights: dict[str, str] = field(default_factory=dict)
    """Texts by name."""
    seed: int = 0
    """A number."""
    drawn: Annotated[Any, Registered("renderer")] = None
    """Chosen by name."""
    stages: list[Annotated[Any, Registered("stage")]] = field(default_factory=list)
    """Several."""
    usual: Annotated[Any, Registered("renderer", default="torch")] = None
    """Chosen by name, or the usual one."""


NASTY = [
    "a, b.png",
    "x=y.png",
    "über größe/图.png",
    "a[1]{2}(3).png",
    "what?.png",
    "50%.png",
    "it's.png",
    'say "hi".png',
    "${home}.png",
    "${unclosed",
    "back\\slash.png",
    "back\\${slash}.png",
    "0012",
    "1e5",
    "true",
    "-",
    "#1.png",
    "a: b",
    "",
]


@pytest.mark.parametrize("text", NASTY)
def test_text_survives(text: str) -> None:
    config: dict[str, Any] = {}
    assign(config, "input", text, Options)
    assign(config, "weights.net", text, Options)
    assert resolve(config) == {"input": text, "weights": {"net": text}}


@pytest.mark.parametrize("text", NASTY)
def test_saved_text_survives(text: str) -> None:
    assert resolve(escape({"a": [text], "b": {"c": text}})) == {"a": [text], "b": {"c": text}}


def test_quotes_null_and_home() -> None:
    config: dict[str, Any] = {}
    assign(config, "input", "'a b.png'", Options)
    assert config["input"] == "a b.png"
    assign(config, "input", "null", Options)
    assert config["input"] is None
    assign(config, "input", "~/a.png", Options)
    assert not config["input"].startswith("~")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e-3", 1e-3),
        ("true", True),
        ("null", None),
        ("[1,2]", [1, 2]),
        ("{a:1}", {"a": 1}),
        ("00:45:00", "00:45:00"),
        ("a,b", "a,b"),
        ("bf16-mixed", "bf16-mixed"),
        ("refine..", "refine.."),
    ],
)
def test_other_values_follow_the_grammar(text: str, value: Any) -> None:
    assert read_value("key", text) == value


def test_interpolation_points_to_another_option() -> None:
    config: dict[str, Any] = {"seed": 3}
    assign(config, "other", "${seed}", Options)
    assert resolve(config)["other"] == 3


def test_broken_interpolation_names_the_option() -> None:
    with pytest.raises(ConfigError, match=r"^data\.root: .*nowhere"):
        resolve({"data": {"root": "${nowhere}"}})


def test_nested_and_new_keys() -> None:
    config: dict[str, Any] = {"drawn": {"type": "torch"}}
    assign(config, "drawn.chunk", "100", Options)
    assign(config, "brand.new", "1", Options)
    assert config == {"drawn": {"type": "torch", "chunk": 100}, "brand": {"new": 1}}


def test_options_of_a_default_name_are_known_before_it_is_named() -> None:
    for config in ({}, {"usual": {}}, {"usual": {"type": "torch"}}):
        assert hint_at(Options, config, ["usual", "chunk"]) is int
    assert hint_at(Options, {}, ["drawn", "chunk"]) is None


def test_elements_of_lists_by_type_and_index() -> None:
    config: dict[str, Any] = {"stages": [{"type": "matting"}, {"type": "method/shape"}]}
    assign(config, "stages.shape.steps", "3", Options)
    assign(config, "stages.0.ratio", "0.5", Options)
    assert config["stages"] == [{"type": "matting", "ratio": 0.5}, {"type": "method/shape", "steps": 3}]
    with pytest.raises(ConfigError, match=r"stages\.shpae: no such element\. Nearest: shape\."):
        assign(config, "stages.shpae.steps", "3", Options)
    with pytest.raises(ConfigError, match=r"stages\.7: no such element"):
        assign(config, "stages.7.steps", "3", Options)


def test_a_value_has_no_options() -> None:
    with pytest.raises(ConfigError, match=r"^seed: is 3, so it has no options of its own\."):
        assign({"seed": 3}, "seed.more", "1", Options)
