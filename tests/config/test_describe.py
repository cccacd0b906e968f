"""What help and the reference say about options."""

from dataclasses import dataclass, field

from framework.config.describe import field_texts, options_of, summary


@dataclass(kw_only=True)
class Inner:
    """Inner."""

    width: int = 3
    """How wide
    it is."""


@dataclass(kw_only=True)
class Outer:
    """What this is,
    on two lines.

    More.
    """

    name: str
    """A name."""
    flag: bool = True
    undocumented: int = 1
    other: Inner | None = None
    """Walked into."""
    inner: Inner = field(default_factory=lambda: Inner(width=7))
    """Walked into, with its own default."""
    many: tuple[Inner, ...] = ()
    """Not walked into."""
    nothing: str | None = None
    """Null."""
    empty: str = ""
    """Empty."""


def test_options_in_order_with_defaults() -> None:
    rows = {option.path: (option.kind, option.default, option.text) for option in options_of(Outer, "top")}
    assert rows == {
        "top.name": ("text", "required", "A name."),
        "top.flag": ("true | false", "true", ""),
        "top.undocumented": ("whole number", "1", ""),
        "top.other.width": ("whole number", "3", "How wide it is."),
        "top.inner.width": ("whole number", "7", "How wide it is."),
        "top.many": ("[options of Inner, ...]", "[]", "Not walked into."),
        "top.nothing": ("text | null", "null", "Null."),
        "top.empty": ("text", "''", "Empty."),
    }


def test_texts_and_summary_are_one_line() -> None:
    assert field_texts(Inner) == {"width": "How wide it is."}
    assert summary(Outer) == "What this is, on two lines."
