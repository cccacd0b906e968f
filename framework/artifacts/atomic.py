"""Files and folders that appear whole or not at all.

Everything is written under a hidden temporary name in the same folder and renamed at the end, so that a killed run, a
full disk or an exception never leaves half a file that looks whole. `one_at_a_time` keeps two processes from making the
same files at once.
"""

import fcntl
import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

TEMPORARY_PREFIX = ".part-"


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` (same suffix) and rename it to `path` when the block succeeds.

    The folder is made if it is missing. On any exception the temporary file is removed and `path` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path)
    try:
        yield temporary
        _open_to_others(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a new temporary folder beside `path` that takes the place of `path` when the block succeeds.

    An older folder at `path` is replaced as a whole: nothing of it is left inside the new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path)
    temporary.mkdir()
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file() and not file.is_symlink():
                _open_to_others(file)
        _replace_folder(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(*folders: Path) -> None:
    """Remove what killed processes had not finished directly in `folders`; none may be writing there now."""
    for folder in folders:
        for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Run the block while no other process of this machine does with the same `path`, a file made for this."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:  # some network disks know no locks
            logger.warning("%s can't be locked (%s): start one process at a time", path, error)
        yield


def write_text(path: Path, text: str) -> Path:
    """Write `text` as UTF-8 to `path`, whole or not at all, and return `path`."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def write_json(path: Path, value: Any) -> Path:
    """Write plain data as indented JSON to `path`, whole or not at all, and return `path`."""
    return write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _open_to_others(file: Path) -> None:
    """Give a file the usual permissions: some writers make it readable for its owner alone."""
    file.chmod(0o666 & ~_umask())


def _umask() -> int:
    """The process's mask of file permissions, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _temporary_name(path: Path) -> Path:
    return path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex[:8]}-{path.name}")


def _replace_folder(new: Path, path: Path) -> None:
    """A folder can't be renamed onto a filled one: the old one steps aside first and comes back if that fails."""
    if not path.exists():
        os.replace(new, path)
        return
    aside = _temporary_name(path)
    os.replace(path, aside)
    try:
        os.replace(new, path)
    except OSError:
        os.replace(aside, path)
        raise
    if aside.is_dir():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink()
