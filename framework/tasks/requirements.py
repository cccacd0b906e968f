"""What this package declares to need, the core and each extra, and what of it is installed."""

import importlib.metadata
import re
import tomllib

from packaging.requirements import Requirement

from framework.config.places import PACKAGE
from framework.optional import DISTRIBUTION

CORE = "core"


def requirements_by_extra() -> dict[str, list[Requirement]]:
    """Return the declared requirements of the core and of each extra, from the checkout or the installed package.

    What an extra takes over from others (`atelier3d[...]`) is left out, and so are extras that have nothing else.
    """
    checkout = PACKAGE.parent / "pyproject.toml"
    if checkout.is_file():
        project = tomllib.loads(checkout.read_text(encoding="utf-8"))["project"]
        groups = {CORE: project["dependencies"], **project["optional-dependencies"]}
        parsed = {name: [Requirement(line) for line in lines] for name, lines in groups.items()}
    else:
        parsed = _installed_requirements()
    own = {name: [item for item in items if item.name != DISTRIBUTION] for name, items in parsed.items()}
    return {name: items for name, items in own.items() if items}


def problem_with(requirement: Requirement) -> str:
    """Return what is wrong with an installed package, in a few words; empty when it is as required."""
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{requirement.name} is not installed"
    fits = requirement.specifier.contains(version, prereleases=True)
    return "" if fits else f"{requirement.name} is {version}, expected {requirement.specifier}"


def install_command(extra: str = CORE) -> str:
    """Return the command that installs what an extra, or the core, lacks."""
    if extra != CORE:
        return f"pip install '{DISTRIBUTION}[{extra}]'"
    checkout = PACKAGE.parent
    return f"pip install -e {checkout}" if (checkout / "pyproject.toml").is_file() else f"pip install -U {DISTRIBUTION}"


def _installed_requirements() -> dict[str, list[Requirement]]:
    """The same from the metadata of the installed distribution, where an extra is a marker."""
    groups: dict[str, list[Requirement]] = {CORE: []}
    for line in importlib.metadata.requires(DISTRIBUTION) or []:
        item = Requirement(line)
        extra = re.search(r"""extra == ['"]([\w-]+)['"]""", str(item.marker))
        item.marker = None
        groups.setdefault(extra.group(1) if extra else CORE, []).append(item)
    return groups
