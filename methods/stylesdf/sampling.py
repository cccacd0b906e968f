"""From a seed to latents, cameras and noise: the views that are asked for, and who draws what when.

Dimension letters: V views, D numbers of a latent code, L layers of the decoder, r side of a layer's noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from methods.stylesdf.cameras import FIXED_VIEWS, ViewCameras, angles_from, cameras_at
from methods.stylesdf.config import CameraConfig
from methods.stylesdf.loaded import Loaded
from methods.stylesdf.nets.generator import MeanLatents
from methods.stylesdf.prediction.config import SampleConfig

OFFICIAL_SEED = 1234
"""With which the published programs seed all their random numbers; the mean latents are drawn with it here too."""
OFFICIAL_CHUNK = 8
"""Views for which the published program draws noise at once."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """The random numbers of one identity."""

    z: Tensor
    """(1, D) standard normal."""

    cameras: ViewCameras
    """V views."""

    noise: list[Tensor] | None
    """L tensors (V, 1, r, r); none: the decoder's own."""


class OwnDraws:
    """Each seed's numbers follow from it alone, and are the same on every device."""

    def __init__(self, loaded: Loaded, config: SampleConfig) -> None:
        self.loaded, self.config = loaded, config
        self.camera = loaded.camera(config.camera)
        self.means: MeanLatents | None = None
        if config.truncation_ratio != 1.0:
            source = torch.Generator().manual_seed(OFFICIAL_SEED)
            z = torch.randn(config.truncation_mean, loaded.style_dim, generator=source)
            self.means = loaded.generator.mean_latents(z.to(loaded.device))

    def of(self, seed: int) -> Drawn:
        """The numbers of a seed."""
        source, device = torch.Generator().manual_seed(seed), self.loaded.device
        z = torch.randn(1, self.loaded.style_dim, generator=source)
        cameras = views_of(self.config, self.camera, lambda shape, even: _numbers(shape, even, source))
        decoder, noise = self.loaded.generator.decoder, None
        if decoder is not None and _draws_noise(self.config, len(cameras)):
            shapes = [(len(cameras), *shape) for shape in decoder.noise_shapes]
            noise = [torch.randn(shape, generator=source).to(device) for shape in shapes]
        return Drawn(z.to(device), cameras.to(device), noise)


class OfficialDraws:
    """The published order of all numbers of a run: the mean latents', then those of one identity after the other."""

    def __init__(self, loaded: Loaded, config: SampleConfig, first_seed: int) -> None:
        self.loaded, self.config, self.first_seed = loaded, config, first_seed
        self.camera = loaded.camera(config.camera)
        self.means = self._restart()

    def of(self, seed: int) -> Drawn:
        """The numbers of the identity that is `seed` - `first_seed`, at least 0; those before it are drawn too."""
        number = seed - self.first_seed
        if number < self.next:
            self._restart()
        while self.next < number:
            self._draw()
        return self._draw()

    def _restart(self) -> MeanLatents | None:
        """Begin with the first identity, and return the mean latents that are drawn before it."""
        self.source = torch.Generator(self.loaded.device).manual_seed(OFFICIAL_SEED)
        self.next = 0
        if self.config.truncation_ratio == 1.0:
            return None
        return self.loaded.generator.mean_latents(self._codes(self.config.truncation_mean))

    def _draw(self) -> Drawn:
        self.next += 1
        z = self._codes(1)
        cameras = views_of(self.config, self.camera, self._columns).to(self.loaded.device)
        decoder = self.loaded.generator.decoder
        if decoder is None or not _draws_noise(self.config, len(cameras)):
            return Drawn(z, cameras, None)
        counts = [len(cameras[start : start + OFFICIAL_CHUNK]) for start in range(0, len(cameras), OFFICIAL_CHUNK)]
        chunks = [decoder.draw_noise(count, self.source) for count in counts]
        return Drawn(z, cameras, [torch.cat(layer) for layer in zip(*chunks, strict=True)])

    def _codes(self, count: int) -> Tensor:
        return _numbers((count, self.loaded.style_dim), False, self.source)

    def _columns(self, shape: tuple[int, int], even: bool) -> Tensor:
        """All azimuths, then all elevations."""
        return torch.cat([_numbers((shape[0], 1), even, self.source) for _ in range(shape[1])], dim=1)


def views_of(
    config: SampleConfig, camera: CameraConfig, numbers: Callable[[tuple[int, int], bool], Tensor]
) -> ViewCameras:
    """The views that are asked for. `numbers` makes (V, 2) random ones, in [0, 1) where its second argument is true."""
    if config.views:
        angles = torch.tensor([(view.azim, view.elev) for view in config.views])
        half_fov = torch.tensor([camera.fov if view.fov is None else view.fov for view in config.views])
        return cameras_at(angles, camera, half_fov)
    if config.fixed_camera_angles:
        return cameras_at(torch.tensor(FIXED_VIEWS) * torch.tensor([camera.azim, camera.elev]), camera)
    return cameras_at(angles_from(numbers((config.num_views_per_id, 2), camera.uniform), camera), camera)


def _draws_noise(config: SampleConfig, views: int) -> bool:
    """Whether each view has noise of its own."""
    own = views == 1 or config.official_draws
    return config.fixed_noise == "random" or (config.fixed_noise == "auto" and own)


def _numbers(shape: tuple[int, int], even: bool, source: torch.Generator) -> Tensor:
    draw = torch.rand if even else torch.randn
    return draw(shape, generator=source, device=source.device)
