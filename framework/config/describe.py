"""What the options of a dataclass are: path, type, default and the docstring that stands below each field."""

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from framework.config.build import describe, hints_of, to_dict, without_none


@dataclass(frozen=True)
class Option:
    """One option as help and the reference show it."""

    path: str
    """Full path, as `trainer.max_steps`."""

    kind: str
    """Type in words."""

    default: str
    """Default as it would be typed; `required` when there is none."""

    text: str
    """The field's docstring on one line."""


def options_of(cls: type, path: str = "") -> Iterator[Option]:
    """Yield the options of a dataclass in their order; nested dataclasses are walked into."""
    yield from _walk(cls, path, None)


def field_texts(cls: type) -> dict[str, str]:
    """Return field name -> the string literal below the field, on one line; fields without one are left out."""
    texts: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        if dataclasses.is_dataclass(owner):
            texts |= _own_texts(owner)
    return texts


def summary(cls: type) -> str:
    """Return the first paragraph of a class's docstring on one line."""
    return " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())


def _own_texts(cls: type) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body  # type: ignore[attr-defined]
    texts = {}
    for node, below in zip(body, body[1:], strict=False):
        is_field = isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        if is_field and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            texts[node.target.id] = " ".join(str(below.value.value).split())
    return texts


def _walk(cls: type, path: str, parent: Any) -> Iterator[Option]:
    """`parent` is the instance that holds the defaults, where the outer class sets its own."""
    hints, texts = hints_of(cls), field_texts(cls)
    for item in dataclasses.fields(cls):  # type: ignore[arg-type]
        where = f"{path}.{item.name}" if path else item.name
        default = getattr(parent, item.name) if parent is not None else _default(item)
        nested = _nested(hints[item.name])
        if nested is not None:
            yield from _walk(nested, where, None if default in (None, dataclasses.MISSING) else default)
        else:
            yield Option(where, describe(hints[item.name]), _shown(default), texts.get(item.name, ""))


def _nested(hint: Any) -> type | None:
    """The dataclass that a field holds, also when it may be None."""
    inner = without_none(hint)
    return inner if isinstance(inner, type) and dataclasses.is_dataclass(inner) else None


def _default(item: dataclasses.Field[Any]) -> Any:
    if item.default_factory is not dataclasses.MISSING:
        return item.default_factory()
    return item.default


def _shown(value: Any) -> str:
    if value is dataclasses.MISSING:
        return "required"
    plain = to_dict(value)
    if isinstance(plain, dict):
        return str(plain.get("type", plain or "{}"))
    if isinstance(plain, list):
        return f"[{', '.join(_shown(item) for item in plain)}]"
    return (
        {None: "null", True: "true", False: "false", "": "''"}.get(plain, str(plain)) if _plain(plain) else str(plain)
    )


def _plain(value: Any) -> bool:
    """True for what YAML spells differently from Python; 1 and 0 are equal to True and False but spelt alike."""
    return value is None or isinstance(value, (bool, str))
