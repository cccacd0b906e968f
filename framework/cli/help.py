"""Help texts, made from the registry, the dataclasses of options and the configuration files."""

from framework import __version__, registry
from framework.cli.arguments import Command
from framework.cli.options import RECIPES, field_names, takes_recipes
from framework.cli.sweep import VERBS
from framework.config.compose import choices, complete, compose, groups
from framework.config.describe import Option, options_of, summary

PROGRAM = "launch.py"
FLAGS = """flags, in any place:
  --help       this text; after a verb, its options; with system=... or data=..., theirs too
  --cfg        print the resolved options and stop
  -m           a job for each combination of listed values: seed=1,2,3 'data.seed=range(0,4)'
  --traceback  show where an error comes from
  --version    print the version
"""


def help_text(command: Command) -> str:
    """Return the help of the whole program, or of the command's verb."""
    return _verb_help(command) if command.verb else _program_help()


def _program_help() -> str:
    verbs = {name: registry.entry("task", name).summary for name in registry.names("task")}
    lines = [f"  {name:<10}{text}" for name, text in verbs.items()]
    method = next(iter(choices("method")), "<name>")
    recipe = next(iter(choices(RECIPES)), "<name>")
    return "\n".join(
        [
            f"atelier3d {__version__}: methods that make 3D from images, in one framework",
            "",
            f"usage: {PROGRAM} <verb> key=value ...",
            "",
            "verbs:",
            *lines,
            "",
            FLAGS,
            "examples:",
            f"  {PROGRAM} predict method={method} input=photos/ output=out/",
            f"  {PROGRAM} train experiment={recipe} trainer=cpu trainer.max_time=00:45:00",
            f"  {PROGRAM} train -m experiment={recipe} seed=1,2,3",
            f"  {PROGRAM} list methods",
            f"  {PROGRAM} predict --help",
            "",
        ]
    )


def _verb_help(command: Command) -> str:
    verb = str(command.verb)
    options = registry.config_class("task", verb)
    sections = [f"{PROGRAM} {verb}: {summary(options)}", _rows(list(options_of(options)))]
    chosen = {key: text for key, text in command.assignments if key in groups() and key != RECIPES}
    for key, text in chosen.items():
        section = compose({key: complete(key, text)}).get(key, {})
        if "type" in section and key in field_names(options):
            config = registry.config_class(key, section["type"])
            sections.append(f"{key}={text}: {summary(config)}\n\n{_rows(list(options_of(config, key)))}")
    if verb in VERBS:
        config = registry.config_class("sweep", "local")
        sections.append(f"with -m: {summary(config)}\n\n{_rows(list(options_of(config, 'sweep')))}")
    sections.append(_choices(options))
    return "\n\n".join(filter(None, sections)) + "\n"


def _choices(options: type) -> str:
    """The files that can be chosen in each of the verb's groups."""
    names = [group for group in groups() if group in field_names(options)] + [RECIPES] * takes_recipes(options)
    lines = [f"  {name + '=':<14}{' | '.join(choices(name))}" for name in names if choices(name)]
    return "\n".join(["choices:", *lines]) if lines else ""


def _rows(options: list[Option]) -> str:
    """One block per option: its path, type and default, and its text below."""
    if not options:
        return "It has no options."
    return "\n".join(f"  {item.path}  ({item.kind}; default {item.default})\n      {item.text}" for item in options)
