"""A training that is killed at any moment ends as if nothing had happened.

What a kill leaves is what lies on the disk at that moment: a copy of the run folder, taken again and again while a
training runs. From each copy it goes on, and must end with the files of the training that was not killed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from framework.systems.config import OptimizerConfig, ScheduleConfig
from framework.testing.contract.training import differences
from framework.testing.tiny import TinyConfig, TinyData, TinyDataConfig, TinySystem
from framework.trainers.checkpoint_content import read_checkpoint
from framework.trainers.checkpoints import BEST, LAST, read_best
from framework.trainers.config import LoggerConfig, TrainerConfig
from framework.trainers.run_folder import RunFolder
from framework.trainers.trainer import build_trainer

STEPS = 9


class Copies(pl.Callback):
    """Copies the run folder before and after everything else that happens in a training."""

    def __init__(self, run: Path, copies: Path) -> None:
        self.run, self.copies = run, copies
        self.count = 0

    def copy(self, moment: str, step: int) -> None:
        self.count += 1
        shutil.copytree(self.run, self.copies / f"{self.count:03d}_{moment}_step{step}")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.copy("start", trainer.global_step)

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self.copy("batch", trainer.global_step)

    def on_before_optimizer_step(self, trainer: pl.Trainer, *_: Any) -> None:
        self.copy("optimizer", trainer.global_step)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self.copy("batch-end", trainer.global_step)

    def on_validation_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self.copy("validation", trainer.global_step)

    def on_validation_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self.copy("validated", trainer.global_step)

    def on_save_checkpoint(self, trainer: pl.Trainer, *_: Any) -> None:
        self.copy("saving", trainer.global_step)

    def on_train_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self.copy("end", trainer.global_step)


def fit(folder: Path, *watchers: pl.Callback, **options: Any) -> None:
    """Train in `folder`, from its last checkpoint if it has one."""
    torch.manual_seed(0)
    schedule = ScheduleConfig(kind="cosine", total_steps=STEPS)
    system = TinySystem(TinyConfig(optimizer=OptimizerConfig(learning_rate=0.01, schedule=schedule)))
    run = RunFolder(folder)
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    given: dict[str, Any] = {"val_interval": 3, "checkpoint_interval": 3, "log_interval": 2, "ema_decay": 0.9} | options
    config = TrainerConfig(max_steps=STEPS, image_interval=2, **given)
    trainer = build_trainer(config, LoggerConfig(), run, seed=3, system=system, device="cpu")
    for watcher in watchers:  # the first and the last to be called: before and after all others
        trainer.callbacks[:] = [watcher, *trainer.callbacks, watcher]  # type: ignore[attr-defined]
    checkpoint = run.last_checkpoint if run.last_checkpoint.is_file() else None
    trainer.fit(system, datamodule=TinyData(TinyDataConfig()), ckpt_path=checkpoint, weights_only=True)


def different(whole: Path, other: Path) -> Iterator[str]:
    """Yield what two run folders differ in."""
    for name in (LAST, BEST):
        one, two = (read_checkpoint(folder / "checkpoints" / name) for folder in (whole, other))
        # How often a validation ran in this process is counted there, and nothing follows from it.
        yield from (place for place in differences(one, two, name) if ".val_loop." not in place)
    if read_best(whole / "checkpoints") != read_best(other / "checkpoints"):
        yield "best.json"
    if (whole / "metrics.csv").read_bytes() != (other / "metrics.csv").read_bytes():
        yield "metrics.csv"
    names = [sorted(path.name for path in (folder / "images").glob("*.png")) for folder in (whole, other)]
    if names[0] != names[1]:
        yield f"images: {names[1]}"


def kill_everywhere(folder: Path, step: str = "*", **options: Any) -> dict[str, list[str]]:
    """Return moment -> what differs at the end, for the moments after which something does."""
    copies = Copies(folder / "watched", folder / "copies")
    fit(folder / "whole", **options)
    fit(folder / "watched", copies, **options)
    assert not list(different(folder / "whole", folder / "watched"))
    found = {}
    for copy in sorted((folder / "copies").glob(f"*_step{step}")):
        fit(copy, **options)
        found[copy.name] = list(different(folder / "whole", copy))
    assert len(found) > (10 if step != "*" else 60)
    return {moment: wrong for moment, wrong in found.items() if wrong}


def test_around_a_checkpoint_with_a_validation_nothing_is_lost(tmp_path: Path) -> None:
    assert not kill_everywhere(tmp_path, step="6")


def test_after_the_last_step_nothing_is_lost(tmp_path: Path) -> None:
    """The validation that follows it, and the row of its metrics, come before the last checkpoint."""
    assert not kill_everywhere(tmp_path, step="9", val_interval=2)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"checkpoint_interval": 2, "accumulate": 2}, {"val_interval": 2}])
def test_from_every_moment_it_ends_as_if_nothing_had_happened(tmp_path: Path, options: dict[str, Any]) -> None:
    assert not kill_everywhere(tmp_path, **options)
