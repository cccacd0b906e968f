"""Whether two results are the same, by a hash of their files."""

import hashlib
from pathlib import Path


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of all files in a folder with their names. OSError when there is none."""
    if not path.is_dir():
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    total = hashlib.sha256()
    for file in sorted(item for item in path.rglob("*") if item.is_file()):
        total.update(f"{file.relative_to(path).as_posix()}\0{digest(file)}\n".encode())
    return total.hexdigest()
