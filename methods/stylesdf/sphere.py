"""The beginning of a training: the SDF network learns a sphere, else it does not find a shape.

Dimension letters: B latents and cameras, R rows and columns, N samples of a ray.
"""

from __future__ import annotations

from dataclasses import replace
from math import isqrt
from typing import Protocol

from torch import Tensor
from torch.nn.functional import l1_loss

from framework.renderers.volume.sampling import stratified
from methods.stylesdf.cameras import ViewCameras
from methods.stylesdf.config import CameraConfig
from methods.stylesdf.nets.mapping import RendererMapping
from methods.stylesdf.nets.renderer import SdfRenderer, base_depths


class Sculptor(Protocol):
    """The part of a generator that makes shapes."""

    style: RendererMapping
    renderer: SdfRenderer


def sphere_points(renderer: SdfRenderer, cameras: ViewCameras, jitter: Tensor) -> Tensor:
    """(B, R * R, N, 3) world points along the rays of `cameras`, each in its own cell at the share `jitter` of it.

    jitter (B, R * R, N) in [0, 1) says by its shape how many rays and samples. ValueError where R is not whole.
    """
    count = jitter.shape[1]
    resolution = isqrt(count)
    if resolution**2 != count:
        raise ValueError(f"jitter of shape {tuple(jitter.shape)}, expected (B, R * R, N)")
    rays = cameras.rays(resolution)
    options = replace(renderer.config, N_samples=jitter.shape[2])
    return rays.at(stratified(base_depths(rays, cameras, options), jitter))


def sphere_targets(points: Tensor, config: CameraConfig | ViewCameras) -> Tensor:
    """(...) distance of world `points` (..., 3) to the sphere of radius (far - near) / 4 = dist_radius / 2."""
    return points.norm(dim=-1) - 0.5 * config.dist_radius


def sphere_loss(generator: Sculptor, z: Tensor, cameras: ViewCameras, jitter: Tensor) -> Tensor:
    """Mean absolute difference between the signed distances of codes z (B, D) and those of a sphere.

    On points along the rays of `cameras` (B), in every cell of a ray one at the share `jitter` (B, R * R, N).
    """
    points = sphere_points(generator.renderer, cameras, jitter)
    found = generator.renderer.sdf(generator.style(z), points.flatten(1, 2), cameras.dist_radius)
    return l1_loss(found, sphere_targets(points, cameras).flatten(1))
