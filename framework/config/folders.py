"""Where configuration files come from: ours, then those of installed packages that bring methods.

Such a package has an entry point in the group `atelier3d.configs` that names the folder of its files as a package:
`<method> = "<package>.configs"`. The folder is found without importing anything. Of files with the same place and name
the first counts, and ours come first.
"""

import functools
import importlib.util
import warnings
from dataclasses import dataclass
from pathlib import Path

from framework import registry
from framework.config.places import shipped

ENTRY_POINT_GROUP = "atelier3d.configs"


@dataclass(frozen=True)
class ConfigPackage:
    """The configuration files of another installed package."""

    name: str
    """Name of the entry point: that of the method."""

    package: str
    """The installed package and its version."""

    path: str
    """Folder that the entry point names, as `package.configs`."""

    folder: Path | None
    """Where the files are; None when there is no such folder."""


def config_packages() -> list[ConfigPackage]:
    """Return what installed packages announce, found or not."""
    points = registry.announced(ENTRY_POINT_GROUP)
    return [
        ConfigPackage(point.name, registry.package_of(point), point.value, _folder_of(point.value)) for point in points
    ]


@functools.cache
def config_folders() -> tuple[Path, ...]:
    """Return all folders of configuration files, ours first; what is not there or not taken warns once."""
    folders = [shipped("configs")]
    taken = {file: folders[0] for file in _files(folders[0])}
    for package in config_packages():
        if package.folder is None:
            _warn(f"the configuration files of {package.package} are off: there is no folder '{package.path}'")
            continue
        for file in _files(package.folder):
            if file in taken:
                _warn(f"'{file}' of {package.package} is off: the name is taken by {taken[file] / file}")
            taken.setdefault(file, package.folder)
        folders.append(package.folder)
    return tuple(folders)


def choice_files(group: str) -> dict[str, Path]:
    """Return the files that can be chosen in a group, by name, nested ones as `<name>/<preset>`; sorted."""
    found: dict[str, Path] = {}
    for folder in config_folders():
        for file in filter(Path.is_file, (folder / group).rglob("*.yaml")):
            found.setdefault(file.relative_to(folder / group).with_suffix("").as_posix(), file)
    return dict(sorted(found.items()))


def carried(text: str) -> list[Path]:
    """Return where a path `<package>/...` may lie in installed packages that bring configuration files."""
    found = [(package.path.partition(".")[0], package) for package in config_packages()]
    return [
        package.folder.parents[package.path.count(".")] / text
        for name, package in found
        if package.folder is not None and text.partition("/")[0] == name
    ]


def _folder_of(path: str) -> Path | None:
    """The folder of a package, none of which is imported: only the import system is asked where its root lies."""
    root, *inner = path.split(".")
    try:
        spec = importlib.util.find_spec(root)
    except (ImportError, ValueError, AttributeError):  # what a broken finder or a half-imported module answers
        return None
    places = (spec.submodule_search_locations if spec else None) or []
    folders = [Path(place).joinpath(*inner) for place in places]
    return next((folder for folder in folders if folder.is_dir()), None)


def _files(folder: Path) -> list[str]:
    """The files of all groups, relative to `folder`; what lies beside the groups is nobody's choice."""
    return sorted(file.relative_to(folder).as_posix() for file in folder.glob("*/**/*.yaml") if file.is_file())


def _warn(text: str) -> None:
    warnings.warn(text, registry.PluginWarning, stacklevel=3)
