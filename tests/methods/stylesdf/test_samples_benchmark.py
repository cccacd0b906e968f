"""The benchmark of samples: weights of both systems, an LMDB set or a folder, and what it says about its numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.stylesdf_samples import main, real_pictures
from framework.cli import main as launch
from framework.systems.system import System
from methods.stylesdf.config import FullConfig, GeneratorConfig, RendererConfig, VolumeConfig
from methods.stylesdf.systems import FullSystem, VolumeSystem

GENERATOR = GeneratorConfig(size=32, style_dim=16, renderer_resolution=16, channel_max=8)
RENDERER = RendererConfig(width=16, depth=2, N_samples=4)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights of both systems and with pictures."""
    folder = tmp_path_factory.mktemp("samples")
    random = np.random.default_rng(0)
    (folder / "pictures").mkdir()
    for number in range(6):
        pixels = random.integers(0, 255, (32, 40, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{number}.png")
    torch.manual_seed(0)
    systems: list[System] = [
        VolumeSystem(VolumeConfig(generator=GENERATOR, renderer=RENDERER)),
        FullSystem(FullConfig(generator=GENERATOR, renderer=RENDERER)),
    ]
    for system in systems:
        system.save(folder / system.registry_name.rpartition("/")[2])
    return folder


def table(capsys: pytest.CaptureFixture[str]) -> tuple[str, list[str]]:
    """What was printed, and the table's rows."""
    printed = " ".join(capsys.readouterr().out.split())
    return printed, [row.replace("│", "").split() for row in printed.split("samples │")[1:]][0]


@pytest.mark.parametrize(("weights", "side"), [("volume", 16), ("full", 32)])
def test_the_numbers_come_with_what_they_are_of(
    weights: str, side: int, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--weights", str(place / weights), "--data", str(place / "pictures"), "--count", "5", "--psi", "0.7"]
    main([*words, "--batch", "2"])
    printed, numbers = table(capsys)
    for part in (f"stylesdf/{weights}, {side} x {side}, psi 0.7, seed 0", "not comparable with published numbers"):
        assert part in printed
    assert numbers[:2] == ["5", "6"] and float(numbers[2]) > 0
    main([*words, "--batch", "5"])
    assert float(table(capsys)[1][2]) == pytest.approx(float(numbers[2]), abs=2e-3), "no matter how large a batch is"
    main([*words, "--as-predicted"])
    printed, other = table(capsys)
    assert "as predicted" in printed and other[2] != numbers[2]


def test_a_set_and_the_folder_it_was_made_of_hold_the_same_pictures(place: Path, tmp_path: Path) -> None:
    pytest.importorskip("lmdb", reason="extra 'data': lmdb")
    words = f"prepare data=image_lmdb source={place / 'pictures'} output={tmp_path / 'set'} data.sizes=[16,32]"
    assert launch(words.split()) == 0
    stored = torch.stack(list(real_pictures(tmp_path / "set", 32, 4)))
    assert torch.equal(stored, torch.stack(list(real_pictures(place / "pictures", 32, 4))))
    assert stored.shape == (4, 3, 32, 32)


def test_an_empty_folder_is_named(place: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no pictures"):
        main(["--weights", str(place / "volume"), "--data", str(tmp_path)])
