"""Plain mappings -> dataclasses of options, and back. Every error names the full path of the option.

Values must have the type that the field declares; the only conversions are int -> float, a whole float -> int
(`1e5`), and list -> tuple. A field annotated with `Registered(kind)` takes a mapping whose `type` names a registry
entry; the rest of it are the options of that entry. Such a field may have a default name, for mappings without `type`.
"""

import dataclasses
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from framework import registry
from framework.config.choice import Choice
from framework.config.errors import ConfigError, join
from framework.config.registered import Registered

T = TypeVar("T")


def hints_of(cls: Any) -> dict[str, Any]:
    """Return field name -> annotation of a dataclass, with `Annotated` kept."""
    return get_type_hints(cls, include_extras=True)


def from_dict(cls: type[T], mapping: Mapping[str, Any], path: str = "") -> T:
    """Build the dataclass `cls` from a plain mapping; ConfigError with the path below `path` of what is wrong.

    A `__post_init__` that raises ValueError (or ConfigError with the path from its own class) is reported the same way.
    """
    if not isinstance(mapping, Mapping):
        raise ConfigError(path, f"expected options of {cls.__name__}, got {_shown(mapping)}.")
    fields = {item.name: item for item in dataclasses.fields(cls) if item.init}  # type: ignore[arg-type]
    for key in mapping:
        if key not in fields:
            raise ConfigError(join(path, key), f"unknown key. {registry.suggestion(str(key), fields)}")
    hints = hints_of(cls)
    values = {key: _convert(value, hints[key], join(path, key)) for key, value in mapping.items()}
    for name, item in fields.items():
        if name not in values and item.default is item.default_factory is dataclasses.MISSING:
            raise ConfigError(join(path, name), f"missing. Expected {describe(hints[name])}.")
    try:
        return cls(**values)
    except ConfigError as error:
        raise error.below(path) from None
    except ValueError as error:
        raise ConfigError(path, str(error)) from error


