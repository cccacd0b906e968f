"""What a training prints, in a log file and in a terminal."""

import io
from pathlib import Path

import pytest
import torch
from rich.console import Console

from framework.testing.tiny import TinyConfig, TinyData, TinyDataConfig, TinySystem
from framework.trainers import progress
from framework.trainers.config import LoggerConfig, TrainerConfig
from framework.trainers.progress import duration
from framework.trainers.run_folder import RunFolder
from framework.trainers.trainer import build_trainer


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (12.4, "12 s"), (587, "9 min 47 s"), (3900, "1 h 05 min"), (-3, "0 s")]
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def printed(
    folder: Path,
    *,
    terminal: bool,
    system: TinyConfig | None = None,
    data: TinyDataConfig | None = None,
    log_interval: int = 2,
    **options: object,
) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=100)
    torch.manual_seed(0)
    module = TinySystem(system or TinyConfig())
    config = TrainerConfig(max_steps=6, val_interval=3, log_interval=log_interval, **options)  # type: ignore[arg-type]
    trainer = build_trainer(
        config, LoggerConfig(kinds=[]), RunFolder(folder), 0, system=module, device="cpu", console=console
    )
    trainer.fit(module, datamodule=TinyData(data or TinyDataConfig()))
    return file.getvalue()


def test_lines_in_a_log_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    lines = printed(tmp_path, terminal=False).splitlines()
    assert lines[0] == "training from step 0"
    steps = [line for line in lines if "it/s" in line]
    assert [line.split()[1] for line in steps] == ["2/6", "4/6", "6/6"]
    assert all("loss " in line and "ETA " in line for line in steps)
    assert sum("val/loss" in line for line in lines) == 2


def test_quick_steps_do_not_flood_a_log_file(tmp_path: Path) -> None:
    assert sum("it/s" in line for line in printed(tmp_path, terminal=False).splitlines()) == 1


def test_accumulation_does_not_change_the_size_of_the_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All batches hold the same item, so all of them have the same loss before the first step."""
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    options = {"data": TinyDataConfig(items=1), "system": TinyConfig(dropout=0), "log_interval": 1}
    texts = [printed(tmp_path, terminal=False, accumulate=number, **options) for number in (1, 4)]
    first, fourth = ([line.split()[3] for line in text.splitlines() if "step 1/6" in line] for text in texts)
    assert first == fourth
    assert len(first) == 1


def test_the_time_limit_bounds_the_estimate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    text = printed(tmp_path, terminal=False, max_time="00:00:00")
    assert "step 2/6" not in text  # It stopped after the first step.


def test_a_bar_in_a_terminal(tmp_path: Path) -> None:
    text = printed(tmp_path, terminal=True)
    assert "step 6/6" in text
    assert "val/loss" in text
