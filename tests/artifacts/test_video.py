"""The film artifact."""

import os
from pathlib import Path

import pytest

from framework.artifacts.errors import ArtifactError
from framework.artifacts.video import Video


def test_round_trip_is_exact(tmp_path: Path) -> None:
    film = Video(b"GIF89a and so on", ".gif")
    assert Video.load(film.save(tmp_path / "film.gif")).content == film.content
    with pytest.raises(ArtifactError, match="the film is a .gif file"):
        film.save(tmp_path / "film.mp4")


@pytest.mark.parametrize(("content", "suffix"), [(b"", ".mp4"), (b"GIF89a", ".mp4"), (b"....ftyp", ".avi")])
def test_what_is_no_film_is_refused(content: bytes, suffix: str) -> None:
    with pytest.raises(ArtifactError, match="Video: "):
        Video(content, suffix)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "cut.mp4").write_bytes(b"\0\0\0")
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    with (tmp_path / "huge.gif").open("wb") as file:
        file.write(b"GIF89a")
        file.truncate(2**31)
    for name in ("cut.mp4", "folder.mp4", "pipe.mp4", "huge.gif", "missing.mp4"):
        with pytest.raises(ArtifactError, match=name):
            Video.load(tmp_path / name)
