"""Options of StyleSDF's networks, systems and stages, under the published names. Defaults are the published ones.

Groups follow what they describe; `system.camera.azim` is the published flag `--azim`. Options that had no effect in the
original (`n_mlp`, the size of `perturb`) are not here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log2
from typing import Literal

from framework.config.errors import ConfigError


@dataclass(kw_only=True)
class CameraConfig:
    """Where cameras stand: on the unit sphere, looking at the origin; (0, 0) is the front."""

    uniform: bool = False
    """Draw angles evenly instead of from a normal distribution."""
    azim: float = 0.3
    """Deviation of the azimuth in radians; with `uniform` half its range."""
    elev: float = 0.15
    """Deviation of the elevation in radians; with `uniform` half its range."""
    fov: float = 6.0
    """Half the angle of view in degrees."""
    dist_radius: float = 0.12
    """Depths reach from 1 - this to 1 + this: the object lies in a cube of this half width."""

    def __post_init__(self) -> None:
        _check_range(self, 0.0, 3.2, "azim", "elev")
        if not 0 < self.fov < 90:
            raise ConfigError("fov", f"is {self.fov}, expected half an angle of view: more than 0, below 90 degrees.")
        if not 0 < self.dist_radius < 1:
            raise ConfigError("dist_radius", f"is {self.dist_radius}, expected more than 0 and below 1.")


@dataclass(kw_only=True)
class RendererConfig:
    """The SDF network and how it is rendered."""

    depth: int = 8
    """Sine layers before the view layer."""
    width: int = 256
    """Channels of a sine layer, and of the features that are rendered."""
    N_samples: int = 24
    """Samples of a ray."""
    offset_sampling: bool = True
    """Move the samples of a ray together, by one random number; else each in its own cell."""
    perturb: bool = True
    """Move samples at random at all."""
    z_normalize: bool = True
    """Scale points so that the cube is [-1, 1]^3 for the network."""
    static_viewdirs: bool = False
    """Tell the network directions in the camera's axes instead of the world's. Prediction turns this on."""
    force_background: bool = False
    """The last sample takes all light that is left. Prediction turns this on."""
    sdf: bool = True
    """The network says signed distances; else densities (softplus)."""
    raw_noise_std: float = 0.0
    """Only without `sdf`: deviation of noise on raw densities in training."""
    beta_init: float = 0.1
    """Beta, the softness of the surface in world units, that a training begins with. Short trainings need a surface
    that is sharp from the start: with soft ones everything may come to lie inside, long before beta is small."""
    beta_min: float = 0.0
    """Smallest beta in training; the original (0) lets beta cross zero, which gives negative
    densities."""
    chunk_points: int = 65_536
    """Points asked of the network at once where no gradient is kept."""

    def __post_init__(self) -> None:
        _check_range(self, 1, 4096, "depth", "width")
        _check_range(self, 1, 2**26, "chunk_points")
        if self.N_samples < 2:
            raise ConfigError("N_samples", f"is {self.N_samples}, expected at least 2.")
        if self.beta_init <= 0:
            raise ConfigError("beta_init", f"is {self.beta_init}, expected more than 0.")
        if self.raw_noise_std < 0 or self.beta_min < 0:
            raise ConfigError("raw_noise_std" if self.raw_noise_std < 0 else "beta_min", "is negative.")


@dataclass(kw_only=True)
class GeneratorConfig:
    """Sizes of the generator and of the discriminators."""

    size: int = 1024
    """Side of the pictures in pixels (the system `stylesdf/volume` makes only thumbnails and ignores it)."""
    style_dim: int = 256
    """Numbers of a latent code; must equal `renderer.width`. The decoder uses twice as many."""
    channel_multiplier: int = 2
    """Factor on the channels of layers above 32 pixels."""
    channel_max: int | None = None
    """No layer of decoder or discriminator has more channels than this; null: as published."""
    lr_mapping: float = 0.01
    """Factor on the learning rate of the decoder's mapping network."""
    renderer_resolution: int = 64
    """Side of the rendered thumbnail and of the features that the decoder begins with."""

    def __post_init__(self) -> None:
        for name in ("size", "renderer_resolution"):
            value = getattr(self, name)
            if value < 8 or value & (value - 1):
                raise ConfigError(name, f"is {value}, expected a power of two of at least 8.")
        if self.style_dim < 1 or self.channel_multiplier < 1:
            raise ConfigError("style_dim" if self.style_dim < 1 else "channel_multiplier", "must be at least 1.")

    @property
    def decoder_layers(self) -> int:
        """Latent codes that the decoder takes: 2 * (log2 size - log2 renderer_resolution) + 2."""
        return 2 * (round(log2(self.size)) - round(log2(self.renderer_resolution))) + 2


