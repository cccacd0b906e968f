"""A continued training reads the batches that an uninterrupted one would have read, with Lightning's own resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from framework.data.config import ShapesConfig
from framework.data.shapes import ShapesData
from tests.data.balls import write_balls


class Witness(pl.LightningModule):
    """Remembers what it was trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[str, float]] = []

    def training_step(self, batch: dict[str, Any], batch_index: int) -> torch.Tensor:
        self.seen += zip(batch["id"], batch["points"].sum(dim=(1, 2)).tolist(), strict=True)
        return self.weight * batch["points"].mean()

    def validation_step(self, batch: dict[str, Any], batch_index: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(root: Path, steps: int, accumulate: int, checkpoint: Path | None = None) -> tuple[Witness, pl.Trainer]:
    config = ShapesConfig(root=str(root), batch_size=4, surface_points=16, supervision_points=16, validation_points=16)
    trainer = pl.Trainer(
        max_steps=steps,
        max_epochs=-1,
        accumulate_grad_batches=accumulate,
        check_val_every_n_epoch=None,
        val_check_interval=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    witness = Witness()
    trainer.fit(witness, datamodule=ShapesData(config), ckpt_path=checkpoint, weights_only=True)
    return witness, trainer


@pytest.mark.parametrize("accumulate", [1, 2])
def test_continued_training(tmp_path: Path, accumulate: int) -> None:
    root = write_balls(tmp_path / "balls", train=6)
    whole, _ = fit(root, 5, accumulate)
    first, trainer = fit(root, 2, accumulate)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    second, _ = fit(root, 5, accumulate, tmp_path / "last.ckpt")
    assert len(whole.seen) == 5 * accumulate * 4
    assert first.seen + second.seen == whole.seen
