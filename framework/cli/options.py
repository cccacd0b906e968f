"""A command -> the options of its verb: saved run, chosen files and single options, in this order of strength."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framework import registry
from framework.cli.arguments import Command
from framework.config.build import from_dict
from framework.config.compose import complete, compose, groups, read_yaml, resolve
from framework.config.errors import ConfigError
from framework.config.folders import choice_files
from framework.config.overrides import assign, escape
from framework.weights.runs import find_run

SHORT_KEYS = {"input": "input.path"}
"""Bare keys that stand for their most used option."""
RECIPES = "experiment"
"""The group whose files set options of several other groups."""


def build(command: Command) -> Any:
    """Return the verb's options as its dataclass; ConfigError with the path of what is wrong, and where it stands."""
    options = registry.config_class("task", str(command.verb))
    try:
        return from_dict(options, resolve(mapping_of(command, options)))
    except ConfigError as error:
        files = [str(file) for file in _sources(error.path, command, options)]
        if not files or any(file in str(error) for file in files):
            raise
        raise ConfigError(error.path, f"{error.message.rstrip('.')} (in {', '.join(files)}).") from error


def mapping_of(command: Command, options: type) -> dict[str, Any]:
    """Return the command as a plain mapping for the dataclass `options`; interpolations are left in it."""
    for key, _ in command.assignments:
        _check_key(str(command.verb), key.partition(".")[0], options)
    chosen = {key: text for key, text in command.assignments if key in groups()}
    config = _known(merge(_saved(command, options), compose(chosen)), options)
    for key, text in _words(command, options) + command.assignments:
        if key not in chosen:
            assign(config, SHORT_KEYS.get(key, key), text, options)
    return config


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `over`; a section of another `type` replaces the old one whole."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if (
            isinstance(old, Mapping)
            and isinstance(value, Mapping)
            and value.get("type", old.get("type")) == old.get("type")
        ):
            value = merge(old, value)
        merged[key] = value
    return merged


def field_names(options: type) -> list[str]:
    """Return the top-level keys that a verb's options have."""
    return [item.name for item in dataclasses.fields(options)]  # type: ignore[arg-type]


def takes_recipes(options: type) -> bool:
    """Whether `experiment=` makes sense for a verb: recipes are about systems."""
    return "system" in field_names(options)


def _check_key(verb: str, key: str, options: type) -> None:
    """ConfigError for a key that the verb has not; it tells which verbs have it."""
    known = field_names(options) + ([RECIPES] if takes_recipes(options) else [])
    if key in known:
        return
    owners = [other for other, keys in _keys_by_verb().items() if key in keys and other != verb]
    if owners:
        raise ConfigError(key, f"is an option of {', '.join(owners)}, not of {verb}. {registry.suggestion(key, known)}")
    if key == "sweep":
        raise ConfigError(key, "is for sweeps. Give -m too, and several values for some key, as seed=1,2,3.")
    raise ConfigError(key, f"unknown key. {registry.suggestion(key, known)}")


def _keys_by_verb() -> dict[str, list[str]]:
    """Every verb's top-level keys."""
    classes = {verb: registry.config_class("task", verb) for verb in registry.names("task")}
    return {verb: field_names(cls) + [RECIPES] * takes_recipes(cls) for verb, cls in classes.items()}


def _known(config: Mapping[str, Any], options: type) -> dict[str, Any]:
    """Leave out sections that only other verbs have: a recipe for `train` serves `test`, which logs nowhere."""
    elsewhere = {key for keys in _keys_by_verb().values() for key in keys} - set(field_names(options))
    return {key: value for key, value in config.items() if key not in elsewhere}


def _saved(command: Command, options: type) -> dict[str, Any]:
    """The options saved with the run that `run=` names, for verbs that continue or repeat one."""
    file = _saved_file(command, options)
    saved = read_yaml(file) if file else {}
    return {key: escape(value) for key, value in saved.items() if key not in ("run", "output")}


def _saved_file(command: Command, options: type) -> Path | None:
    """The file with the options of the run that `run=` names; None when there is none, or the verb takes none."""
    run = dict(command.assignments).get("run")
    if not run or run == "null" or not {"system", "method"} & set(field_names(options)):
        return None
    return find_run(run) / "config.yaml"


def _sources(path: str, command: Command, options: type) -> list[Path]:
    """The files that the option at `path` may come from; none where the command itself gives it."""
    chosen = {key: text for key, text in command.assignments if key in groups()}
    if path in chosen or any(_overlap(path, key) for key, _ in command.assignments if key not in chosen):
        return []
    saved = _saved_file(command, options)
    read = [group for group in chosen if group in (RECIPES, path.partition(".")[0])]
    return [*filter(None, [saved]), *(choice_files(group)[complete(group, chosen[group])] for group in read)]


def _overlap(path: str, key: str) -> bool:
    """Whether one of two dotted keys is, or lies inside, the other."""
    return path == key or path.startswith(f"{key}.") or key.startswith(f"{path}.")


def _words(command: Command, options: type) -> list[tuple[str, str]]:
    """Bare words, for the options that take them, as in `list methods`."""
    takers = [item.name for item in dataclasses.fields(options) if item.metadata.get("positional")]  # type: ignore[arg-type]
    if len(command.words) > len(takers):
        word = command.words[len(takers)]
        hint = registry.suggestion(word, field_names(options))
        raise ConfigError("", f"'{word}' is not understood: options are written key=value. {hint}")
    return list(zip(takers, command.words, strict=False))
