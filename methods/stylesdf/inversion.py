"""From a photograph back to latents and a camera, by gradient descent through the generator.

The best of several starts, which are compared by small thumbnails, goes on: the renderer's latent (W) and the angles
are found from thumbnail and picture; then, where there is a decoder, its codes (W+) are freed too. Latents are counted
in deviations from the mean latent, so that one rate suits all networks, and how far they go is held against the
picture's error.

Dimension letters: B starts, D numbers of a latent, L layers of the decoder, R and S sides of thumbnail and picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import cos, pi

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from framework.artifacts.image import Image
from methods.stylesdf.cameras import angles_from, cameras_at
from methods.stylesdf.loaded import Loaded
from methods.stylesdf.nets.generator import GeneratorOutput
from methods.stylesdf.prediction.config import InvertConfig
from methods.stylesdf.sampling import OFFICIAL_SEED

SMALLEST = 8
"""Side of the coarsest pictures that are compared."""
SPREAD = 0.7
"""Deviations of the random latents among the starts: milder faces than the usual ones."""
Progress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class LatentStatistics:
    """Where latents lie."""

    mean: Tensor
    """(1, D)"""
    deviation: Tensor
    """(1, D)"""

    def latents(self, offsets: Tensor) -> Tensor:
        """Latents of offsets, which are counted in deviations."""
        return self.mean + self.deviation * offsets


@dataclass(frozen=True, eq=False)
class Guess:
    """What is found about a photograph."""

    offsets: Tensor
    """(B, D) the renderer's latents, in deviations from the mean."""
    angles: Tensor
    """(B, 2) azimuth and elevation in radians."""
    code_offsets: Tensor | None = None
    """(1, L, 2D) the decoder's codes, in deviations from those that follow from the latents; none: not free."""


@dataclass(frozen=True, eq=False)
class Inverted:
    """Latents and a camera whose picture is like the photograph."""

    latents: Tensor
    """(1, D)"""
    codes: Tensor | None
    """(1, L, 2D); none without a decoder."""
    angles: Tensor
    """(1, 2) azimuth and elevation in radians."""
    measures: dict[str, float]
    """Mean absolute differences between photograph and picture (of 1): `residual`, `residual_start` of the best start,
    `residual_thumbnail`; and `azimuth`, `elevation`, `latent_distance` (deviations from the mean)."""


def latent_statistics(latents: Tensor) -> LatentStatistics:
    """Mean and deviation of many latents (N, D)."""
    return LatentStatistics(latents.mean(dim=0, keepdim=True), latents.std(dim=0, keepdim=True).clamp(min=1e-6))


def picture_error(found: Tensor, wanted: Tensor, gradient_weight: float) -> Tensor:
    """(B,) mean absolute difference of pictures (B, 3, S, S) and of their gradients, over all halvings of the side."""
    errors = []
    while True:
        difference = found - wanted
        error = _size(difference)
        if gradient_weight:
            slopes = _size(difference.diff(dim=2)) + _size(difference.diff(dim=3))
            error = error + gradient_weight * slopes
        errors.append(error)
        if found.shape[-1] < 2 * SMALLEST:
            return torch.stack(errors).mean(dim=0)
        found, wanted = avg_pool2d(found, 2), avg_pool2d(wanted, 2)


def _size(values: Tensor) -> Tensor:
    """(B,) mean magnitude, smooth at zero."""
    return (values.square() + 1e-6).sqrt().flatten(1).mean(dim=1)


