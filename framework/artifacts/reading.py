"""Reading what comes from outside: from regular files of a sensible size only, with errors in plain words.

A pipe would block and a device never end; JSON in many layers would end the process. All of that becomes a ValueError
whose text says what is wrong with the content; where it stands is said by the caller.
"""

import json
import stat
from pathlib import Path
from typing import Any

LARGEST = 64 * 2**20
"""Bytes of a text file beyond which it is not read."""
MOST_VALUES = 4_000_000
"""Values of a JSON text beyond which it is not parsed: each takes up to a hundred times the memory of its letters."""


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


def read_json(path: Path) -> Any:
    """Return the content of a JSON file; ValueError for what is none, as `read_text` else."""
    return parse_json(read_text(path))


def parse_json(text: str) -> Any:
    """Return what a JSON text stands for; ValueError for what is none, or holds too much."""
    count = sum(map(text.count, ",[{"))  # a little more than there are
    if count > MOST_VALUES:
        raise ValueError(f"it holds some {count} values, more than {MOST_VALUES}")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the content of a file that holds a JSON object; ValueError for anything else, as `read_json` else."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, expected an object")
    return content
