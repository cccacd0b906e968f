"""Published files are told by size and MD5, or by their name alone; what differs is said."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from framework import registry
from framework.registry import MethodSpec, PublishedFile, Registry
from framework.tasks.config import ListOptions
from framework.tasks.listing import run
from framework.weights.folder import WeightsError
from framework.weights.published import recognise, where_published
from framework.weights.resolve import resolve

BYTES = b"these are weights"
FILE = PublishedFile(
    path="models/faces.pt",
    summary="faces",
    url="https://example.org/faces",
    licence="CC0",
    size=len(BYTES),
    md5=hashlib.md5(BYTES, usedforsecurity=False).hexdigest(),
)
UNCHECKED = PublishedFile(path="models/folder", summary="more", url="https://example.org/more", licence="CC0")


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A made-up method is the only one."""
    spec = MethodSpec(name="m", summary="", published=(FILE, UNCHECKED))
    table = Registry({"m": lambda: spec})
    monkeypatch.setattr(registry, "default_registry", lambda: table)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "file", "problem"),
    [
        ("faces.pt", BYTES, FILE, ""),
        ("renamed.pt", BYTES, FILE, ""),
        ("other.pt", b"other weights", None, ""),
        ("same_size.pt", BYTES[::-1], None, ""),
        ("folder", b"anything", None, ""),
        (
            "faces.pt",
            b"cut off",
            FILE,
            "faces.pt has 7 bytes, but the published file of this name has 17 bytes and MD5",
        ),
        ("faces.pt", BYTES[::-1], FILE, "faces.pt has MD5 "),
    ],
)
def test_files_are_recognised(name: str, content: bytes, file: PublishedFile | None, problem: str) -> None:
    Path(name).write_bytes(content)
    found = recognise(Path(name))
    assert found.file is file
    assert found.problem.startswith(problem)
    assert bool(found.problem) == bool(problem)


def test_what_is_missing_can_be_fetched() -> None:
    assert where_published("other.pt") == ""
    expected = f"https://example.org/faces (17 bytes, MD5 {FILE.md5}). Licence: CC0"
    assert expected in where_published("faces.pt")
    for place in ("faces.pt", "downloads/faces.pt"):
        with pytest.raises(WeightsError, match=r"no such file in .*https://example\.org/faces"):
            resolve(place)
    assert "bytes" not in where_published("folder")


def test_they_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ListOptions(what="weights", pattern="m/*faces*")) == 0
    line = capsys.readouterr().out
    assert line.split() == [
        *("m/models/faces.pt", "faces;", "https://example.org/faces;", "17", "bytes,", "MD5", f"{FILE.md5};"),
        *("licence:", "CC0"),
    ]
    assert run(ListOptions(what="weights", pattern="*folder")) == 0
    assert "bytes" not in capsys.readouterr().out
