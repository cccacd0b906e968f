"""Options of StyleSDF's stages, under the published names where there are any. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Literal

from framework.config.errors import ConfigError
from methods.stylesdf.config import CameraConfig


@dataclass(kw_only=True)
class ViewConfig:
    """One view that is asked for."""

    azim: float = 0.0
    """Azimuth in radians; positive: the camera moves to the right (+X)."""
    elev: float = 0.0
    """Elevation in radians; positive: the camera moves up."""
    fov: float | None = None
    """Half the angle of view in degrees, 0.75 to 1.25 of the trained one looks well; null: the camera's."""

    def __post_init__(self) -> None:
        if self.fov is not None and not 0 < self.fov < 90:
            raise ConfigError("fov", f"is {self.fov}, expected half an angle of view: more than 0, below 90 degrees.")


@dataclass(kw_only=True)
class CameraChanges:
    """Options of the training cameras to change; null: as the weights were trained."""

    uniform: bool | None = None
    """Draw angles evenly instead of from a normal distribution."""
    azim: float | None = None
    """Deviation of the azimuth in radians; with `uniform` half its range."""
    elev: float | None = None
    """Deviation of the elevation in radians; with `uniform` half its range."""
    fov: float | None = None
    """Half the angle of view in degrees."""

    def __post_init__(self) -> None:
        self.over(CameraConfig())

    def over(self, camera: CameraConfig) -> CameraConfig:
        """Return the cameras with the changes."""
        changes = {item.name: getattr(self, item.name) for item in fields(self)}
        return replace(camera, **{name: value for name, value in changes.items() if value is not None})


@dataclass(kw_only=True)
class SampleConfig:
    """The stage `stylesdf/sample`: a seed becomes latents and pictures."""

    truncation_ratio: float = 0.5
    """How far latents may be from the mean one: 0 gives the mean face, 1 all that was learnt, at the price of
    failures."""
    truncation_mean: int = 10_000
    """Latents whose mean that is."""
    num_views_per_id: int = 1
    """Random views of each seed; of no effect where fixed ones or `views` are wanted."""
    fixed_camera_angles: bool = False
    """The 13 published views instead: the front, six from the sides, six from above and below."""
    views: list[ViewConfig] = field(default_factory=list)
    """These views instead: [{azim: 0.3, elev: 0.1, fov: 6.5}, ...]."""
    camera: CameraChanges = field(default_factory=CameraChanges)
    """Cameras that views are drawn from."""
    fixed_noise: Literal["auto", "random", "buffers"] = "auto"
    """The decoder's noise: drawn for each view, or the same in all of them, from the weights. `auto`: the same where
    there are several views (the original drew it)."""
    training_rendering: bool = False
    """Render as in training: directions of view in the world's axes, samples moved at random, open background."""
    official_draws: bool = False
    """Draw in the order of the published program, whose pictures come out on the kind of device that they were made
    on (a GPU): identity n is the seed n places after the run's."""

    def __post_init__(self) -> None:
        if not 0 <= self.truncation_ratio <= 2:
            raise ConfigError("truncation_ratio", f"is {self.truncation_ratio}, expected 0 to 2 (1: no truncation).")
        if self.truncation_mean < 1 or self.num_views_per_id < 1:
            name = "truncation_mean" if self.truncation_mean < 1 else "num_views_per_id"
            raise ConfigError(name, f"is {getattr(self, name)}, expected at least 1.")
        if self.views and self.fixed_camera_angles:
            raise ConfigError("views", "are given together with fixed_camera_angles. Give one.")


@dataclass(kw_only=True)
class MeshConfig:
    """The stage `stylesdf/mesh`: latents become a mesh, and each view a sheet through what it sees."""

    mesh_mode: Literal["grid", "frustum"] = "grid"
    """`grid`: the zero level on a regular grid in the world, coloured; `frustum`: as published, from the samples of
    the first view's rays, in that view's axes and slightly distorted, for comparisons."""
    surface_resolution: int = 128
    """Grid cells along an axis (`grid`); rows, columns and samples of a ray (`frustum` and sheets). Below 128 surfaces
    of full-size networks look noisy."""
    depth_meshes: bool = True
    """Make the sheets (`depth_meshes`)."""
    drop_background: bool = False
    """Leave points that are mostly background out of the sheets."""
    max_stretch: float = 0.0
    """Leave cells out of the sheets whose longest edge has more than so many times the usual length, as at outlines;
    0: none."""
    official_names: bool = False
    """Name sheets as published: whole degrees, where views with equal ones overwrite each other."""

    def __post_init__(self) -> None:
        _within(self, 8, 1024, "surface_resolution")
        if self.max_stretch != 0 and self.max_stretch <= 1:
            raise ConfigError("max_stretch", f"is {self.max_stretch}, expected more than 1, or 0 for none.")


