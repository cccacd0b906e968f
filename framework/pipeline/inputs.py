"""From what the user gives (`input=`) to a list of cases with their pictures. Reads no pixels."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from framework.artifacts.image import Image
from framework.config.errors import ConfigError
from framework.data.pictures import PICTURE_SUFFIXES, read_picture
from framework.pipeline.case import RECORD_FILE, Case

VIEWS = ("front", "right", "back", "left")
"""Views that a user may give; the front comes first and is the picture of the case."""

LONGEST_SIDE = 2048
"""Larger pictures are reduced to this many pixels when they are read; no network here looks at more."""

_TAKEN = {"config.yaml", "manifest.json", "checkpoints", "images", "weights", "export"}


@dataclass(frozen=True)
class CaseInput:
    """One case before it begins."""

    name: str
    """Name of the case and of its folder."""

    pictures: Mapping[str, Path]
    """View -> picture file; has `front`, or nothing where the method begins with random numbers."""


def view_artifact(base: str, view: str) -> str:
    """Return the artifact name of a view: `input` for the front, `input_left` and so on for the others."""
    return base if view == VIEWS[0] else f"{base}_{view}"


def list_inputs(path: str | None, views: Mapping[str, str | None]) -> list[CaseInput]:
    """Return the cases of a picture or folder `path`, or the one case of single `views` (view name -> file).

    Further views may go with a single picture. Raises ConfigError that names the option.
    """
    given = {view: _file(f"input.{view}", name) for view, name in views.items() if name}
    if path is None:
        if VIEWS[0] not in given:
            raise ConfigError("input.front", "missing. Give the front view: input=<image>, or input.front=<image>.")
        return [CaseInput(_free_name(given[VIEWS[0]].stem), given)]
    if VIEWS[0] in given:
        raise ConfigError("input.front", "is given together with input=<path>. Give one of them.")
    cases = _folder_cases(Path(path).expanduser()) if _is_folder(path) else [_file_case(path)]
    if given and len(cases) > 1:
        raise ConfigError(f"input.{next(iter(given))}", f"goes with one picture, but {path} holds {len(cases)}.")
    return [CaseInput(case.name, {**case.pictures, **given}) for case in cases]


def seeded_cases(seeds: Iterable[int]) -> list[CaseInput]:
    """Return a case without pictures for each seed, for methods that begin with random numbers."""
    return [CaseInput(f"seed{seed:04d}", {}) for seed in seeds]


def read_inputs(case: Case, pictures: Mapping[str, Path]) -> None:
    """Read the pictures of a case and write them as `input.png`, `input_left.png`, ...; PictureError for a bad one."""
    case.remove(f"{view_artifact('input', view)}.png" for view in VIEWS)
    for view, path in pictures.items():
        case.write(view_artifact("input", view), Image(read_picture(path, LONGEST_SIDE)))


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Sort key under which `view2` stands before `view10`."""
    parts = re.split(r"(\d+)", text.casefold())
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]


def _is_folder(path: str) -> bool:
    return Path(path).expanduser().is_dir()


def _file(option: str, name: str) -> Path:
    path = Path(name).expanduser()
    if not path.exists():
        raise ConfigError(option, f"{path} does not exist. Current folder: {Path.cwd()}.")
    if path.is_dir():
        raise ConfigError(option, f"{path} is a folder, expected a picture.")
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        known = " ".join(PICTURE_SUFFIXES)
        raise ConfigError(option, f"{path} is not a picture by its name. Known: {known}")
    return path


def _file_case(name: str) -> CaseInput:
    path = _file("input.path", name)
    return CaseInput(_free_name(path.stem), {VIEWS[0]: path})


def _folder_cases(folder: Path) -> list[CaseInput]:
    paths = sorted(_pictures_below(folder), key=lambda path: natural_key(path.relative_to(folder).as_posix()))
    if not paths:
        raise ConfigError("input.path", f"no picture in the folder {folder} ({' '.join(PICTURE_SUFFIXES)}).")
    names = _case_names([path.relative_to(folder) for path in paths])
    return [CaseInput(name, {VIEWS[0]: path}) for name, path in zip(names, paths, strict=True)]


def _pictures_below(folder: Path) -> Iterator[Path]:
    """Pictures of a folder and its subfolders, without hidden ones and without the results of earlier runs."""
    for parent, folders, files in os.walk(folder):
        if RECORD_FILE in files:
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in PICTURE_SUFFIXES:
                yield Path(parent) / name


def _case_names(paths: list[Path]) -> list[str]:
    """A name for each relative path, all different: `a/b.png` is `a__b`; clashes get their suffix, then a number."""
    plain = [_free_name(path.with_suffix("").as_posix().replace("/", "__")) for path in paths]
    counts = Counter(name.casefold() for name in plain)
    longer = [
        f"{name}_{path.suffix[1:].lower()}" if counts[name.casefold()] > 1 else name
        for name, path in zip(plain, paths, strict=True)
    ]
    names: list[str] = []
    taken: set[str] = set()
    for name in longer:
        number, free = 2, name
        while free.casefold() in taken:  # disks that ignore case would put both into one folder
            free, number = f"{name}_{number}", number + 1
        taken.add(free.casefold())
        names.append(free)
    return names


def _free_name(name: str) -> str:
    """A name that can be a folder beside the files of the run."""
    name = name.strip().lstrip(".")
    return f"{name}_case" if not name or name.casefold() in _TAKEN else name
