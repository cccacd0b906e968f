"""Carving: a mesh deformed and remeshed until pictures of its normals are those that are wanted.

Dimension letters: B pictures, V vertices, F faces, H rows, W columns.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from framework.geometry.camera import homogeneous
from framework.geometry.normals import smooth_normals
from framework.geometry.remeshing.collapse import random_picks
from framework.geometry.remeshing.optimizer import Picks, RemeshingOptimizer
from framework.renderers.config import CarvingConfig
from framework.renderers.rasterizer import Rasterizer

Loss = Callable[[Tensor, Tensor], Tensor]
"""What positions (V, 3) and faces (F, 3) are worth: a number with gradients to the positions."""


@dataclass(frozen=True, eq=False)
class CarvedMesh:
    """What `carve` found."""

    positions: Tensor
    """(V, 3), without gradients."""

    faces: Tensor
    """(F, 3) int64."""

    losses: list[float]
    """The loss before each step."""


def carve(
    positions: Tensor, faces: Tensor, loss_of: Loss, config: CarvingConfig, picks: Picks = random_picks
) -> CarvedMesh:
    """Lower `loss_of` from the mesh of `positions` (V, 3) and `faces` (F, 3) int64 by steps with remeshing in between.

    picks: draws which edges bad faces collapse; give `random_picks` a generator for results that can be repeated.
    MeshError for meshes that can't be used, gradients that are not finite, and when nothing of the mesh is left.
    """
    optimizer = RemeshingOptimizer(positions, faces, config.remeshing)
    losses = []
    for step in range(1, config.steps + 1):
        loss = loss_of(optimizer.positions, optimizer.faces)
        loss.backward()
        losses.append(loss.detach())
        optimizer.learning_rate *= config.decay
        optimizer.step(adapt_length=step % config.adaptation_interval(step) == 0)
        if (step - 1) % config.remesh_every == 0:
            optimizer.remesh(picks)
    values = torch.stack(losses).tolist() if losses else []
    return CarvedMesh(optimizer.positions.detach(), optimizer.faces, values)


def draw_vectors(
    vectors: Tensor,
    positions: Tensor,
    faces: Tensor,
    clip_from_world: Tensor,
    resolution: tuple[int, int],
    rasterizer: Rasterizer,
) -> Tensor:
    """Pictures (B, H, W, 4) of the `vectors` (V, 3) in [-1, 1] of vertices, as colours in [0, 1] and coverage.

    Silhouettes are smooth and have gradients; outside all channels are 0. clip_from_world: (B, 4, 4). Vectors are not
    brought back to unit length between vertices.
    """
    clip = homogeneous(positions) @ clip_from_world.mT
    fragments = rasterizer.rasterize(clip, faces, resolution)
    colours = rasterizer.interpolate((vectors * 0.5 + 0.5)[None], fragments, faces)
    picture = torch.cat([colours, fragments.mask[..., None].to(colours.dtype)], 3)
    return rasterizer.antialias(picture, fragments, clip, faces)


@dataclass(frozen=True, eq=False)
class NormalTargets:
    """Pictures of normals that a mesh should give; made from pictures like those of `draw_vectors`."""

    normals: Tensor
    """(B, H, W, 3) world normals as (n + 1) / 2, 0 outside."""

    mask: Tensor
    """(B, H, W) coverage."""

    clip_from_world: Tensor
    """(B, 4, 4) the cameras."""

    weights: Tensor
    """(B,) how much each picture counts."""

    def losses(self, positions: Tensor, faces: Tensor, rasterizer: Rasterizer) -> tuple[Tensor, Tensor]:
        """Mean weighted differences of normals and of coverage between the mesh's pictures and these."""
        size = self.mask.shape[1], self.mask.shape[2]
        normals = smooth_normals(positions, faces)
        picture = draw_vectors(normals, positions, faces, self.clip_from_world, size, rasterizer)
        of_normals = (picture[..., :3] - self.normals).abs().mean((1, 2, 3))
        of_mask = (picture[..., 3] - self.mask).abs().mean((1, 2))
        return (of_normals * self.weights).mean(), (of_mask * self.weights).mean()
