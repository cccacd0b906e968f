"""The option reference `docs/options.md`, made from the dataclasses: `python -m framework.config.reference [--check]`.

Verbs, data sets, systems, stages and renderers come from the registry, so a new one of ours appears by itself; what
other installed packages bring is left out, so that the page is the same on every machine.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from framework import registry
from framework.config.compose import groups
from framework.config.describe import Option, options_of, summary
from framework.config.folders import choice_files, config_folders
from framework.config.places import PACKAGE

PAGE = PACKAGE.parent / "docs" / "options.md"
KINDS = {
    "task": ("Verbs", "{name}", ""),
    "sweep": ("Sweeps", "-m", "sweep"),
    "data": ("Data sets", "data={name}", "data"),
    "system": ("Systems", "system={name}", "system"),
    "stage": ("Stages", "{name}", "method.stages.{short}"),
    "encoder": ("View encoders", "system.view_encoder.type={name}", "system.view_encoder"),
    "renderer": ("Renderers", "renderer={name}", "renderer"),
}
"""Kind in the registry -> title of its chapter, heading of an entry, and where its options stand in a command."""

INTRODUCTION = """# Options

Every option of every verb, written `key=value` on the command line. This page is generated from the dataclasses of
options (`make options`); a test fails when it is out of date. `launch.py <verb> --help` shows the same.

Values: numbers, `true`, `false`, `null`, `[lists]`, and text as it stands (paths may hold spaces, commas and `=`; quote
them for your shell only).
"""


def reference() -> str:
    """Return the whole page."""
    parts = [INTRODUCTION, _choices_chapter()]
    for kind, (title, _, _) in KINDS.items():
        parts.append(f"## {title}\n")
        parts += [_section(kind, name) for name in registry.names(kind) if _is_ours(kind, name)]
    return "\n".join(parts)


def main(words: list[str], page: Path = PAGE) -> int:
    """Write the page, or with `--check` only say whether it is up to date; returns the exit code."""
    text = reference()
    current = page.read_text(encoding="utf-8") if page.is_file() else ""
    if "--check" not in words:
        page.parent.mkdir(exist_ok=True)
        page.write_text(text, encoding="utf-8")
    elif current != text:
        sys.stderr.write(f"{page} is out of date. Write it again: make options\n")
        return 1
    return 0


def _is_ours(kind: str, name: str) -> bool:
    return registry.entry(kind, name).target.partition(".")[0] in ("framework", "methods")


def _choices_chapter() -> str:
    folder = config_folders()[0]
    ours = {
        group: [name for name, file in choice_files(group).items() if file.is_relative_to(folder)] for group in groups()
    }
    rows = [f"| `{group}=` | {', '.join(f'`{name}`' for name in names)} |" for group, names in ours.items()]
    return "\n".join(["## Choices\n", "| group | files in `configs/` |", "| --- | --- |", *rows, ""])


def _section(kind: str, name: str) -> str:
    """One entry: heading, what it is, and the table of its options."""
    entry = registry.entry(kind, name)
    config = registry.config_class(kind, name)
    _, heading, prefix = KINDS[kind]
    extra = f" Needs the extra `{entry.extra}`." if entry.extra else ""
    lines = [f"### `{heading.format(name=name)}`\n", f"{summary(config)}{extra}\n"]
    options = list(options_of(config, prefix.format(short=name.rpartition("/")[2])))
    return "\n".join([*lines, *(_table(options) if options else ["No options.", ""])])


def _table(options: list[Option]) -> Iterator[str]:
    yield "| option | type | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for item in options:
        cells = (f"`{item.path}`", item.kind, f"`{item.default}`", item.text)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
