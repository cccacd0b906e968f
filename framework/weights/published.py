"""Telling a published checkpoint by its name or its bytes, and where it can be fetched."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from framework import registry
from framework.registry import PublishedFile


@dataclass(frozen=True)
class Recognised:
    """What is known about a file from its name, size and MD5."""

    file: PublishedFile | None = None
    """The published file that it is, or has the name of; None for any other file."""
    problem: str = ""
    """Why it has only the name of that file, for the user; empty when the bytes are the published ones."""


def published_files() -> tuple[PublishedFile, ...]:
    """Return what the authors of all methods publish."""
    return tuple(file for spec in registry.methods().values() for file in spec.published)


def recognise(path: Path) -> Recognised:
    """Return which published file lies at `path`: told by size and MD5 whatever its name, else by its name alone."""
    known = [file for file in published_files() if file.md5]
    size = path.stat().st_size
    of_this_size = [file for file in known if file.size == size]
    md5 = _md5(path) if of_this_size else ""
    same = next((file for file in of_this_size if file.md5 == md5), None)
    named = next((file for file in known if file.name == path.name), None)
    if same is not None or named is None:
        return Recognised(same)
    return Recognised(named, _difference(path, named, f"MD5 {md5}" if size == named.size else f"{size:,} bytes"))


def where_published(name: str) -> str:
    """Return the sentences that say where the published file called `name` can be fetched; empty for another name."""
    file = next((file for file in published_files() if file.name == name), None)
    if file is None:
        return ""
    checks = f" ({file.size:,} bytes, MD5 {file.md5})" if file.md5 else ""
    return f"Its authors publish it: {file.url}{checks}. Licence: {file.licence}"


def _difference(path: Path, file: PublishedFile, found: str) -> str:
    """The sentences about a file that only has the name of a published one."""
    return (
        f"{path} has {found}, but the published file of this name has {file.size:,} bytes and MD5 {file.md5}. "
        f"If it should be that one, fetch it again: {file.url}"
    )


def _md5(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
