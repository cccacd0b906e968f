"""A film as it lies on disk: H.264 in MP4, or an animated GIF. `framework.export.video` makes it from frames."""

from dataclasses import dataclass
from pathlib import Path

from framework.artifacts.atomic import atomic_file
from framework.artifacts.errors import ArtifactError
from framework.artifacts.reading import checked_size

LARGEST = 2**30
"""Bytes of a film beyond which it is not read."""

_SIGNATURES = {".mp4": (4, b"ftyp"), ".gif": (0, b"GIF8")}


@dataclass(frozen=True, eq=False)
class Video:
    """A film that stages exchange; its frames stay encoded."""

    content: bytes
    """The file, byte by byte."""

    suffix: str = ".mp4"
    """`.mp4` or `.gif`."""

    def __post_init__(self) -> None:
        if self.suffix not in _SIGNATURES:
            raise ArtifactError(f"Video: a file {self.suffix or 'without suffix'}, expected one of {[*_SIGNATURES]}")
        start, signature = _SIGNATURES[self.suffix]
        if self.content[start : start + 4] != signature:
            raise ArtifactError(f"Video: its {len(self.content)} bytes do not begin as those of a {self.suffix} file")

    def save(self, path: Path) -> Path:
        """Write the film to `path`, which has its suffix, whole or not at all, and return `path`."""
        if path.suffix != self.suffix:
            raise ArtifactError(f"{path}: the film is a {self.suffix} file. Give it this suffix")
        with atomic_file(path) as temporary:
            temporary.write_bytes(self.content)
        return path

    @staticmethod
    def load(path: Path) -> "Video":
        """Read such a file; ArtifactError when it is missing, damaged at its beginning or too large."""
        try:
            checked_size(path, LARGEST)
            return Video(path.read_bytes(), path.suffix)
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{path}: can't be read as a film ({error})") from error
