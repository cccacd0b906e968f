"""The files that a mesh file may refer to: those in its own folder, and nothing else.

Materials and pictures are often given with the paths of another machine, so the bare name is tried as well. What leads
out of the folder, is no regular file, or is very large counts as missing.
"""

from __future__ import annotations

import logging
from pathlib import Path

from framework.artifacts.reading import checked_size

_log = logging.getLogger(__name__)


class NearbyFiles:
    """Reads files by the names that stand in the mesh file `path`; this is what trimesh calls a resolver.

    max_bytes: the largest file that is read.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.folder, self.file_name, self.max_bytes = path.parent.resolve(), path.name, max_bytes

    def get(self, name: str) -> bytes:
        """Return a file's content; FileNotFoundError when there is none that may be read."""
        found = self.find(name)
        if found is None:
            raise FileNotFoundError(f"'{name}' is not in {self.folder}, or is no file to be read")
        return found.read_bytes()

    def __getitem__(self, name: str) -> bytes:
        """The same as `get`."""
        return self.get(name)

    def find(self, name: str) -> Path | None:
        """Return the path of a file that may be read, or None."""
        plain = str(name).strip().replace("\\", "/")
        for candidate in dict.fromkeys((plain, plain.rpartition("/")[2])):
            try:
                path = (self.folder / candidate).resolve()
                checked_size(path, self.max_bytes)
            except (OSError, ValueError, RuntimeError):  # missing, no file, a name with a zero byte, a circle of links
                continue
            if path.is_relative_to(self.folder):
                return path
            _log.warning("%s: '%s' leads out of its folder and is not read", self.file_name, name)
        return None
