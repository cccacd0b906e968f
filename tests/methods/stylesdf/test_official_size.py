"""Made-up files of the published sizes through the command line: in, pictures of 1024 pixels, and out bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from framework.artifacts.image import Image
from tests.methods.stylesdf.official_files import official_content

REPOSITORY = Path(__file__).parents[3]
KEYS = {"ffhq_full": 2 * 166 + 64, "afhq_full": 2 * 146 + 57, "volume": 2 * 65 + 28}
LIMIT_GIB = 4.0
"""Peak memory of a command, torch and the mapped file included."""


def run(folder: Path, *words: str) -> tuple[str, float]:
    """Run a command without network in a process of its own; returns what it says and its peak memory in GiB."""
    code = (
        "import pathlib, socket, sys\n"
        # What the process that forked had at most would count too.
        "pathlib.Path('/proc/self/clear_refs').write_text('5')\n"
        "def refuse(*arguments): raise OSError('no network in this test')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from framework.cli import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "status = pathlib.Path('/proc/self/status').read_text().split()\n"
        "print('peak', status[status.index('VmHWM:') + 1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=folder,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said, _, peak = done.stdout.rpartition("peak ")
    return said, int(peak) / 2**20


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("name", "stage"), [("ffhq_full", "full"), ("afhq_full", "full"), ("volume", "volume")], ids=str
)
def test_there_and_back_at_official_size(name: str, stage: str, tmp_path: Path) -> None:
    torch.save(official_content(name), tmp_path / "synthetic.pt")
    said, peak = run(tmp_path, "export", "weights=synthetic.pt", "output=ours")
    assert f"stylesdf/{stage}: {KEYS[name]} keys, 0 missing, 0 unexpected" in said
    said, other = run(tmp_path, "export", "weights=ours", "format=official", "output=back")
    back = torch.load(tmp_path / "back" / "model.pt", weights_only=True)
    expected = official_content(name)
    assert list(back) == list(expected)
    for part, state in expected.items():
        assert list(back[part]) == list(state)
        assert all(torch.equal(value, back[part][key]) for key, value in state.items())
    assert max(peak, other) < LIMIT_GIB


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_pictures_of_1024_pixels(tmp_path: Path) -> None:
    torch.save(official_content("ffhq_full"), tmp_path / "synthetic.pt")
    run(tmp_path, "export", "weights=synthetic.pt", "output=ckpts/stylesdf-ffhq")
    small = ("method.stages.sample.truncation_mean=100", "device=cpu", "seed=3")
    _, peak = run(tmp_path, "predict", "method=stylesdf", "stages=sample", "output=imported", *small)
    given = "weights.full=synthetic.pt"  # wherever weights are wanted, the file itself does as well
    run(tmp_path, "predict", "method=stylesdf", "stages=sample", "output=direct", given, *small)
    pictures = [Image.load(path) for path in sorted(tmp_path.glob("*/*/image.png"))]
    assert [(picture.width, picture.height) for picture in pictures] == [(1024, 1024)] * 2
    assert abs(pictures[0].pixels - pictures[1].pixels).max() == 0
    assert pictures[0].pixels.std() > 0.01
    assert peak < LIMIT_GIB
