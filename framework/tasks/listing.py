"""The verb `list`: what can be named, one line each."""

from collections.abc import Callable
from fnmatch import fnmatch

from rich.console import Console

from framework import registry
from framework.config.compose import choices, first_comment
from framework.renderers.backends import BACKENDS, Backend, measured
from framework.tasks.config import ListOptions


def run(options: ListOptions, console: Console | None = None) -> int:
    """Print the names that match `options.pattern`, with a line on each; exit code 1 when none does."""
    console = console or Console()
    rows = TABLES[options.what]()
    matching = {name: text for name, text in rows.items() if fnmatch(name, options.pattern)}
    if not matching:
        hint = registry.suggestion(options.pattern, rows)
        console.print(f"No {options.what} like '{options.pattern}'. {hint}", markup=False, highlight=False)
        return 1
    width = max(map(len, matching))
    for name, text in matching.items():
        console.print(f"{name:<{width}}  {text}".rstrip(), markup=False, highlight=False, soft_wrap=True)
    return 0


def _methods() -> dict[str, str]:
    """Every preset that `method=` takes, then the methods that have none."""
    specs = registry.methods()
    presets = {name: name.partition("/")[0] for name in choices("method")}
    bare = {name: name for name in specs if name not in presets.values()}
    return {name: _method_line(specs.get(method)) for name, method in sorted((presets | bare).items())}


def _method_line(spec: registry.MethodSpec | None) -> str:
    if spec is None:
        return "(its code is not available)"
    return f"{spec.summary}; licence: {spec.licence}" if spec.licence else spec.summary


def _registered(kind: str) -> Callable[[], dict[str, str]]:
    def rows() -> dict[str, str]:
        entries = {name: registry.entry(kind, name) for name in registry.names(kind)}
        return {
            name: entry.summary + (f" (extra '{entry.extra}')" if entry.extra else "")
            for name, entry in entries.items()
        }

    return rows


def _renderers() -> dict[str, str]:
    """What each draws on, its licence, whose gradients, how fast, and whether it is here."""
    speed = measured()
    return {
        name: f"{entry.summary}; {_facts(BACKENDS[name], speed.get(name))}" if name in BACKENDS else entry.summary
        for name, entry in ((name, registry.entry("renderer", name)) for name in registry.names("renderer"))
    }


def _facts(backend: Backend, speed: float | None) -> str:
    parts = [
        "/".join(backend.devices),
        f"licence: {backend.licence}",
        f"gradients: {backend.gradients}",
        f"{speed:.3g} x torch on a CPU" if speed is not None else "speed not measured",
    ]
    return ", ".join(parts if backend.installed else [*parts, "not installed"])


def _experiments() -> dict[str, str]:
    return {name: first_comment("experiment", name) for name in choices("experiment")}


def _weights() -> dict[str, str]:
    """The checkpoints that the methods' authors publish, by method and path."""
    return {
        f"{name}/{file.path}": f"{file.summary}; {file.url}{_checks(file)}; licence: {file.licence}"
        for name, spec in registry.methods().items()
        for file in spec.published
    }


def _checks(file: registry.PublishedFile) -> str:
    return f"; {file.size} bytes, MD5 {file.md5}" if file.md5 else ""


TABLES: dict[str, Callable[[], dict[str, str]]] = {
    "methods": _methods,
    "systems": _registered("system"),
    "stages": _registered("stage"),
    "data": _registered("data"),
    "encoders": _registered("encoder"),
    "renderers": _renderers,
    "experiments": _experiments,
    "weights": _weights,
}
"""What can be listed -> function that returns name -> line."""
