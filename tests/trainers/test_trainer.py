"""Fitting a tiny system: precision, accumulation, interruption, and continuing as if nothing had happened."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from framework.systems.config import OptimizerConfig, ScheduleConfig
from framework.testing.tiny import TinyConfig, TinyData, TinyDataConfig, TinySystem
from framework.trainers.checkpoint_content import checkpoint_weights, read_checkpoint
from framework.trainers.checkpoints import BEST, LAST, read_best
from framework.trainers.config import LoggerConfig, TrainerConfig
from framework.trainers.loggers import read_metrics
from framework.trainers.run_folder import RunFolder
from framework.trainers.strategy import check_processes
from framework.trainers.trainer import build_evaluator, build_trainer

OPTIONS: dict[str, Any] = {"val_interval": 4, "checkpoint_interval": 5, "log_interval": 2, "ema_decay": 0.9}


def fit(
    folder: Path,
    steps: int,
    *,
    resume: bool = False,
    data: TinyDataConfig | None = None,
    total: int = 12,
    **options: Any,
) -> pl.Trainer:
    """Train a tiny system in `folder` and return its trainer; the schedule always ends at step `total`."""
    torch.manual_seed(0)
    schedule = ScheduleConfig(kind="cosine", total_steps=total)
    system = TinySystem(TinyConfig(optimizer=OptimizerConfig(learning_rate=0.01, schedule=schedule)))
    run = RunFolder(folder)
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    config = TrainerConfig(max_steps=steps, **(OPTIONS | options))
    trainer = build_trainer(config, LoggerConfig(), run, seed=3, system=system, device="cpu")
    checkpoint = run.last_checkpoint if resume else None
    trainer.fit(system, datamodule=TinyData(data or TinyDataConfig()), ckpt_path=checkpoint, weights_only=True)
    return trainer


def last(folder: Path) -> dict[str, Any]:
    return read_checkpoint(folder / "checkpoints" / LAST)


def assert_same_training(first: Path, second: Path) -> None:
    """Live and averaged weights, optimiser state and schedule are equal, bit by bit."""
    one, two = last(first), last(second)
    assert one["global_step"] == two["global_step"]
    for averaged in (False, True):
        weights = checkpoint_weights(two, averaged=averaged)
        for name, value in checkpoint_weights(one, averaged=averaged).items():
            torch.testing.assert_close(weights[name], value, rtol=0, atol=0)
    moments = [state["exp_avg_sq"] for state in one["optimizer_states"][0]["state"].values()]
    others = [state["exp_avg_sq"] for state in two["optimizer_states"][0]["state"].values()]
    torch.testing.assert_close(moments, others, rtol=0, atol=0)
    assert one["lr_schedulers"][0]["last_epoch"] == two["lr_schedulers"][0]["last_epoch"]


@pytest.mark.parametrize(("stop", "accumulate"), [(3, 1), (4, 1), (5, 1), (8, 1), (5, 2)])
def test_continuing_equals_not_stopping(tmp_path: Path, stop: int, accumulate: int) -> None:
    """Wherever it stops: before, at or after a validation, at the edge of an epoch (8 steps), while accumulating."""
    fit(tmp_path / "whole", 12, accumulate=accumulate)
    fit(tmp_path / "parts", stop, accumulate=accumulate)
    fit(tmp_path / "parts", 12, resume=True, accumulate=accumulate)
    assert_same_training(tmp_path / "whole", tmp_path / "parts")


def test_continuing_from_a_checkpoint_of_the_middle_drops_later_metrics(tmp_path: Path) -> None:
    """As after a kill: the last checkpoint (step 5 of 7) is older than the last metrics."""
    fit(tmp_path / "whole", 12)
    fit(tmp_path / "killed", 7, checkpoint_interval=100, keep_interval=5)
    checkpoints = tmp_path / "killed" / "checkpoints"
    (checkpoints / "step_000005.ckpt").replace(checkpoints / LAST)
    fit(tmp_path / "killed", 12, resume=True)
    assert_same_training(tmp_path / "whole", tmp_path / "killed")
    rows = [list(read_metrics(tmp_path / name / "metrics.csv")[1]) for name in ("whole", "killed")]
    assert rows[0] == rows[1]


def test_what_a_run_leaves_behind(tmp_path: Path) -> None:
    trainer = fit(tmp_path, 10)
    assert trainer.global_step == 10
    columns, rows = read_metrics(tmp_path / "metrics.csv")
    rows = list(rows)
    assert columns[0] == "step"
    assert [int(row["step"]) for row in rows] == [2, 4, 6, 8, 10]
    assert [row["val/loss"] != "" for row in rows] == [False, True, False, True, True]
    assert (tmp_path / "images" / "step_000004_prediction.png").is_file()
    record = read_best(tmp_path / "checkpoints")
    assert record is not None
    assert (record["metric"], record["mode"]) == ("val/loss", "min")
    assert record["value"] == pytest.approx(min(float(row["val/loss"]) for row in rows if row["val/loss"]))
    assert read_checkpoint(tmp_path / "checkpoints" / BEST)["global_step"] == record["step"]
    assert not list(tmp_path.rglob(".part-*"))


def test_accumulated_batches_equal_one_large_batch(tmp_path: Path) -> None:
    """Without dropout, and with a sampler whose batches of 4 are the halves of its batches of 8."""
    weights = []
    for name, size, accumulate in (("large", 8, 1), ("small", 4, 2)):
        torch.manual_seed(0)
        system = TinySystem(TinyConfig(dropout=0, optimizer=OptimizerConfig(schedule=ScheduleConfig(kind="constant"))))
        run = RunFolder(tmp_path / name)
        config = TrainerConfig(max_steps=4, accumulate=accumulate, val_interval=0)
        trainer = build_trainer(config, LoggerConfig(kinds=[]), run, 0, system=system, device="cpu")
        trainer.fit(system, datamodule=TinyData(TinyDataConfig(batch_size=size)))
        weights.append(system.layers[0].weight.detach())
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-5, atol=1e-6)


def test_bf16_keeps_weights_and_average_in_float32(tmp_path: Path) -> None:
    fit(tmp_path, 6, precision="bf16-mixed")
    stored = last(tmp_path)
    assert all(value.dtype == torch.float32 for value in stored["state_dict"].values())
    assert all(value.dtype == torch.float32 for value in stored["ema"]["shadow"].values())


def test_gradient_clipping_limits_the_step(tmp_path: Path) -> None:
    seen = []

    class Watch(pl.Callback):
        def on_before_zero_grad(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
            norms = [p.grad.norm() for p in pl_module.parameters() if p.grad is not None]
            seen.extend([torch.stack(norms).norm()] if norms else [])

    system = TinySystem(TinyConfig())
    config = TrainerConfig(max_steps=4, gradient_clip=0.01, val_interval=0)
    trainer = build_trainer(config, LoggerConfig(kinds=[]), RunFolder(tmp_path), 0, system=system, device="cpu")
    trainer.callbacks.append(Watch())  # type: ignore[attr-defined]
    trainer.fit(system, datamodule=TinyData(TinyDataConfig()))
    assert seen
    assert max(seen) <= 0.0101


def test_a_time_limit_ends_the_leg_with_a_checkpoint_and_a_validation(tmp_path: Path) -> None:
    trainer = fit(tmp_path, 100_000, max_time="00:00:00", val_interval=50_000)
    assert trainer.global_step == 1
    assert last(tmp_path)["global_step"] == 1
    assert "val/loss" in trainer.callback_metrics


def test_a_monitor_that_is_never_logged_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TinySystem, "monitor", "val/iou")
    with pytest.raises(ValueError, match="'val/iou', but its validation logged: .*val/loss"):
        fit(tmp_path, 4)


def test_the_evaluator_measures_the_same_twice_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    system = TinySystem(TinyConfig())
    values = []
    for _ in range(2):
        trainer = build_evaluator(TrainerConfig(), seed=0, device="cpu")
        values.append(trainer.test(system, datamodule=TinyData(TinyDataConfig()), verbose=False)[0]["val/loss"])
        torch.rand(3)
    assert values[0] == values[1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "device", "message"),
    [
        ({}, "tpu", "device: 'tpu' is unknown"),
        ({"precision": "16-mixed"}, "cpu", "trainer.precision: 16-mixed needs a GPU"),
        (
            {"strategy": "fsdp"},
            "cpu",
            "trainer.strategy: fsdp shares weights among several processes, but there is one",
        ),
        ({"devices": -1}, "cpu", r"trainer.devices: -1 takes all GPUs. On the CPU say how many processes"),
    ],
)
def test_what_this_machine_can_not_do_is_said_first(
    tmp_path: Path, options: dict[str, Any], device: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build_trainer(TrainerConfig(**options), LoggerConfig(), RunFolder(tmp_path), 0, device=device)


def test_half_precision_does_not_go_with_shards() -> None:
    """Said apart from the rest: on the CPU half precision is refused before."""
    with pytest.raises(ValueError, match="trainer.precision: 16-mixed does not go with fsdp"):
        check_processes(TrainerConfig(strategy="fsdp", devices=2, precision="16-mixed"), "cpu")


def test_torchrun_must_start_as_many_processes_as_the_options_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    check_processes(TrainerConfig(devices=2), "cpu")
    with pytest.raises(ValueError, match=r"torchrun started 2 processes, but .* is 1. Give trainer.devices the number"):
        check_processes(TrainerConfig(), "cpu")