@dataclass(kw_only=True)
class VideoConfig:
    """The stage `stylesdf/video`: latents become a film, and one of the surface."""

    frames: int = 250
    """Pictures of the film; the last one is the first one again."""
    fps: float = 25.0
    """Pictures per second."""
    azim_video: bool = False
    """Move the camera to and fro only, instead of along an ellipse."""
    camera: CameraChanges = field(default_factory=CameraChanges)
    """Cameras that say how far the path goes."""
    N_samples: int = 64
    """Samples of a ray."""
    no_surface_renderings: bool = False
    """Leave the film of the surface out."""
    surface_resolution: int = 128
    """Rows, columns and samples of a ray of the surface pass."""
    surface_size: int = 512
    """Side of the surface's pictures in pixels."""
    crf: int = 10
    """Quality of the film: 0 is without loss, 51 the worst."""
    surface_crf: int = 1
    """Quality of the surface's film."""
    project_noise: bool = False
    """Fix the decoder's noise to the surface, so that it moves with it."""
    mesh_mode: Literal["grid", "frustum"] = "grid"
    """Which mesh that noise is fixed to: as the option of this name of `stylesdf/mesh`, seen from the front."""
    noise_blending: Literal["nearest", "exact"] = "nearest"
    """How that noise is drawn: the nearest face; or as published, mixed with what is close behind (slow)."""
    official_subdivision: bool = False
    """Three subdivisions of the mesh for the noise of 512 pixels, as published, instead of the two that were meant."""

    def __post_init__(self) -> None:
        _within(self, 1, 10_000, "frames")
        _within(self, 2, 4096, "N_samples")
        _within(self, 8, 1024, "surface_resolution")
        _within(self, 8, 4096, "surface_size")
        _within(self, 0, 51, "crf", "surface_crf")
        if not 0 < self.fps <= 240:
            raise ConfigError("fps", f"is {self.fps}, expected more than 0, at most 240.")


@dataclass(kw_only=True)
class InvertConfig:
    """The stage `stylesdf/invert`: a photograph becomes the latents and the camera of a picture like it."""

    candidates: int = 48
    """Random latents and cameras that are looked at first, beside the mean face from nine sides."""
    starts: int = 4
    """The most similar of them, from which the search goes on."""
    search_steps: int = 40
    """Steps from each start, on thumbnails of half the side."""
    finalists: int = 2
    """The best of what is found so, which go on; the best of these is taken."""
    w_steps: int = 120
    """Steps in which the renderer's latent (W) and the camera are found."""
    w_plus_steps: int = 120
    """Steps in which the decoder's codes (W+) are free too; 0: they follow from W."""
    rate: float = 0.05
    """Learning rate of latents, in deviations from the mean latent a step."""
    camera_rate: float = 0.01
    """Learning rate of azimuth and elevation, in radians a step."""
    latent_weight: float = 0.002
    """Weight of the renderer's latent's distance from the mean one: more gives milder faces and better surfaces."""
    code_weight: float = 0.002
    """Weight of the codes' distance from those that follow from the renderer's latent."""
    gradient_weight: float = 1.0
    """Weight of the pictures' gradients beside their colours."""
    truncation_mean: int = 10_000
    """Latents whose mean and deviations these are."""
    camera: CameraChanges = field(default_factory=CameraChanges)
    """Cameras among which the photograph's is looked for; its angle of view is that of `fov`."""
    views: list[ViewConfig] = field(default_factory=list)
    """Views that are shown behind the found one; none: the front and one `azim` to either side."""

    def __post_init__(self) -> None:
        _within(self, 0, 100_000, "candidates", "search_steps", "w_steps", "w_plus_steps")
        _within(self, 1, 1000, "starts", "finalists")
        _within(self, 2, 10_000_000, "truncation_mean")
        _within(self, 0.0, 1e6, "latent_weight", "code_weight", "gradient_weight")
        for name in ("rate", "camera_rate"):
            if not 0 < getattr(self, name) <= 10:
                raise ConfigError(name, f"is {getattr(self, name)}, expected more than 0, at most 10.")


def _within(config: object, least: float, most: float, *names: str) -> None:
    for name in names:
        if not least <= getattr(config, name) <= most:
            raise ConfigError(name, f"is {getattr(config, name)}, expected {least:g} to {most:g}.")