def to_dict(value: Any) -> Any:
    """Return a dataclass of options as plain JSON-able values, which `from_dict` accepts again."""
    if isinstance(value, Choice):
        return {"type": value.type} | to_dict(value.config)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_dict(getattr(value, item.name)) for item in dataclasses.fields(value) if item.init}
    if isinstance(value, Mapping):
        return {str(key): to_dict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_dict(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def without_none(hint: Any) -> Any:
    """Return the only member of an optional annotation besides None; other annotations as they are."""
    if get_origin(hint) not in (Union, types.UnionType):
        return hint
    members = [member for member in get_args(hint) if member is not type(None)]
    return members[0] if len(members) == 1 else hint


def describe(hint: Any) -> str:
    """Return an annotation in words for error messages and the option reference."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        marks = [mark for mark in hint.__metadata__ if isinstance(mark, Registered)]
        return f"{marks[0].kind} by name" if marks else describe(arguments[0])
    if origin is Literal:
        return " | ".join(str(choice) for choice in arguments)
    if origin in (Union, types.UnionType):
        return " | ".join(describe(argument) for argument in arguments)
    if origin in (list, Sequence):
        return f"list of {describe(arguments[0])}"
    if origin is tuple:
        return f"[{', '.join('...' if argument is Ellipsis else describe(argument) for argument in arguments)}]"
    if origin in (dict, Mapping):
        return f"mapping of {describe(arguments[1])}"
    if hint is Any:
        return "anything"
    if dataclasses.is_dataclass(hint):
        return f"options of {getattr(hint, '__name__', hint)}"
    names = {str: "text", Path: "path", bool: "true | false", float: "number", int: "whole number", type(None): "null"}
    return names.get(hint, getattr(hint, "__name__", str(hint)))


def _convert(value: Any, hint: Any, path: str) -> Any:
    """Return `value` as the type `hint` wants, or raise ConfigError."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin is Annotated:
        marks = [mark for mark in hint.__metadata__ if isinstance(mark, Registered)]
        return _choice(value, marks[0], path) if marks else _convert(value, arguments[0], path)
    if origin is Literal:
        return _literal(value, arguments, path)
    if origin in (Union, types.UnionType):
        return _union(value, hint, path)
    if origin in (list, tuple, Sequence):
        return _sequence(value, hint, path)
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise _mismatch(value, hint, path)
        return {str(key): _convert(item, arguments[1], join(path, key)) for key, item in value.items()}
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else from_dict(hint, value, path)  # type: ignore[arg-type]
    return _scalar(value, hint, path)


def _choice(value: Any, mark: Registered, path: str) -> Choice | None:
    """Build the options of the registry entry that `value["type"]` names; None is the default, or nothing chosen."""
    kind = mark.kind
    if value is None and mark.default:
        value = {}
    if value is None or isinstance(value, Choice):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError(path, f"expected a mapping with `type: <{kind}>`, got {_shown(value)}.")
    name = str(value.get("type", mark.default))
    if not name:
        raise ConfigError(path, f"nothing is chosen. Give it: {path}=<one of {', '.join(registry.names(kind))}>.")
    try:
        config_class = registry.config_class(kind, name)
    except registry.RegistryError as error:
        raise ConfigError(join(path, "type"), str(error)) from error
    options = {key: item for key, item in value.items() if key != "type"}
    return Choice(name, from_dict(config_class, options, path))


def _literal(value: Any, choices: tuple[Any, ...], path: str) -> Any:
    """Return the choice that equals `value`: `true` is not `1`, but the number 32 is the text "32"."""
    for choice in choices:
        if type(choice) is type(value) and choice == value:
            return choice
        if isinstance(choice, str) and type(value) in (int, float) and choice == str(value):
            return choice
    hint = registry.suggestion(str(value), [str(choice) for choice in choices])
    raise ConfigError(path, f"{_shown(value)} is not one of {', '.join(map(str, choices))}. {hint}")


def _union(value: Any, hint: Any, path: str) -> Any:
    """Return `value` as the first member that takes it; with one member besides None, its own error speaks."""
    members = [member for member in get_args(hint) if member is not type(None)]
    if value is None and type(None) in get_args(hint):
        return None
    if len(members) == 1:
        return _convert(value, members[0], path)
    for member in members:
        if type(value) is member:  # exact first, so that `int | float` keeps 1 an int and 1.0 a float
            return value
    for member in members:
        try:
            return _convert(value, member, path)
        except ConfigError:
            continue
    raise _mismatch(value, hint, path)


def _sequence(value: Any, hint: Any, path: str) -> Any:
    """Return a list or tuple with each item converted; a fixed tuple must have the right length."""
    origin, arguments = get_origin(hint), get_args(hint)
    if not isinstance(value, (list, tuple)):
        raise _mismatch(value, hint, path)
    if origin is not tuple or arguments[-1] is Ellipsis:
        items = [_convert(item, arguments[0], join(path, _label(item, index))) for index, item in enumerate(value)]
        return tuple(items) if origin is tuple else items
    if len(value) != len(arguments):
        raise _mismatch(value, hint, path)
    return tuple(_convert(item, arguments[index], join(path, index)) for index, item in enumerate(value))


def _label(item: Any, index: int) -> str:
    """How an element of a list is addressed in a path: by the last part of its `type`, else by its index."""
    return str(item["type"]).rpartition("/")[2] if isinstance(item, Mapping) and "type" in item else str(index)


def _scalar(value: Any, hint: Any, path: str) -> Any:
    """Return a number, text, truth value or path; bool is not a number here."""
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise _mismatch(value, hint, path)


def _mismatch(value: Any, hint: Any, path: str) -> ConfigError:
    return ConfigError(path, f"expected {describe(hint)}, got {_shown(value)}.")


def _shown(value: Any) -> str:
    """The value for an error message, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
