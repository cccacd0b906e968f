"""StyleSDF's renderer: the field of a latent, sampled along rays and composited.

Dimension letters: B latents and cameras, D numbers of a latent, R rows and columns, N samples of a ray, P points,
W channels of the features.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from framework.renderers.volume.compositing import RenderOut
from framework.renderers.volume.densities import density_opacity, sigmoid_density
from framework.renderers.volume.fields import FieldSamples
from framework.renderers.volume.rays import Rays, between
from framework.renderers.volume.renderer import Placement, SampledRenderer, Stretches
from framework.renderers.volume.sampling import evenly, gaps, shifted, stratified
from methods.stylesdf.cameras import ViewCameras
from methods.stylesdf.config import RendererConfig
from methods.stylesdf.nets.film_siren import FilmSiren, SirenOutput
from methods.stylesdf.nets.precision import full_precision

EXTRAS = ("features", "xyz", "mask", "sdf", "gradient")
BEHIND = 1e10
"""Length of the stretch behind the last sample."""


@dataclass(frozen=True, eq=False)
class Rendered:
    """What cameras see; all but `rgb` only if asked for."""

    rgb: Tensor
    """(B, 3, R, R) in [-1, 1]."""

    features: Tensor | None = None
    """(B, W, R, R) composited features."""

    xyz: Tensor | None = None
    """(B, 3, R, R) composited positions in the world."""

    mask: Tensor | None = None
    """(B, 1, R, R) weight of the last sample: the background."""

    sdf: Tensor | None = None
    """(B, R, R, N) signed distances of the samples (without `sdf` in the options: raw densities)."""

    gradient: Tensor | None = None
    """(B, R, R, N, 3) gradients of these with respect to world positions; differentiable where gradients are on."""


@dataclass(frozen=True)
class SirenField:
    """The field of B latents (B, D), asked in world coordinates: points (B, ..., 3)."""

    network: FilmSiren
    latents: Tensor
    scale: float
    """From the world to the network."""
    signed: bool
    """The network says signed distances."""

    def query(self, points: Tensor, directions: Tensor) -> FieldSamples:
        """Colour in [0, 1], features, and signed distance or raw density."""
        return self._samples(self.network(points * self.scale, directions, self.latents))

    def query_with_gradient(self, points: Tensor, directions: Tensor) -> tuple[FieldSamples, Tensor]:
        """The same, and the gradient of the signed distance or raw density with respect to world points."""
        found, gradient = self.network.with_gradient(points * self.scale, directions, self.latents)
        return self._samples(found), self.scale * gradient

    def _samples(self, found: SirenOutput) -> FieldSamples:
        rgb, surface, features = found
        return FieldSamples(
            sdf=surface if self.signed else None,
            density=None if self.signed else surface,
            colour=rgb.sigmoid(),
            features=features,
        )

    def distance(self, points: Tensor) -> Tensor:
        """(B, ...) what `query` says of the surface alone: signed distance, or raw density."""
        return self.network.sdf(points * self.scale, self.latents)


class SdfRenderer(nn.Module):
    """Latents and cameras -> thumbnails, features, surfaces; float32 always."""

    def __init__(self, config: RendererConfig, style_dim: int) -> None:
        super().__init__()
        self.config = config
        if config.sdf:
            self.sigmoid_beta = nn.Parameter(torch.full((1,), config.beta_init))
        self.network = FilmSiren(config, style_dim)

    def forward(
        self,
        latents: Tensor,
        cameras: ViewCameras,
        resolution: int,
        *,
        options: RendererConfig | None = None,
        jitter: Tensor | None = None,
        density_noise: Tensor | None = None,
        extras: Collection[str] = (),
    ) -> Rendered:
        """What B cameras see of the fields of latents (B, D), in R = `resolution` rows and columns.

        `options` (how to sample and composite) go in place of the config's. `jitter`, uniform numbers in [0, 1) of
        shape (B, R * R, 1) for offset sampling, else (B, R * R, N), moves the samples; with `perturb` it is drawn if
        not given. `density_noise` (B, R * R, N), standard normal, is for networks of densities, and drawn in training
        if `raw_noise_std` asks for it. `extras` out of `EXTRAS`; ValueError for others.
        """
        unknown = set(extras) - set(EXTRAS)
        if unknown:
            raise ValueError(f"extras: {', '.join(sorted(unknown))} unknown. Choose from {', '.join(EXTRAS)}")
        options = self.config if options is None else options
        with full_precision(latents.device):
            rays = cameras.rays(resolution, options.static_viewdirs)
            noise = self._noise(density_noise, rays, options)
            renderer = self._renderer(cameras, options, jitter, noise, extras)
            out = renderer.render(self.field(latents, cameras.dist_radius, options), rays)
        return _pictures(out, resolution, extras)

    def field(self, latents: Tensor, dist_radius: float, options: RendererConfig | None = None) -> SirenField:
        """The field of latents (B, D) in world coordinates; `dist_radius` is the cameras' (half the object's cube)."""
        options = self.config if options is None else options
        return SirenField(self.network, latents, 1.0 / dist_radius if options.z_normalize else 1.0, self.config.sdf)

    def sdf(self, latents: Tensor, points: Tensor, dist_radius: float) -> Tensor:
        """(B, P) signed distances (or raw densities) of world `points` (B, P, 3) for latents (B, D)."""
        return self.field(latents, dist_radius).distance(points)

    @property
    def beta(self) -> Tensor:
        """(1,) sharpness of the surface; in training not below `beta_min`, if that is given."""
        if self.training and self.config.beta_min > 0:
            return self.sigmoid_beta.clamp(min=self.config.beta_min)
        return self.sigmoid_beta

    def _renderer(
        self,
        cameras: ViewCameras,
        options: RendererConfig,
        jitter: Tensor | None,
        noise: Tensor | None,
        extras: Collection[str],
    ) -> SampledRenderer:
        def place(rays: Rays) -> Placement:
            span = between(rays, cameras.near, cameras.far)
            depths = base_depths(rays, cameras, options)
            return Placement(_moved(depths, jitter, cameras.far, options), span.hit, noise=noise)

        def cut(answers: FieldSamples, rays: Rays, placement: Placement) -> Stretches:
            lengths = gaps(placement.depths, BEHIND) * rays.directions.norm(dim=-1, keepdim=True)
            density = self._density(answers, placement.noise, options)
            return Stretches(density_opacity(density, lengths), answers, placement.depths)

        wanted = {"features": "features", "xyz": "points", "gradient": "gradient"}
        names = [name for extra, name in wanted.items() if extra in extras]
        if "sdf" in extras:
            names.append("sdf" if self.config.sdf else "density")
        # Training keeps all rays at once: its batches are cut into chunks before they come here.
        rays_at_once = max(1, options.chunk_points // (options.N_samples * len(cameras)))
        chunk = 2**62 if torch.is_grad_enabled() else rays_at_once
        return SampledRenderer(
            place=place, cut=cut, epsilon=1e-10, closed=options.force_background, extras=names, chunk=chunk
        )

    def _density(self, answers: FieldSamples, noise: Tensor | None, options: RendererConfig) -> Tensor:
        if self.config.sdf:
            return sigmoid_density(answers.shape(), self.beta)
        raw = answers.shape()
        return softplus(raw if noise is None else raw + options.raw_noise_std * noise)

    def _noise(self, given: Tensor | None, rays: Rays, options: RendererConfig) -> Tensor | None:
        if given is not None or self.config.sdf or not self.training or options.raw_noise_std == 0:
            return given
        return torch.randn(*rays.origins.shape[:-1], options.N_samples, device=rays.origins.device)


def base_depths(rays: Rays, cameras: ViewCameras, options: RendererConfig) -> Tensor:
    """(B, R * R, N) depths before they are moved: the starts of equal parts, or from end to end."""
    return evenly(between(rays, cameras.near, cameras.far), options.N_samples, ends=not options.offset_sampling)


def _moved(depths: Tensor, jitter: Tensor | None, far: float, options: RendererConfig) -> Tensor:
    """Depths moved by `jitter`, which is drawn where none is given but the options ask for it."""
    offset = options.offset_sampling
    if jitter is None:
        if not options.perturb:
            return depths
        jitter = torch.rand(*depths.shape[:-1], 1 if offset else depths.shape[-1], device=depths.device)
    if offset:
        return shifted(depths, jitter, depths.new_full(depths.shape[:-1], far))
    return stratified(depths, jitter)


def _pictures(out: RenderOut, resolution: int, extras: Collection[str]) -> Rendered:
    """The renderer's rays as pictures."""
    size = (resolution, resolution)

    def picture(values: Tensor) -> Tensor:
        return values.transpose(1, 2).unflatten(2, size)

    found = out.extras
    raw = found.get("sdf", found.get("density"))
    assert out.weights is not None
    return Rendered(
        rgb=picture(2.0 * out.colour - 1.0),
        features=picture(found["features"]) if "features" in found else None,
        xyz=picture(found["points"]) if "points" in found else None,
        mask=picture(out.weights[..., -1:]) if "mask" in extras else None,
        sdf=None if raw is None else raw.unflatten(1, size),
        gradient=found["gradient"].unflatten(1, size) if "gradient" in found else None,
    )
