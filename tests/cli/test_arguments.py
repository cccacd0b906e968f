"""Words of a command in any order."""

import itertools

import pytest

from framework.cli.arguments import parse
from framework.config.errors import ConfigError


def test_flags_stand_anywhere() -> None:
    words = ["train", "--cfg", "system=a", "seed=1", "-m"]
    for order in itertools.permutations(words):
        command = parse(order)
        assert command.verb == "train"
        assert command.show_config
        assert command.sweep
        assert sorted(command.assignments) == [("seed", "1"), ("system", "a")]


def test_signs_before_a_key_mean_nothing() -> None:
    assert parse(["train", "+a.b=1", "++c=2"]).assignments == [("a.b", "1"), ("c", "2")]


def test_a_value_may_hold_anything() -> None:
    assert parse(["predict", "input=a=b, --c d.png"]).assignments == [("input", "a=b, --c d.png")]


def test_bare_words_follow_the_verb() -> None:
    assert parse(["list", "methods", "a*"]).words == ["methods", "a*"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "unknown verb 'trian'. Nearest: train."),
        (["train", "--hlep"], "--hlep: unknown flag. Nearest: --help. Options are written key=value."),
        (["train", "-x"], "-x: unknown flag. Known: --help, --cfg, --sweep, --version, --traceback."),
        (["train", "--seed=3"], "--seed=3: options are written without dashes: seed=3."),
        (["train", "~seed=3"], "'~seed=3' is not understood. Options are written key=value"),
        (["train", "=3"], "'=3' is not understood."),
        (["seed=3"], "a verb is missing before seed=..."),
    ],
)
def test_errors(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(words)
    assert str(caught.value).startswith(message)
