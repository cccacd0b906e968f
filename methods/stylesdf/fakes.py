"""The random numbers of a batch of fakes, item by item.

B items of a batch, D numbers of a latent code, R side of the thumbnail, K numbers of an augmentation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from framework.systems.draws import Draws
from methods.stylesdf.augmentation import NUMBERS
from methods.stylesdf.cameras import ViewCameras, angles_from, cameras_at
from methods.stylesdf.config import AugmentConfig, CameraConfig, FullConfig, RendererConfig, VolumeConfig
from methods.stylesdf.nets.decoder import Decoder


@dataclass(frozen=True, eq=False)
class Drawn:
    """The random numbers of a batch of fakes."""

    z: tuple[Float[Tensor, "B D"], ...]
    """One latent code for each item, or two that are mixed."""

    cameras: ViewCameras
    """Where each item is seen from."""

    jitter: Tensor | None = None
    """Numbers in [0, 1) that move the samples of rays; None: not moved."""

    density_noise: Tensor | None = None
    """Standard normal numbers (B, R * R, samples) for raw densities."""

    noise: tuple[Tensor, ...] | None = None
    """Noise maps of the decoder; None: its own."""

    inject_index: int | None = None
    """With two codes, the layer from which the second counts."""

    augment: Tensor | None = None
    """Numbers in [0, 1) (B, K) that augment the pictures; None: they are shown as they are."""

    def part(self, rows: slice) -> Drawn:
        """The numbers of some items."""
        return Drawn(
            tuple(code[rows] for code in self.z),
            self.cameras[rows],
            None if self.jitter is None else self.jitter[rows],
            None if self.density_noise is None else self.density_noise[rows],
            None if self.noise is None else tuple(layer[rows] for layer in self.noise),
            self.inject_index,
            None if self.augment is None else self.augment[rows],
        )


def draw(draws: Draws, config: VolumeConfig | FullConfig) -> Drawn:
    """Draw what a thumbnail needs for each item: code, camera, jitter of the samples."""
    z = draws.normal(config.generator.style_dim)
    cameras = cameras_at(draw_angles(draws, config.camera), config.camera)
    rays = config.generator.renderer_resolution**2
    jitter = _jitter(draws, rays, config.renderer)
    noisy = not config.renderer.sdf and config.renderer.raw_noise_std > 0
    return Drawn(
        (z,),
        cameras,
        jitter,
        density_noise=draws.normal(rays, config.renderer.N_samples) if noisy else None,
        augment=draw_augmentation(draws, config.augment),
    )


def draw_mixed(draws: Draws, config: FullConfig, decoder: Decoder) -> Drawn:
    """The same, with the decoder's noise maps, and in a share `mixing` of the steps with two codes."""
    drawn = draw(draws, config)
    noise = tuple(draws.normal(*shape) for shape in decoder.noise_shapes)
    if torch.rand((), generator=draws.shared) >= config.loss.mixing:
        return replace(drawn, noise=noise)
    last = config.generator.decoder_layers - 1
    index = int(torch.randint(1, last + 1, (), generator=draws.shared))
    return replace(drawn, z=(*drawn.z, draws.normal(config.generator.style_dim)), noise=noise, inject_index=index)


def draw_augmentation(draws: Draws, config: AugmentConfig) -> Tensor | None:
    """Numbers for `augment`; None where nothing is augmented."""
    return draws.uniform(NUMBERS) if config.target else None


def draw_angles(draws: Draws, config: CameraConfig) -> Float[Tensor, "B 2"]:
    """Azimuth and elevation in radians for each item."""
    return angles_from(draws.uniform(2) if config.uniform else draws.normal(2), config)


def _jitter(draws: Draws, rays: int, config: RendererConfig) -> Tensor | None:
    if not config.perturb:
        return None
    return draws.uniform(rays, 1 if config.offset_sampling else config.N_samples)
