"""Lists and ranges in the values of a sweep."""

import pytest

from framework.cli.listed import listed_values
from framework.config.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,2,3", ["1", "2", "3"]),
        ("a/b, c/d", ["a/b", "c/d"]),
        ("[1,2],[3,4]", ["[1,2]", "[3,4]"]),
        ("{a:1,b:[2,3]},{a:2}", ["{a:1,b:[2,3]}", "{a:2}"]),
        ("'a,b',\"c,d\",e", ["'a,b'", '"c,d"', "e"]),
        ("['[',b],c", ["['[',b]", "c"]),
        (r"'it\'s, so',b", [r"'it\'s, so'", "b"]),
        ("tom's.png,x.png", ["tom's.png", "x.png"]),
        ("a(1).png,b", ["a(1).png", "b"]),
        ("range(1,4)", ["1", "2", "3"]),
        ("range(0, 10, 4)", ["0", "4", "8"]),
        ("range(3,0,-1)", ["3", "2", "1"]),
        ("range(0.1,0.5,0.1)", ["0.1", "0.2", "0.3", "0.4"]),
        ("range(0,1,0.3)", ["0.0", "0.3", "0.6", "0.9"]),
        ("range(1e-4,3e-4,1e-4)", ["0.0001", "0.0002"]),
        ("7,range(1,3),null", ["7", "1", "2", "null"]),
    ],
)
def test_lists(text: str, values: list[str]) -> None:
    assert listed_values("key", text, 100) == values


@pytest.mark.parametrize(
    "text", ["1", "", " a ", "[1,2]", "{a:1,b:2}", "'a,b'", "'range(1,3)'", "it's", "${a}", "a(b.png", "range"]
)
def test_one_value_stays_as_typed(text: str) -> None:
    assert listed_values("key", text, 100) == [text]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,,2", "key: a value is missing between the commas of '1,,2'."),
        ("1,", "key: a value is missing"),
        ("1,2,1", "key: 1 is listed twice."),
        ("3,range(1,5)", "key: 3 is listed twice."),
        ("[1,2", "key: '[1,2' lacks ]. "),
        ("'a,b", "key: ''a,b' lacks '. To give it as one value, put quotes around it: key=\"'...'\"."),
        ("range(3)", "key: range(3) is not understood. Expected range(start,end)"),
        ("range(a,b)", "key: range(a,b) is not understood."),
        ("range(3,1)", "key: range(3,1) gives no value: from 3 to below 1 in steps of 1."),
        ("range(1,3,0)", "key: range(1,3,0) gives no value"),
        ("range(0,1e12)", "key: range(0,1e12) gives more than 100 values."),
    ],
)
def test_errors(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        listed_values("key", text, 100)
    assert str(caught.value).startswith(message)
