"""Reading what comes from outside: from regular files of a sensible size only, with errors in plain words.

A pipe would block and a device never end; JSON in many layers would end the process. All of that becomes a ValueError
whose text says what is wrong with the content; where it stands is said by the caller.
"""

import json
import stat
from pathlib import Path
from typing import Any

LARGEST = 64 * 2**20
"""Bytes of a text file beyond which it is not read; parsed, it takes up to twenty times as much memory."""


def checked_size(path: Path, largest: int | None = None) -> int:
    """Return the bytes of a regular file; ValueError for anything else, or more than `largest`, OSError for nothing."""
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise ValueError("it is not a regular file")
    if largest is not None and facts.st_size > largest:
        raise ValueError(f"it has {facts.st_size} bytes, more than {largest}")
    return facts.st_size


def read_text(path: Path, largest: int = LARGEST) -> str:
    """Return a file's content as UTF-8; ValueError unless it is text of at most `largest` bytes in a regular file.

    OSError when it is missing or can't be read.
    """
    checked_size(path, largest)
    return path.read_text(encoding="utf-8")


def read_json(path: Path, largest: int = LARGEST) -> Any:
    """Return the content of a JSON file; ValueError for what is none, as `read_text` else."""
    try:
        return json.loads(read_text(path, largest))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
