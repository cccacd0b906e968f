"""The stage: from the foreground's outline to the mesh of an ellipsoid in its mean colour."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch

from atelier3d_ellipsoids.config import SolidConfig
from atelier3d_ellipsoids.systems import OutlineSystem
from framework.artifacts.image import Image
from framework.geometry.isosurface import marching_cubes
from framework.geometry.mesh import Mesh
from framework.pipeline.case import Case
from framework.pipeline.stage import Context, Stage, StageError


class Solid(Stage):
    """Predicts the ellipsoid and makes its mesh."""

    Config: ClassVar[type] = SolidConfig
    needs: ClassVar[Mapping[str, type]] = {"foreground": Image}
    gives: ClassVar[Mapping[str, type]] = {"mesh": Mesh}
    config: SolidConfig

    def __init__(self, config: SolidConfig, context: Context) -> None:
        super().__init__(config, context)
        self.system = OutlineSystem.load(context.weights_of("outline"), context.device)

    @torch.no_grad()
    def run(self, case: Case) -> None:
        """Write `mesh`; nothing about it is random."""
        picture = case.read("foreground").with_alpha()
        if picture.alpha.max() < 0.5:
            raise StageError("the foreground is empty", "Give a picture with an object")
        outline = torch.from_numpy(picture.resized(self.system.config.size).alpha)
        shape = self.system.shapes(outline[None].to(self.context.device))[0].cpu().numpy()
        solid = ellipsoid(shape, self.config.resolution)
        colour = picture.rgb[picture.alpha >= 0.5].mean(axis=0)
        case.write("mesh", Mesh(solid.vertices, solid.faces, np.tile(colour, (len(solid.vertices), 1))))


def ellipsoid(shape: np.ndarray, resolution: int) -> Mesh:
    """Return the mesh of an ellipsoid, given its centre x, y and radii x, y, z (5,)."""
    centre, radii = np.array([shape[0], shape[1], 0.0]), shape[2:]
    steps = np.linspace(-1.2, 1.2, resolution)
    units = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
    inside = 1 - np.linalg.norm(units, axis=-1)
    sphere = marching_cubes(inside, 1.2)
    return Mesh(sphere.vertices * radii + centre, sphere.faces)
