"""The published checkpoint at its true size: in and out again bit for bit, in little memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.methods.craftsman.official_files import TINY_CONFIG, filled, manifest

REPOSITORY = Path(__file__).parents[3]
CONFIG = (
    TINY_CONFIG.replace("num_latents: 32", "num_latents: 256")
    .replace("embed_dim: 16", "embed_dim: 64")
    .replace("num_encoder_layers: 1", "num_encoder_layers: 8")
    .replace("num_decoder_layers: 2", "num_decoder_layers: 16")
    .replace("heads: 4", "heads: 12")
    .replace("width: 64", "width: 768")
    .replace("layers: 2\n", "layers: 6\n")
    .replace("context_dim: 96", "context_dim: 1024")
)
LIMIT_GIB = 6.0
"""The file has 2.7 GiB; mapped pages of it count as memory too."""


def run(*words: str) -> float:
    """Run a command without network in a process of its own; returns its peak memory in GiB."""
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
        cwd=REPOSITORY,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "note:" not in done.stdout, done.stdout  # config and weights agree, and every key is known
    return int(done.stdout.rpartition("peak ")[2]) / 2**20


def bits(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path / "model.ckpt", weights_only=True, mmap=True)["state_dict"]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that is emptied afterwards: the files of this test are 9 GB."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_there_and_back_at_official_size(folder: Path) -> None:
    official, ours, back = folder / "official", folder / "ours", folder / "back"
    official.mkdir()
    state = filled(manifest("v1_checkpoint.official"))
    assert sum(value.numel() for value in state.values()) == 720_335_874
    torch.save({"epoch": 3, "global_step": 7, "state_dict": state}, official / "model.ckpt")
    (official / "config.yaml").write_text(CONFIG)
    del state
    peaks = [run("export", f"weights={official}", f"output={ours}")]
    peaks += [run("export", f"weights={ours}", "format=official", f"output={back}")]
    before, after = bits(official), bits(back)
    assert before.keys() == after.keys()
    for key, value in before.items():
        assert value.dtype == after[key].dtype
        assert np.array_equal(
            value.numpy().reshape(-1).view(np.int32), after[key].numpy().reshape(-1).view(np.int32)
        ), key
    assert max(peaks) < LIMIT_GIB, peaks
