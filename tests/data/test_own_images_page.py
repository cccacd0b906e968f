"""The commands and the program of the page about one's own pictures run as written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image as PilImage

from framework.cli import main
from framework.testing.picture_set import ellipse
from tests.test_readme import FACE_SIZES, REPOSITORY, SDF_SIZES, commands, prefixed

pytest.importorskip("lmdb", reason="extra 'data' is not installed")
PAGE = "docs/own_images.md"
TINY = {
    "prepare": ["data.processes=1"],
    "train": [
        *prefixed("system.renderer", SDF_SIZES),
        *prefixed("system.generator", FACE_SIZES),
        *prefixed("data", "batch_size=2 thumb_resolution=16 val_fraction=0.3 workers=0"),
        *prefixed("trainer", "max_steps=2 val_interval=2 val_batches=1"),
        *("system.chunk=2", "system.sphere_init.steps=1", "device=cpu"),
    ],
}


def test_the_page_works_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(8):
        path = tmp_path / "my_pictures" / f"folder{number % 2}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        PilImage.fromarray(ellipse(number, 70)).save(path)
    found = commands(PAGE)
    assert [words[0] for words in found] == ["prepare", "train"]
    for words in found:
        code = main([*words, *TINY[words[0]]])
        assert code == 0, f"{' '.join(words)}\n{capsys.readouterr()}"
    capsys.readouterr()
    (program,) = re.findall(r"```python\n(.*?)```", (REPOSITORY / PAGE).read_text(encoding="utf-8"), flags=re.DOTALL)
    exec(program, {})
    assert capsys.readouterr().out.count("torch.Size([2, 3, 64, 64])") == 3
