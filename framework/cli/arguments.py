"""Words of the command line -> verb, flags, assignments and bare words, in whatever order they come."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from framework import registry
from framework.config.errors import ConfigError

FLAGS = {
    "--help": "help",
    "-h": "help",
    "--cfg": "show_config",
    "-m": "sweep",
    "--sweep": "sweep",
    "--version": "version",
    "--traceback": "traceback",
}
KEY = re.compile(r"[A-Za-z_][\w./-]*")


@dataclass
class Command:
    """One command, taken apart but not yet checked against the verb's options."""

    verb: str | None = None
    """The first bare word."""
    words: list[str] = field(default_factory=list)
    """The other bare words."""
    assignments: list[tuple[str, str]] = field(default_factory=list)
    """`key=value` words: dotted key and text, in order."""
    help: bool = False
    """Show help and stop."""
    show_config: bool = False
    """Show the resolved options and stop."""
    sweep: bool = False
    """Run one job for each combination of listed values."""
    version: bool = False
    """Show the version and stop."""
    traceback: bool = False
    """Show where an error comes from."""


def parse(argv: Sequence[str]) -> Command:
    """Take a command line apart; ConfigError for unknown flags and verbs, with the nearest one."""
    command = Command()
    for word in argv:
        if word.startswith("-"):
            _set_flag(command, word)
        elif "=" in word:
            command.assignments.append(_assignment(word))
        elif command.verb is None:
            command.verb = _verb(word)
        else:
            command.words.append(word)
    if command.verb is None and command.assignments and not command.help:
        verbs = ", ".join(registry.names("task"))
        raise ConfigError("", f"a verb is missing before {command.assignments[0][0]}=... One of {verbs}.")
    return command


def _set_flag(command: Command, word: str) -> None:
    name, _, value = word.partition("=")
    if word in FLAGS:
        setattr(command, FLAGS[word], True)
        return
    if value:
        raise ConfigError(word, f"options are written without dashes: {name.lstrip('-')}={value}.")
    known = [flag for flag in FLAGS if flag.startswith("--")]
    near = registry.nearest(word, known)
    hint = f"Nearest: {near}." if near else f"Known: {', '.join(known)}."
    raise ConfigError(word, f"unknown flag. {hint} Options are written key=value.")


def _assignment(word: str) -> tuple[str, str]:
    """`+a.b=c` and `++a.b=c` mean the same as `a.b=c`: no key needs a sign to be set."""
    key, _, text = word.partition("=")
    key = key.lstrip("+")
    if not KEY.fullmatch(key):
        raise ConfigError("", f"'{word}' is not understood. Options are written key=value, as seed=1.")
    return key, text


def _verb(word: str) -> str:
    verbs = registry.names("task")
    if word not in verbs:
        raise ConfigError("", f"unknown verb '{word}'. {registry.suggestion(word, verbs)}")
    return word
