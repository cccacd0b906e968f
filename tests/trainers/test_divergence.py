"""Losses, gradients and weights that are no numbers: the training ends before they reach a checkpoint."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from framework.systems.config import OptimizerConfig
from framework.testing.tiny import TinyConfig, TinyData, TinyDataConfig, TinySystem
from framework.trainers.checkpoint_content import read_checkpoint
from framework.trainers.checkpoints import BEST, LAST
from framework.trainers.config import LoggerConfig, TrainerConfig
from framework.trainers.divergence import StopOnDivergence, TrainingDiverged, describe_loss, first_not_finite
from framework.trainers.run_folder import RunFolder
from framework.trainers.trainer import build_trainer


class Breaking(TinySystem):
    """Becomes infinite or not a number after five steps, in the way that `kind` says."""

    kind = "loss"

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        if self.trainer.global_step < 5:
            return loss
        if self.kind == "loss":
            return loss * torch.nan
        if self.kind == "gradient":
            self.layers[0].bias.register_hook(lambda gradient: gradient * torch.inf)
        return loss

    def on_before_zero_grad(self, optimizer: torch.optim.Optimizer) -> None:
        """A weight breaks without any gradient saying so, as between two looks on a GPU."""
        if self.kind == "weight" and self.trainer.global_step == 5:
            with torch.no_grad():
                self.layers[0].bias[0] = torch.nan


def fit(folder: Path, kind: str, data: TinyDataConfig | None = None, **options: Any) -> pl.Trainer:
    torch.manual_seed(0)
    system = Breaking(TinyConfig(optimizer=OptimizerConfig(learning_rate=0.01)))
    system.kind = kind
    run = RunFolder(folder)
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    given: dict[str, Any] = {"max_steps": 20, "val_interval": 2, "checkpoint_interval": 1} | options
    trainer = build_trainer(TrainerConfig(**given), LoggerConfig(), run, seed=3, system=system, device="cpu")
    trainer.fit(system, datamodule=TinyData(data or TinyDataConfig()))
    return trainer


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("loss", r"the loss is nan.*the first gradient that is not finite is that of layers\.0\.weight"),
        ("gradient", r"step 5: the first gradient that is not finite is that of layers\.0\.bias"),
        ("weight", r"step 6: layers\.0\.\w+ is not finite. This checkpoint was not written"),
    ],
)
@pytest.mark.parametrize("interval", [1, 3])
def test_what_breaks_is_named_and_never_saved(tmp_path: Path, kind: str, cause: str, interval: int) -> None:
    """Whatever the interval of the checkpoints: the last one and the best one are of finite weights."""
    with pytest.raises(TrainingDiverged, match=cause) as error:
        fit(tmp_path / "run", kind, checkpoint_interval=interval)
    step = {1: 5, 3: 3}[interval]
    assert f"last.ckpt of step {step}; continue from it: python launch.py train run={tmp_path}/run" in str(error.value)
    assert "learning_rate" in str(error.value)
    for name in (LAST, BEST):
        stored = read_checkpoint(tmp_path / "run" / "checkpoints" / name)
        assert all(value.isfinite().all() for value in stored["state_dict"].values())
    assert read_checkpoint(tmp_path / "run" / "checkpoints" / LAST)["global_step"] == step


def test_without_a_checkpoint_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged, match="No checkpoint was written before; start again with"):
        fit(tmp_path, "loss", checkpoint_interval=100, val_interval=0)
    assert not list((tmp_path / "checkpoints").iterdir())


def test_items_of_the_batch_and_logged_terms_are_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged) as error:
        fit(tmp_path, "loss", data=TinyDataConfig(items=8, nan_at=3))
    assert "after step 0: the loss is nan (logged: train/loss nan) on the batch of " in str(error.value)
    assert "item-3" in str(error.value)


def test_a_long_batch_is_cut() -> None:
    trainer: Any = SimpleNamespace(callback_metrics={})
    text = describe_loss(trainer, torch.tensor(torch.inf), [f"item-{number}" for number in range(10)])
    assert text == f"the loss is inf on the batch of {', '.join(f'item-{n}' for n in range(8))} and 2 more"


def test_a_loss_scaler_may_overflow_now_and_then(tmp_path: Path) -> None:
    guard = StopOnDivergence(RunFolder(tmp_path), interval=1, patient=True)
    alone = SimpleNamespace(reduce_boolean_decision=lambda decision, all: decision, root_device=torch.device("cpu"))
    loop = SimpleNamespace(total_batch_idx=0)
    trainer: Any = SimpleNamespace(
        global_step=0, world_size=1, strategy=alone, fit_loop=loop, accumulate_grad_batches=1, callback_metrics={}
    )
    module: Any = torch.nn.Linear(1, 1)

    def look(loss: float) -> None:
        guard.on_train_batch_start(trainer, module, {}, 0)
        guard.on_before_backward(trainer, module, torch.tensor(loss))
        guard.on_before_optimizer_step(trainer, module, torch.optim.SGD(module.parameters()))

    for loss in (torch.inf, torch.inf, 1.0, torch.inf, torch.inf):
        look(loss)
    with pytest.raises(TrainingDiverged, match="the loss is inf"):
        look(torch.inf)


def test_on_a_gpu_only_some_steps_are_looked_at(tmp_path: Path) -> None:
    """Reading a value makes a GPU wait; the device of this trainer only says that it is one."""
    guard = StopOnDivergence(RunFolder(tmp_path), interval=10)
    seen = []
    for batch in range(40):
        trainer: Any = SimpleNamespace(
            fit_loop=SimpleNamespace(total_batch_idx=batch),
            accumulate_grad_batches=2,
            strategy=SimpleNamespace(root_device=torch.device("cuda")),
        )
        guard.on_train_batch_start(trainer, None, {}, batch)  # type: ignore[arg-type]
        seen += [batch] if guard.due else []
    assert seen == [18, 19, 38, 39]


def test_the_first_that_is_not_finite() -> None:
    fine, whole = torch.ones(3), torch.ones(3, dtype=torch.long)
    assert first_not_finite({}) is None
    assert first_not_finite({"a": fine, "b": whole}) is None
    assert first_not_finite({"a": fine, "b": fine / 0, "c": fine * torch.nan}) == "b"
    assert first_not_finite({"a": fine, "empty": fine[:0], "half": fine.bfloat16(), "c": -fine / 0}) == "c"
    assert first_not_finite({"a": fine * 3e38, "b": fine.half() * 6e4}) is None
