"""What a new training takes from an earlier one."""

from __future__ import annotations

from typing import Protocol

from framework.config.errors import ConfigError
from framework.weights.folder import check_tensors
from methods.stylesdf.config import FullConfig, VolumeConfig
from methods.stylesdf.nets.generator import Generator

AGREE = (
    *(("camera", name) for name in ("fov", "dist_radius")),
    *(("renderer", name) for name in ("sdf", "depth", "width", "z_normalize")),
)
"""Options without which a renderer is not what it was trained to be."""


class Generators(Protocol):
    """A system with a live and an averaged generator."""

    config: VolumeConfig | FullConfig
    generator: Generator
    generator_average: Generator


def take_generators(system: Generators, other: Generators, source: str) -> None:
    """Begin with the generators of `other`, whose discriminator may have been for thumbnails of another size.

    WeightsError, which names `source`, where shapes differ.
    """
    shapes = {name: tuple(value.shape) for name, value in system.generator.state_dict().items()}
    check_tensors(shapes, other.generator.state_dict(), source)
    system.generator.load_state_dict(other.generator.state_dict())
    system.generator_average.load_state_dict(other.generator_average.state_dict())


def take_renderer(system: Generators, volume: Generators, source: str) -> None:
    """Put the averaged renderer of the first stage into both generators; ConfigError where options disagree."""
    for section, name in AGREE:
        theirs, ours = (getattr(getattr(given.config, section), name) for given in (volume, system))
        if theirs != ours:
            raise ConfigError(f"system.{section}.{name}", f"is {ours}, but {source} was trained with {theirs}.")
    for generator in (system.generator, system.generator_average):
        generator.style.load_state_dict(volume.generator_average.style.state_dict())
        generator.renderer.load_state_dict(volume.generator_average.renderer.state_dict())
