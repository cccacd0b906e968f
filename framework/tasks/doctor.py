"""The verb `doctor`: what works on this machine, what is missing, and the one command for each."""

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from framework import __version__, registry
from framework.config.compose import choices, compose
from framework.config.errors import ConfigError
from framework.config.folders import carried, config_packages
from framework.config.places import PACKAGE, shipped
from framework.optional import DISTRIBUTION
from framework.renderers.backends import BACKENDS
from framework.sweeps.process import cores
from framework.tasks.config import DoctorOptions
from framework.tasks.requirements import CORE, install_command, problem_with, requirements_by_extra

State = Literal["works", "missing", "broken", "note"]

PURPOSES = {
    "data": "sets of shapes in one LMDB file",
    "video": "turntables as MP4 (with its own ffmpeg) instead of GIF",
    "mesh": "simplification, texture coordinates, and inside tests of open or overlapping meshes",
    "log": "metrics in tensorboard and wandb",
    "human": "body models from their authors' files",
    "warp": "the faster rasterizer (renderer=warp), and distances to meshes on the GPU with gradients",
    "matting": "cutting objects out of busy backgrounds",
    "test": "the test suite",
    "dev": "style and type checks",
}
"""What an extra brings. The others are for parts that are still to come."""


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    state: State
    """`note` is neither good nor bad."""

    text: str
    """What was found."""

    cure: str = ""
    """The command that puts it right, or the sentence with it."""


def run(options: DoctorOptions, console: Console | None = None) -> int:
    """Print the report; exit code 1 when something is missing or broken that everything needs."""
    console = console or Console()
    whole = True
    for title, find in SECTIONS.items():
        console.print(title, style="bold", markup=False, highlight=False)
        for finding in find():
            _print(console, finding)
            whole = whole and not (title in NEEDED and finding.state in ("missing", "broken"))
    return 0 if whole else 1


def _print(console: Console, finding: Finding) -> None:
    style = {"works": "green", "missing": "yellow", "broken": "bold red", "note": "none"}[finding.state]
    console.print(f"  {finding.state if finding.state != 'note' else '':<8}", style=style, end="")
    console.print(finding.text, markup=False, highlight=False, soft_wrap=True)
    if finding.cure:
        console.print(f"          {finding.cure}", markup=False, highlight=False, soft_wrap=True)


def _machine() -> Iterator[Finding]:
    disk = shutil.disk_usage(Path.cwd())
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON")
    hub = "offline: the hub is not asked (HF_HUB_OFFLINE)" if offline else "online: the hub may be asked for weights"
    yield Finding("note", f"{DISTRIBUTION} {__version__} in {PACKAGE.parent}")
    yield Finding("note", f"python {platform.python_version()} on {platform.platform()}")
    yield Finding("note", f"{cores()} cores, {_memory_gib()} memory, {disk.free / 2**30:.0f} GiB free in {Path.cwd()}")
    yield Finding("note", hub)


def _memory_gib() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (ValueError, OSError, AttributeError):  # not every system tells
        return "unknown"


def _core() -> Iterator[Finding]:
    requirements = requirements_by_extra()[CORE]
    problems = [problem for item in requirements if (problem := problem_with(item))]
    if problems:
        yield Finding("missing", "; ".join(problems), install_command())
    else:
        yield Finding("works", f"all {len(requirements)} packages")


def _devices() -> Iterator[Finding]:
    """What torch can compute on; the only slow part, since it imports torch."""
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Finding("broken", f"torch does not import: {error}", "pip install --force-reinstall torch")
        return
    yield Finding("works", f"device=cpu: torch {torch.__version__}, {torch.get_num_threads()} threads")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for index in range(gpus):
        properties = torch.cuda.get_device_properties(index)
        memory = f"{properties.total_memory / 2**30:.0f} GiB"
        yield Finding("works", f"device=cuda: {properties.name}, {memory}, CUDA {torch.version.cuda}")
    if torch.backends.mps.is_available():
        yield Finding("works", "device=mps: Apple GPU")
    elif not gpus:
        yield Finding("note", "no GPU that torch can use: device=auto means device=cpu")


def _methods() -> Iterator[Finding]:
    """Every preset of `method=`, and whether its weights lie on this machine; nothing is fetched."""
    known = registry.methods()
    for name in choices("method"):
        try:
            section = compose({"method": name})["method"]
        except ConfigError as error:
            yield Finding("broken", f"{name}: {error}")
            continue
        absent = [str(place) for place in section.get("weights", {}).values() if not _is_here(str(place))]
        if section.get("name") not in known:
            yield Finding("broken", f"{name}: its code is not available (see plug-ins)")
        elif absent:
            yield Finding("missing", f"{name}: weights {', '.join(absent)}", section.get("obtain", ""))
        else:
            yield Finding("works", f"{name}: its weights are here")


def _is_here(place: str) -> bool:
    """Whether weights lie where a path is looked up (`framework.weights.resolve`)."""
    return any(folder.exists() for folder in (Path(place).expanduser(), shipped(place), *carried(place)))


def _plugins() -> Iterator[Finding]:
    """Methods and configuration files of other packages."""
    plugins, packages = registry.plugins(), config_packages()
    for plugin in plugins:
        text, package = f"method {plugin.name} of {plugin.package}", plugin.package.partition(" ")[0]
        if not plugin.problem:
            yield Finding("works", text)
        elif plugin.name in registry.methods():  # another one has this name
            yield Finding("broken", f"{text}: {plugin.problem}", f"pip uninstall {package}")
        else:
            yield Finding("broken", f"{text}: {plugin.problem}", f"pip install --upgrade {package}")
    for found in packages:
        if found.folder is not None:
            yield Finding("works", f"configuration files of {found.package} in {found.folder}")
        else:
            cure = f"pip install --upgrade {found.package.partition(' ')[0]}"
            yield Finding("broken", f"configuration files of {found.package}: there is no '{found.path}'", cure)
    if not plugins and not packages:
        yield Finding("note", "none")


def _extras() -> Iterator[Finding]:
    for extra, requirements in requirements_by_extra().items():
        if extra == CORE:
            continue
        text = f"{extra}: {PURPOSES.get(extra, 'for parts to come')}"
        problems = [problem for item in requirements if (problem := problem_with(item))]
        if problems:
            yield Finding("missing", f"{text} ({'; '.join(problems)})", install_command(extra))
        else:
            versions = [f"{item.name} {importlib.metadata.version(item.name)}" for item in requirements]
            yield Finding("works", f"{text} ({', '.join(versions)})")


def _adapters() -> Iterator[Finding]:
    for name, backend in BACKENDS.items():
        if backend.source:
            found = Finding("works", name) if backend.installed else Finding("missing", name, backend.cure)
            yield found


SECTIONS: dict[str, Callable[[], Iterator[Finding]]] = {
    "machine": _machine,
    "core": _core,
    "devices": _devices,
    "methods": _methods,
    "plug-ins": _plugins,
    "extras": _extras,
    "rasterizers that you build yourself (the plain one always works)": _adapters,
}
"""Title of a part of the report -> what finds its lines, called when they are due."""

NEEDED = ("core", "devices")
"""Parts without which nothing works."""
