"""Reading the published `config.yaml`: plain values, with the two kinds of interpolation that occur in it.

`${a.b}` stands for another value of the file, `${rmspace:text,mark}` for a text with its blanks replaced. Anything else
in `${...}` is an error. Only what is asked for is resolved; nothing is instantiated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.config.compose import parse_yaml
from framework.registry import suggestion
from framework.weights.folder import WeightsError

DEEPEST = 20
"""Interpolations inside interpolations beyond which they run in a circle."""


def parse(text: str, where: str) -> dict[str, Any]:
    """Return the content of a config file, interpolations left in it; WeightsError when it is no mapping."""
    try:
        config = parse_yaml(text, short_numbers=True)
    except ValueError as error:
        raise WeightsError(f"{where}: config.yaml can't be read ({error})") from error
    if not isinstance(config, dict):
        raise WeightsError(f"{where}: config.yaml holds a {type(config).__name__}, expected sections")
    return config


def section(config: Mapping[str, Any], path: str, where: str) -> dict[str, Any]:
    """Return the mapping at the dotted `path` of a parsed config with its interpolations resolved; {} if absent.

    Raises WeightsError for an interpolation that leads nowhere, and when something else than a mapping is there.
    """
    value: Any = config
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    found = resolved(config, value, f"{where}: config.yaml: {path}")
    if not isinstance(found, Mapping | None):
        raise WeightsError(f"{where}: config.yaml: {path} is {found!r}, expected a section")
    return dict(found or {})


def resolved(config: Mapping[str, Any], value: Any, where: str, depth: int = 0) -> Any:
    """Return `value` with the interpolations in it replaced by what they stand for in `config`."""
    if depth > DEEPEST:
        raise WeightsError(f"{where}: its interpolations run in a circle")
    if isinstance(value, Mapping):
        return {key: resolved(config, item, f"{where}.{key}", depth) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(config, item, where, depth) for item in value]
    if not isinstance(value, str) or "${" not in value:
        return value
    start = value.rindex("${")  # the innermost of several
    end = value.find("}", start)
    if end < 0:
        raise WeightsError(f"{where}: {value!r} has an interpolation without its end")
    replaced = _interpolated(config, value[start + 2 : end].strip(), where)
    whole = replaced if (start, end) == (0, len(value) - 1) else f"{value[:start]}{replaced}{value[end + 1 :]}"
    return resolved(config, whole, where, depth + 1)


def _interpolated(config: Mapping[str, Any], expression: str, where: str) -> Any:
    """The value of what stands between `${` and `}`."""
    name, colon, arguments = expression.partition(":")
    if colon:
        if name != "rmspace":
            raise WeightsError(f"{where}: ${{{expression}}}: there is no function '{name}'. Known: rmspace")
        text, comma, mark = arguments.rpartition(",")
        if not comma:
            raise WeightsError(f"{where}: ${{{expression}}}: rmspace takes a text and a mark, as ${{rmspace:text,_}}")
        return text.strip().replace(" ", mark.strip())
    value: Any = config
    for part in expression.split("."):
        known = value if isinstance(value, Mapping) else {}
        if part not in known:
            raise WeightsError(
                f"{where}: ${{{expression}}} leads nowhere: no '{part}'. {suggestion(part, map(str, known))}"
            )
        value = known[part]
    return value