class Inversion:
    """Looks for one photograph (1, 3, S, S) in [-1, 1], of the side of its pictures, in what a generator can make."""

    def __init__(
        self,
        loaded: Loaded,
        config: InvertConfig,
        photograph: Tensor,
        progress: Progress = lambda text: None,
    ) -> None:
        self.generator, self.options, self.config = loaded.generator, loaded.rendering(), config
        self.camera = loaded.camera(config.camera)
        self.progress, self.photograph = progress, photograph
        self.thumbnail = shrunk(photograph, self.generator.resolution)
        source = torch.Generator().manual_seed(OFFICIAL_SEED)
        z = torch.randn(config.truncation_mean, loaded.style_dim, generator=source).to(photograph.device)
        with torch.no_grad():
            latents = self.generator.map(z)
            self.renderer = latent_statistics(latents)
            decoder = self.generator.decoder
            self.decoder = None if decoder is None else latent_statistics(decoder.map(latents))

    def run(self, seed: int) -> Inverted:
        """Find latents and camera; `seed` decides the random starts."""
        config, fine = self.config, self.generator.resolution
        coarse = max(SMALLEST, fine // 2)
        starts = self.best(self.candidates(seed), coarse, config.starts)
        first = self.residual(starts[0])
        searched = self._descended(starts, config.search_steps, "start", coarse)
        found = self._descended(self.best(searched, coarse, config.finalists), config.w_steps, "W", fine)
        (guess,) = self.best(found, fine, 1)
        if self.decoder is not None and config.w_plus_steps:
            layers = self.generator.decoder.layers  # type: ignore[union-attr]
            freed = replace(guess, code_offsets=self.decoder.mean.new_zeros(1, layers, self.decoder.mean.shape[1]))
            (guess,) = self._descended([freed], config.w_plus_steps, "W+", fine)
        return self._found(guess, first)

    def candidates(self, seed: int) -> list[Guess]:
        """The mean latent from nine sides, and random latents from random ones."""
        source = torch.Generator().manual_seed(seed)
        axis = torch.tensor([-1.0, 0.0, 1.0])
        spread = torch.tensor([self.camera.azim, self.camera.elev])
        grid = torch.cartesian_prod(axis, axis) * spread
        numbers = torch.randn(self.config.candidates, 2, generator=source)
        even = torch.rand(self.config.candidates, 2, generator=source)
        angles = torch.cat([grid, angles_from(even if self.camera.uniform else numbers, self.camera)])
        offsets = SPREAD * torch.randn(self.config.candidates, self.renderer.mean.shape[1], generator=source)
        offsets = torch.cat([torch.zeros(len(grid), offsets.shape[1]), offsets]).to(self.photograph.device)
        angles = angles.to(self.photograph.device)
        return [Guess(offsets[row : row + 1], angles[row : row + 1]) for row in range(len(angles))]

    @torch.no_grad()
    def best(self, guesses: Sequence[Guess], resolution: int, count: int) -> list[Guess]:
        """The `count` guesses that are nearest to the photograph, the nearest first."""
        if len(guesses) == 1:
            return list(guesses)
        errors = []
        for number, guess in enumerate(guesses, 1):
            self.progress(f"guess {number} of {len(guesses)}")
            errors.append(self.error(guess, resolution).item())
        return [guesses[row] for row in sorted(range(len(guesses)), key=errors.__getitem__)[:count]]

    def _descended(self, guesses: Sequence[Guess], steps: int, name: str, resolution: int) -> list[Guess]:
        return [
            self.descend(guess, steps, f"{name} {number} of {len(guesses)}", resolution)
            for number, guess in enumerate(guesses, 1)
        ]

    def descend(self, guess: Guess, steps: int, name: str, resolution: int) -> Guess:
        """Adam with a rate that falls to zero; the best guess on the way."""
        leaves = [leaf.clone().requires_grad_() for leaf in _parts(guess)]
        rates = [self.config.rate, self.config.camera_rate, self.config.rate]
        groups = [{"params": [leaf], "lr": rate} for leaf, rate in zip(leaves, rates, strict=False)]
        optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
        falling = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 * (1 + cos(pi * step / max(1, steps))))
        best, least = guess, float("inf")
        for step in range(1, steps + 1):
            here = Guess(*(leaf.detach().clone() for leaf in leaves))
            loss = self.error(Guess(*leaves), resolution)
            error = loss.item()
            if error < least:
                best, least = here, error
            for leaf, gradient in zip(leaves, torch.autograd.grad(loss, leaves), strict=True):
                leaf.grad = gradient
            optimizer.step()
            falling.step()
            self.progress(f"{name}, step {step} of {steps}, error {error:.4f}")
        return best

    def error(self, guess: Guess, resolution: int) -> Tensor:
        """How far a guess is from the photograph, and from the mean latent; thumbnails of `resolution` are compared."""
        made = self.made(guess, resolution)
        config = self.config
        thumbnail = shrunk(self.thumbnail, resolution)
        error = picture_error(made.thumbnail, thumbnail, config.gradient_weight).mean()
        if made.image is not None:
            whole = picture_error(made.image, self.photograph, config.gradient_weight).mean()
            error = 0.5 * (error + whole)
        error = error + config.latent_weight * guess.offsets.square().mean()
        if guess.code_offsets is not None:
            error = error + config.code_weight * guess.code_offsets.square().mean()
        return error

    def made(self, guess: Guess, resolution: int) -> GeneratorOutput:
        """What the generator makes of a guess: at a smaller resolution than its own the thumbnail alone."""
        latents, cameras = self.renderer.latents(guess.offsets), cameras_at(guess.angles, self.camera)
        if resolution != self.generator.resolution:
            return GeneratorOutput(self.generator.renderer(latents, cameras, resolution, options=self.options))
        codes = None if self.decoder is None else self.codes(guess)
        return self.generator(cameras, renderer_latents=latents, decoder_codes=codes, options=self.options)

    def codes(self, guess: Guess) -> Tensor:
        """(1, L, 2D) the decoder's codes of a guess."""
        assert self.decoder is not None
        codes = self.generator.decoder_codes([self.renderer.latents(guess.offsets)])
        return codes if guess.code_offsets is None else codes + self.decoder.deviation * guess.code_offsets

    @torch.no_grad()
    def residual(self, guess: Guess) -> tuple[float, float]:
        """Mean absolute difference (of 1) between photograph and picture, and between thumbnails."""
        made = self.made(guess, self.generator.resolution)
        thumbnail = _of_one(made.thumbnail, self.thumbnail)
        return (thumbnail if made.image is None else _of_one(made.image, self.photograph)), thumbnail

    @torch.no_grad()
    def _found(self, guess: Guess, first: tuple[float, float]) -> Inverted:
        residual, thumbnail = self.residual(guess)
        measures = {
            "residual": residual,
            "residual_start": first[0],
            "residual_thumbnail": thumbnail,
            "azimuth": float(guess.angles[0, 0]),
            "elevation": float(guess.angles[0, 1]),
            "latent_distance": float(guess.offsets.square().mean().sqrt()),
        }
        latents = self.renderer.latents(guess.offsets)
        return Inverted(latents, None if self.decoder is None else self.codes(guess), guess.angles, measures)


def shrunk(pictures: Tensor, side: int) -> Tensor:
    """Pictures (B, 3, S, S) at a smaller side, averaged over what each pixel covers."""
    if pictures.shape[-1] == side:
        return pictures
    return interpolate(pictures, (side, side), mode="area")


def _of_one(found: Tensor, wanted: Tensor) -> float:
    return float((found.clamp(-1.0, 1.0) - wanted).abs().mean()) / 2.0


def _parts(guess: Guess) -> Sequence[Tensor]:
    parts = [guess.offsets, guess.angles]
    return parts if guess.code_offsets is None else [*parts, guess.code_offsets]


def photograph_of(image: Image, size: int) -> Tensor:
    """(1, 3, size, size) in [-1, 1]: the middle square of a picture, over white."""
    pixels = image.over().pixels
    side = min(image.height, image.width)
    top, left = (image.height - side) // 2, (image.width - side) // 2
    square = Image(pixels[top : top + side, left : left + side]).resized(size)
    return 2.0 * torch.from_numpy(square.pixels).permute(2, 0, 1)[None] - 1.0