@dataclass(kw_only=True)
class AugmentConfig:
    """Adaptive discriminator augmentation for small sets (Karras et al. 2020); the original has none."""

    target: float = 0.0
    """Share of real pictures' logits above zero, less those below, that the strength is steered to (0.6 is usual);
    0: no augmentation."""
    images: int = 500_000
    """Pictures in which the strength can go from 0 to 1."""
    color: bool = True
    """Change brightness, contrast, saturation and hue."""
    geometry: bool = True
    """Move, scale and turn by little, and cut out a square."""

    def __post_init__(self) -> None:
        if not 0 <= self.target < 1:
            raise ConfigError("target", f"is {self.target}, expected 0 (no augmentation) or a share below 1, as 0.6.")
        if self.images < 1:
            raise ConfigError("images", f"is {self.images}, expected at least 1.")


@dataclass(kw_only=True)
class VolumeLossConfig:
    """Weights of the losses of `stylesdf/volume`."""

    r1: float = 10.0
    """Gradient penalty on real pictures."""
    view_lambda: float = 15.0
    """Pose regression; 0 takes the pose branch out of the discriminator."""
    eikonal_lambda: float = 0.1
    """Length one of the distance's gradient."""
    min_surf_lambda: float = 0.05
    """Minimal surface."""
    min_surf_beta: float = 100.0
    """Factor in the exponent of the minimal-surface term."""
    anchor_lambda: float = 0.0
    """Weight of what keeps the front of the cube outside of the surface and its centre inside. The original has none:
    its long trainings find a surface. In short ones pictures come to be painted on the near or the far plane, which
    pleases the discriminator as well."""
    accumulate: Literal["mean", "sum"] = "mean"
    """Gradients of a batch's chunks: their mean, or, as in the original, their sum."""


@dataclass(kw_only=True)
class FullLossConfig:
    """Weights and intervals of the losses of `stylesdf/full`."""

    r1: float = 10.0
    """Gradient penalty on real pictures."""
    d_reg_every: int = 16
    """Steps between gradient penalties, which count so many times more."""
    path_regularize: float = 2.0
    """Weight of the path-length penalty."""
    path_batch_shrink: int = 2
    """The path-length penalty is taken on the batch divided by this."""
    g_reg_every: int = 4
    """Steps between path-length penalties, which count so many times more; 0: never."""
    mixing: float = 0.9
    """Share of steps whose decoder takes its codes from two latents."""
    accumulate: Literal["mean", "sum"] = "mean"
    """Gradients of a batch's chunks: their mean, or, as in the original, their sum."""

    def __post_init__(self) -> None:
        if self.d_reg_every < 1 or self.path_batch_shrink < 1 or self.g_reg_every < 0:
            raise ConfigError("d_reg_every", "and path_batch_shrink must be at least 1, g_reg_every at least 0.")


@dataclass(kw_only=True)
class VolumeOptimConfig:
    """The two Adam optimisers of `stylesdf/volume`."""

    g_lr: float = 2e-5
    """Learning rate of the generator."""
    d_lr: float = 2e-4
    """Learning rate of the discriminator."""
    betas: tuple[float, float] = (0.0, 0.9)
    """Decay of the running means of gradients and of their squares."""


@dataclass(kw_only=True)
class FullOptimConfig:
    """The two Adam optimisers of `stylesdf/full`, corrected for lazy regularisation (Karras et al. 2020)."""

    lr: float = 0.002
    """Learning rate before the correction."""
    betas: tuple[float, float] = (0.0, 0.99)
    """Decays before the correction."""


