"""Writes the pictures that a system shows of its validation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from PIL import Image as PilImage
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger

from framework.export.images import save_png
from framework.systems.system import System


class WritePictures(pl.Callback):
    """At every `interval`-th validation: `step_000123_<name>.png` in `folder`, and to tensorboard and wandb."""

    def __init__(self, folder: Path, interval: int = 1) -> None:
        self.folder = folder
        self.interval = interval
        self._validations = 0

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count validations of the training."""
        self._validations += 1

    def state_dict(self) -> dict[str, Any]:
        """The count, so that a continued training draws at the validations at which a whole one does."""
        return {"validations": self._validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self._validations = state_dict["validations"]

    @torch.no_grad()
    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw from the first batch; the first process writes."""
        due = batch_idx == 0 and dataloader_idx == 0 and (self._validations - 1) % self.interval == 0
        if not due or trainer.sanity_checking or not isinstance(pl_module, System):
            return
        pictures = pl_module.images(batch)
        for name, picture in pictures.items() if trainer.is_global_zero else ():
            pixels = _bytes(picture, name)
            save_png(pixels, self.folder / f"step_{trainer.global_step:06d}_{name}.png")
            _send(trainer, name, pixels)


def _bytes(picture: NDArray[Any], name: str) -> NDArray[np.uint8]:
    if picture.ndim != 3 or picture.shape[2] not in (3, 4):
        raise ValueError(f"images()['{name}'] has shape {picture.shape}, expected (H, W, 3) or (H, W, 4) in [0, 1]")
    finite = np.nan_to_num(np.asarray(picture, dtype=np.float32))
    return (finite.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def _send(trainer: pl.Trainer, name: str, pixels: NDArray[np.uint8]) -> None:
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(name, pixels, trainer.global_step, dataformats="HWC")
        elif isinstance(logger, WandbLogger):
            logger.log_image(name, [PilImage.fromarray(pixels)])
