"""Packages that an extra brings: the only place that imports them, so that every absence is reported the same way.

A package counts as present only if it is the real one: a plain folder of the same name in the working directory
(Python takes it for a namespace package) and a placeholder from the package index without the needed attribute do not.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

DISTRIBUTION = "atelier3d"


class MissingExtra(ImportError):
    """An optional package is absent, is another package of the same name, or does not import."""


def require(
    package: str, extra: str, attribute: str | None = None, needed_by: str = "this step", cure: str | None = None
) -> ModuleType:
    """Import and return `package` (its import name, such as "fast_simplification").

    `extra` is our extra that installs it, `attribute` a name that only the real package has, `needed_by` the subject
    of the error's sentence; `cure` replaces the command of the extra for packages that the user builds. Raises
    MissingExtra with the command that installs it.
    """
    cure = cure or f"pip install '{DISTRIBUTION}[{extra}]'"
    if not _is_installed(package):
        raise MissingExtra(f"{needed_by} needs the package '{package}': {cure}", name=package)
    try:
        module = importlib.import_module(package)
    except (ImportError, OSError, RuntimeError, SystemExit) as error:  # rembg ends the process without onnxruntime
        message = (
            f"{needed_by} needs the package '{package}', which is installed but fails to import: {error}. Try {cure}"
        )
        raise MissingExtra(message, name=package) from error
    if attribute is not None and not hasattr(module, attribute):
        message = (
            f"{needed_by} needs the package '{package}'; the installed one has no '{attribute}', so it is too old or "
            f"another package of the same name. Try {cure}"
        )
        raise MissingExtra(message, name=package)
    return module


def require_warp(needed_by: str) -> ModuleType:
    """Import, start and return NVIDIA Warp without its banner and its reports of compilation; MissingExtra without it.

    What it has to say about errors it still says.
    """
    wp = require("warp", extra="warp", attribute="kernel", needed_by=needed_by)
    if wp.config.log_level == wp.LOG_INFO:  # nobody has chosen another
        wp.config.log_level = wp.LOG_WARNING
    sys.stderr.flush()
    kept = os.dup(2)
    # Without a GPU its library writes to the process's error stream that there is none, which is no news.
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            wp.init()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
    return wp


def has(package: str, attribute: str | None = None) -> bool:
    """Whether `package` can be used. Without `attribute` nothing is imported; with it the package is."""
    if attribute is None:
        return _is_installed(package)
    try:
        require(package, extra="all", attribute=attribute)
    except MissingExtra:
        return False
    return True


def _is_installed(package: str) -> bool:
    """Found by the import system and not a namespace package (those have no origin)."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):  # a missing parent package; a half-imported module without a spec
        return False
    return spec is not None and spec.origin is not None