@dataclass(kw_only=True)
class SphereInitConfig:
    """How the SDF network begins: as a sphere, else it does not find a shape."""

    mode: Literal["run", "load", "off"] = "run"
    """`run`: the first steps of the training teach it; `load`: take `path`; `off`: begin at random."""
    steps: int = 10_000
    """Steps of `run`; they count as steps of the training."""
    batch: int = 3
    """Latents of such a step in each process."""
    path: str = ""
    """Weights of `load`, whose generators are taken: the published `sphere_init.pt`, a run that was stopped after these
    steps, or one on smaller thumbnails, since no weight of a generator depends on their size."""

    def __post_init__(self) -> None:
        if self.mode == "load" and not self.path:
            raise ConfigError("path", "is missing. Give it: system.sphere_init.path=<sphere_init.pt, run id or folder>")


@dataclass(kw_only=True)
class AverageConfig:
    """The running average of the generator's weights, which predictions use."""

    half_life_images: float = 10_000.0
    """Pictures after which a weight's share of the average has halved."""
    batch_reference: int = 32
    """Pictures that a step counts as, whatever the batch, as in the original."""

    @property
    def decay(self) -> float:
        """Decay of the average in a step."""
        return float(0.5 ** (self.batch_reference / self.half_life_images))


@dataclass(kw_only=True)
class VolumeConfig:
    """The system `stylesdf/volume`: SDF renderer and its mapping network against a pose-aware discriminator."""

    camera: CameraConfig = field(default_factory=CameraConfig)
    """Training cameras."""
    renderer: RendererConfig = field(default_factory=RendererConfig)
    """The SDF network."""
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    """Sizes."""
    loss: VolumeLossConfig = field(default_factory=VolumeLossConfig)
    """Losses."""
    optim: VolumeOptimConfig = field(default_factory=VolumeOptimConfig)
    """Optimisers."""
    sphere_init: SphereInitConfig = field(default_factory=SphereInitConfig)
    """The beginning."""
    ema: AverageConfig = field(default_factory=AverageConfig)
    """Average of the generator's weights."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """Augmentation of what the discriminator sees."""
    chunk: int = 6
    """Items of a batch whose gradients are computed at once: memory, not results."""

    def __post_init__(self) -> None:
        _check_widths(self)


@dataclass(kw_only=True)
class FullConfig:
    """The system `stylesdf/full`: the frozen renderer's features become large pictures by a style-based decoder."""

    volume: str = ""
    """Weights of the renderer that a new training begins with: a run id, a folder, a hub id or an official file of
    `stylesdf/volume`. Camera, renderer and the sizes of both must agree."""
    camera: CameraConfig = field(default_factory=CameraConfig)
    """Training cameras."""
    renderer: RendererConfig = field(default_factory=RendererConfig)
    """The SDF network."""
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    """Sizes."""
    loss: FullLossConfig = field(default_factory=FullLossConfig)
    """Losses."""
    optim: FullOptimConfig = field(default_factory=FullOptimConfig)
    """Optimisers."""
    ema: AverageConfig = field(default_factory=AverageConfig)
    """Average of the generator's weights."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """Augmentation of what the discriminator sees."""
    chunk: int = 2
    """Items of a batch whose gradients are computed at once; the discriminator compares the items of a chunk."""

    def __post_init__(self) -> None:
        _check_widths(self)
        if self.generator.size < self.generator.renderer_resolution:
            raise ConfigError("generator.size", "is below generator.renderer_resolution.")


def _check_widths(config: VolumeConfig | FullConfig) -> None:
    if config.generator.style_dim != config.renderer.width:
        raise ConfigError(
            "generator.style_dim",
            f"is {config.generator.style_dim}, but renderer.width is {config.renderer.width}: they must be equal. "
            f"Give both: generator.style_dim={config.renderer.width} renderer.width={config.renderer.width}",
        )
    if config.chunk < 1:
        raise ConfigError("chunk", f"is {config.chunk}, expected at least 1.")


def _check_range(config: object, least: float, most: float, *names: str) -> None:
    for name in names:
        if not least <= getattr(config, name) <= most:
            raise ConfigError(name, f"is {getattr(config, name)}, expected {least:g} to {most:g}.")
