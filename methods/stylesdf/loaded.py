"""The generator that predictions use, with the options that it was trained with."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from framework.pipeline.stage import Context
from framework.systems.system import System
from methods.stylesdf.config import CameraConfig, FullConfig, RendererConfig, VolumeConfig
from methods.stylesdf.nets.generator import Generator
from methods.stylesdf.prediction.config import CameraChanges
from methods.stylesdf.systems import FullSystem, VolumeSystem


@dataclass(frozen=True, eq=False)
class Loaded:
    """The averaged generator of either training."""

    generator: Generator
    """In eval mode; without a decoder where only the first training's weights are there."""

    config: VolumeConfig | FullConfig
    """What it was trained with."""

    @classmethod
    def of(cls, context: Context) -> Loaded:
        """Read the weights `full` or, where the method has none, `volume`, to the device of `context`."""
        kind: type[System] = FullSystem if "full" in context.weights else VolumeSystem
        name = "full" if "full" in context.weights else "volume"
        system = kind.load(context.weights_of(name), context.device)
        generator = system.generator_average
        assert isinstance(generator, Generator)
        return cls(generator, system.config)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.generator.parameters()).device

    @property
    def style_dim(self) -> int:
        """Numbers of a latent code."""
        return self.config.generator.style_dim

    @property
    def size(self) -> int:
        """Side of the pictures that it makes."""
        generator = self.config.generator
        return generator.renderer_resolution if self.generator.decoder is None else generator.size

    def camera(self, changes: CameraChanges) -> CameraConfig:
        """The training cameras with changes."""
        return changes.over(self.config.camera)

    def rendering(self, samples: int | None = None, training: bool = False) -> RendererConfig:
        """How to render: directions of view in the camera's axes, samples in place, the background closed.

        `training`: as in training; `samples` of a ray in place of the trained number.
        """
        options = self.config.renderer
        if not training:
            options = replace(options, static_viewdirs=True, force_background=True, perturb=False)
        return options if samples is None else replace(options, N_samples=samples)
