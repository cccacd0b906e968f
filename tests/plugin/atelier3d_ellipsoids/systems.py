"""The system: a small network from an outline to the ellipsoid that has it."""

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from atelier3d_ellipsoids.config import OutlineConfig
from atelier3d_ellipsoids.data import outline
from framework.systems.system import System


class OutlineSystem(System):
    """Learns centre x, y and radii x, y, z from an outline."""

    Config: ClassVar[type] = OutlineConfig
    registry_name: ClassVar[str] = "ellipsoids/outline"
    monitor: ClassVar[str] = "val/error"

    def __init__(self, config: OutlineConfig) -> None:
        super().__init__(config)
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(config.size**2, config.width), nn.SiLU(), nn.Linear(config.width, 5)
        )

    def shapes(self, outlines: Tensor) -> Tensor:
        """Return centre x, y and radii x, y, z (B, 5) of outlines (B, S, S) in [0, 1]; radii are at least 0.05."""
        centres, radii = self.layers(outlines).split([2, 3], dim=1)
        return torch.cat([centres, nn.functional.softplus(radii) + 0.05], dim=1)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Return the mean squared error of the five numbers."""
        loss = (self.shapes(batch["outline"]) - batch["shape"]).square().mean()
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Log the mean absolute error of the five numbers."""
        error = (self.shapes(batch["outline"]) - batch["shape"]).abs().mean()
        self.log("val/error", error, prog_bar=True, batch_size=len(batch["shape"]))

    def images(self, batch: dict[str, Tensor]) -> dict[str, NDArray[np.floating[Any]]]:
        """Return the first outlines in red with the predicted ones in green: what agrees is yellow."""
        given = batch["outline"][:8].cpu()
        predicted = torch.stack([outline(shape, given.shape[-1]) for shape in self.shapes(batch["outline"])[:8].cpu()])
        rows = [torch.cat(list(pictures), dim=1) for pictures in (given, predicted, torch.zeros_like(given))]
        return {"outlines": torch.stack(rows, dim=-1).numpy()}
