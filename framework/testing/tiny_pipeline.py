"""A method of two plain stages: the outline of the picture becomes a slab, and the slab gets a colour.

With it everything about prediction can be tried in a second, with real files and a real mesh.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from framework import registry
from framework.artifacts.image import Image
from framework.config.choice import Choice
from framework.geometry.isosurface import marching_cubes
from framework.geometry.mesh import Mesh
from framework.pipeline.case import Case
from framework.pipeline.config import MattingConfig, MethodConfig
from framework.pipeline.stage import Stage, StageError

METHOD = "testing"


@dataclass(kw_only=True)
class ExtrudeConfig:
    """Options of the stage `testing/extrude`."""

    thickness: float = 0.3
    """Half the thickness of the slab."""
    resolution: int = 24
    """Grid points per axis."""


class Extrude(Stage):
    """Pushes the outline of the foreground along the view's direction."""

    Config: ClassVar[type] = ExtrudeConfig
    needs: ClassVar[Mapping[str, type]] = {"foreground": Image}
    gives: ClassVar[Mapping[str, type]] = {"slab": Mesh}
    config: ExtrudeConfig

    def run(self, case: Case) -> None:
        """Write `slab`."""
        count = self.config.resolution
        opacity = np.pad(case.read("foreground").resized(count - 2).alpha, 1)
        depth = np.linspace(-1, 1, count)
        field = np.minimum(opacity[::-1].T[..., None] - 0.5, self.config.thickness - np.abs(depth))
        if field.max() <= 0:
            raise StageError("the foreground is empty", "Give a picture with an object")
        case.write("slab", marching_cubes(field, 1.0))


@dataclass(kw_only=True)
class PaintConfig:
    """Options of the stage `testing/paint`."""

    noise: float = 0.1
    """Largest difference from the mean colour, drawn from the case's seed."""


class Paint(Stage):
    """Gives the slab the mean colour of the foreground."""

    Config: ClassVar[type] = PaintConfig
    needs: ClassVar[Mapping[str, type]] = {"slab": Mesh, "foreground": Image}
    gives: ClassVar[Mapping[str, type]] = {"mesh": Mesh}
    config: PaintConfig

    def run(self, case: Case) -> None:
        """Write `mesh`."""
        slab, image = case.read("slab"), case.read("foreground")
        colour = torch.from_numpy(image.rgb[image.alpha > 0.5].mean(axis=0))
        generator = torch.Generator().manual_seed(case.seed)
        noise = (torch.rand(3, generator=generator) * 2 - 1) * self.config.noise
        colours = (colour + noise).clamp(0, 1).expand(len(slab.vertices), 3)
        case.write("mesh", Mesh(slab.vertices, slab.faces, vertex_colors=colours.numpy()))


def register_tiny_stages() -> None:
    """Put the stages into this process's registry; twice does no harm."""
    for name in ("extrude", "paint"):
        if f"{METHOD}/{name}" not in registry.names("stage"):
            title = name.capitalize()
            entry = registry.Entry(f"{__name__}:{title}", f"{__name__}:{title}Config")
            registry.register("stage", f"{METHOD}/{name}", entry)


def tiny_method(**weights: Any) -> MethodConfig:
    """Return the section `method`: matting, extrude, paint."""
    stages = [
        Choice("matting", MattingConfig(size=64)),
        Choice(f"{METHOD}/extrude", ExtrudeConfig()),
        Choice(f"{METHOD}/paint", PaintConfig()),
    ]
    return MethodConfig(name=METHOD, stages=stages, weights=weights)
