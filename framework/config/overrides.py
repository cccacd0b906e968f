"""Setting single options, as `system.width=128`, in a composed mapping.

How the text of a value is read depends on the option: where the dataclasses want text, it is taken as it stands, so
that paths may hold commas, spaces, `=` and anything else; everywhere else Hydra's grammar reads numbers, lists and
mappings, and what that grammar does not know is text.
"""

import dataclasses
import re
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from framework import registry
from framework.config.build import hints_of, without_none
from framework.config.errors import ConfigError
from framework.config.registered import Registered


def assign(config: dict[str, Any], key: str, text: str, options: type) -> None:
    """Set the option `key` (dotted) of `config` in place; `options` is the dataclass that will be built from it.

    An element of a list is addressed by its index, or by the last part of its `type`.
    """
    value = read_value(key, text, hint_at(options, config, key.split(".")))
    *parents, last = key.split(".")
    node: Any = config
    for depth, part in enumerate(parents):
        node = _child(node, part, ".".join(parents[: depth + 1]))
    if isinstance(node, list):
        node[_index(node, last, key)] = value
    else:
        node[last] = value


def read_value(key: str, text: str, hint: Any = None) -> Any:
    """Return the value that `text` stands for where `hint` is the annotation of the option (None: unknown)."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    members = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if type(None) in members and text == "null":
        return None
    if set(members) <= {str, Path, type(None)}:
        return _literal_text(text)
    try:
        override = OverridesParser.create().parse_override(f"{key}={text}")
    except HydraException:
        return _literal_text(text)
    return _literal_text(text) if override.is_sweep_override() else override.value()


def escape(value: Any) -> Any:
    """Return a plain value in which `${` means itself, for `resolve`; mappings and lists are walked."""
    if isinstance(value, Mapping):
        return {key: escape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [escape(item) for item in value]
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", value) if isinstance(value, str) else value


def hint_at(options: type, config: Any, keys: list[str]) -> Any:
    """Return the annotation of the option at a dotted key, or None where the key leads nowhere.

    `config` is the mapping as composed so far: in a registered section its `type` tells whose options follow.
    """
    hint: Any = options
    for key in keys:
        hint = without_none(hint)
        marks = getattr(hint, "__metadata__", ())
        if marks and isinstance(marks[0], Registered):
            hint = _registered_config(marks[0], config)
        origin, arguments = get_origin(hint), get_args(hint)
        if dataclasses.is_dataclass(hint):
            hint = hints_of(hint).get(key)
        elif origin in (dict, Mapping):
            hint = arguments[1]
        elif origin in (list, tuple):
            hint = arguments[0]
        else:
            return None
        config = _peek(config, key)
    return hint


def _registered_config(mark: Registered, config: Any) -> Any:
    """The dataclass behind a registered section, or None; a wrong name is reported when the section is built."""
    name = config.get("type", mark.default) if isinstance(config, Mapping) else mark.default
    if not name:
        return None
    try:
        return registry.config_class(mark.kind, str(name))
    except registry.RegistryError:
        return None


def _peek(node: Any, key: str) -> Any:
    """What is at `key` in the mapping or list so far, or None."""
    if isinstance(node, list):
        found = _find(node, key)
        return node[found] if found is not None else None
    return node.get(key) if isinstance(node, Mapping) else None


def _child(node: Any, part: str, path: str) -> Any:
    """Step into `part`, making an empty mapping where nothing is yet."""
    if isinstance(node, list):
        return node[_index(node, part, path)]
    if node.get(part) is None:
        node[part] = {}
    if not isinstance(node[part], (dict, list)):
        raise ConfigError(path, f"is {node[part]!r}, so it has no options of its own.")
    return node[part]


def _find(items: list[Any], part: str) -> int | None:
    """Index of the element that `part` addresses."""
    if part.isdigit():
        return int(part) if int(part) < len(items) else None
    found = [index for index, item in enumerate(items) if part in _addresses(item)]
    return found[0] if len(found) == 1 else None


def _addresses(item: Any) -> list[str]:
    """Names by which an element of a list can be addressed: its `type`, and the last part of that."""
    name = str(item.get("type", "")) if isinstance(item, Mapping) else ""
    return [name, name.rpartition("/")[2]] if name else []


def _index(items: list[Any], part: str, path: str) -> int:
    found = _find(items, part)
    if found is None:
        known = [_addresses(item)[-1] for item in items if _addresses(item)] or [str(i) for i in range(len(items))]
        raise ConfigError(path, f"no such element. {registry.suggestion(part, known)}")
    return found


def _literal_text(text: str) -> str:
    """Text as typed: one pair of quotes around all of it is dropped, `~/` is the home folder, `$` means itself."""
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    if text.startswith("~/"):
        text = str(Path(text).expanduser())
    return escape(text)
