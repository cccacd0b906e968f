"""The verb `doctor`: what this machine has, and what is missing for what."""

import importlib.metadata
import os
import platform
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from framework import __version__
from framework.config.places import PACKAGE
from framework.optional import DISTRIBUTION, has
from framework.sweeps.process import cores
from framework.tasks.config import DoctorOptions

CORE = "core"
ADAPTERS = {
    "nvdiffrast": ("nvdiffrast.torch", "rasterize"),
    "pytorch3d": ("pytorch3d.renderer", "MeshRasterizer"),
    "kaolin": ("kaolin.ops", "mesh"),
}
"""Rasterizers that the user builds from their upstream repositories: module and a name that only the real one has."""


def run(options: DoctorOptions, console: Console | None = None) -> int:
    """Print the report; exit code 1 when a package of the core is missing."""
    console = console or Console()
    missing: list[str] = []
    for title, lines in _sections(missing):
        console.print(title, style="bold", markup=False, highlight=False)
        for line in lines:
            console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    if missing:
        console.print(f"missing: {', '.join(missing)}. Install them: pip install -e .", markup=False, style="red")
    return 1 if missing else 0


def _sections(missing: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Title and lines of each part of the report, computed as they are shown; `missing` collects core packages."""
    yield "machine", _machine()
    yield "torch", _torch()
    for extra, requirements in requirements_by_extra().items():
        lines, absent = _packages(requirements)
        if extra == CORE:
            missing += absent
        cure = f": pip install '{DISTRIBUTION}[{extra}]'" if absent and extra != CORE else ""
        yield f"{extra}{cure}", lines
    yield "rasterizers built by the user", _adapters()


def _machine() -> list[str]:
    disk = shutil.disk_usage(Path.cwd())
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON")
    return [
        f"{DISTRIBUTION} {__version__} in {PACKAGE.parent}",
        f"python {platform.python_version()} on {platform.platform()}",
        f"{cores()} cores, {_memory_gib()} memory",
        f"{disk.free / 2**30:.0f} GiB free here, in {Path.cwd()}",
        "offline: the hub is not asked (HF_HUB_OFFLINE)" if offline else "online: the hub may be asked for weights",
    ]


def _memory_gib() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (ValueError, OSError, AttributeError):  # not every system tells
        return "unknown"


def _torch() -> list[str]:
    """What torch can compute on; the only slow part, since it imports torch."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return [f"does not import: {error}"]
    lines = [f"{torch.__version__}, {torch.get_num_threads()} threads"]
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_available() else []
    lines += [_gpu(index) for index in gpus]
    if torch.backends.mps.is_available():
        lines.append("device=mps: Apple GPU")
    return lines if len(lines) > 1 else [*lines, "no GPU: device=auto means device=cpu"]


def _gpu(index: int) -> str:
    import torch

    properties = torch.cuda.get_device_properties(index)
    return f"device=cuda: {properties.name}, {properties.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"


def _packages(requirements: list[str]) -> tuple[list[str], list[str]]:
    """Lines with version and wanted range, and the names of those that are not installed."""
    lines, absent = [], []
    for requirement in requirements:
        name, wanted = re.fullmatch(r"([\w.-]+)(?:\[[\w,-]+\])?\s*(.*)", requirement).groups()  # type: ignore[union-attr]
        try:
            lines.append(f"{name} {importlib.metadata.version(name)}  ({wanted})")
        except importlib.metadata.PackageNotFoundError:
            lines.append(f"{name} is not installed  ({wanted})")
            absent.append(name)
    return lines, absent


def _adapters() -> list[str]:
    found = {name: has(module, attribute) for name, (module, attribute) in ADAPTERS.items()}
    return [f"{name}: {'found' if there else 'not installed'}" for name, there in found.items()]


def requirements_by_extra() -> dict[str, list[str]]:
    """Return the declared requirements of the core and of each extra, from the checkout or the installed package."""
    checkout = PACKAGE.parent / "pyproject.toml"
    if checkout.is_file():
        project = tomllib.loads(checkout.read_text(encoding="utf-8"))["project"]
        groups = {CORE: project["dependencies"], **project["optional-dependencies"]}
    else:
        groups = _installed_requirements()
    own = {name: [item for item in items if not item.startswith(DISTRIBUTION)] for name, items in groups.items()}
    return {name: items for name, items in own.items() if items}


def _installed_requirements() -> dict[str, list[str]]:
    """The same from the metadata of the installed distribution, where an extra is a marker behind `;`."""
    groups: dict[str, list[str]] = {CORE: []}
    for line in importlib.metadata.requires(DISTRIBUTION) or []:
        requirement, _, marker = line.partition(";")
        extra = re.search(r"""extra == ['"]([\w-]+)['"]""", marker)
        groups.setdefault(extra.group(1) if extra else CORE, []).append(requirement.strip())
    return groups
