"""Pictures of a validation as files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from framework.testing.tiny import TinyConfig, TinyData, TinyDataConfig, TinySystem
from framework.trainers.config import LoggerConfig, TrainerConfig
from framework.trainers.run_folder import RunFolder
from framework.trainers.trainer import build_trainer


def fit(folder: Path, **options: Any) -> None:
    system = TinySystem(TinyConfig())
    config = TrainerConfig(max_steps=4, val_interval=1, **options)
    trainer = build_trainer(config, LoggerConfig(kinds=[]), RunFolder(folder), 0, system=system, device="cpu")
    trainer.fit(system, datamodule=TinyData(TinyDataConfig()))


@pytest.mark.parametrize(("interval", "steps"), [(0, []), (1, [1, 2, 3, 4]), (2, [1, 3])])
def test_every_so_many_validations(tmp_path: Path, interval: int, steps: list[int]) -> None:
    fit(tmp_path, image_interval=interval)
    names = sorted(path.name for path in (tmp_path / "images").glob("*"))
    assert names == [f"step_{step:06d}_prediction.png" for step in steps]


def test_values_are_clipped_to_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = np.array([[-1, 0, 0.5, 1, 2, np.nan]], np.float32)[..., None].repeat(4, axis=2)
    monkeypatch.setattr(TinySystem, "images", lambda self, batch: {"row": row})
    fit(tmp_path)
    pixels = np.asarray(Image.open(tmp_path / "images" / "step_000001_row.png"))
    assert pixels[0, :, 0].tolist() == [0, 0, 128, 255, 255, 0]
    assert pixels.shape == (1, 6, 4)


def test_a_wrong_shape_names_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TinySystem, "images", lambda self, batch: {"grey": np.zeros((4, 4))})
    with pytest.raises(ValueError, match=r"images\(\)\['grey'\] has shape \(4, 4\)"):
        fit(tmp_path)
