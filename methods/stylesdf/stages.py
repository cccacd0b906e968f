"""StyleSDF's stages: a seed or a photograph becomes latents and pictures; the latents a mesh, and films."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from framework.artifacts.image import Image
from framework.artifacts.latent_set import LatentSet
from framework.artifacts.layered_mesh import LayeredMesh
from framework.artifacts.multi_view import MultiView
from framework.artifacts.video import Video
from framework.export.video import make_video
from framework.geometry.isosurface import EmptySurface
from framework.geometry.mesh import Mesh
from framework.pipeline.case import Case
from framework.pipeline.stage import Context, Stage, StageError
from framework.renderers.torch_rasterizer import TorchRasterizer
from methods.stylesdf.cameras import ViewCameras, cameras_at, video_angles
from methods.stylesdf.config import CameraConfig
from methods.stylesdf.inversion import Inversion, photograph_of
from methods.stylesdf.loaded import Loaded
from methods.stylesdf.noise_projection import ProjectedNoise
from methods.stylesdf.pictures import cameras_of_views, shape_frame
from methods.stylesdf.portraits import GIVES, take_pictures
from methods.stylesdf.prediction.config import InvertConfig, MeshConfig, SampleConfig, VideoConfig, ViewConfig
from methods.stylesdf.sampling import OfficialDraws, OwnDraws
from methods.stylesdf.surface import (
    depth_mesh,
    frontal_camera,
    frustum_mesh,
    grid_mesh,
    official_sheet_names,
    sheet_names,
    surface_pass,
)
from methods.stylesdf.video import NoiseOf, picture_frames, surface_frames

logger = logging.getLogger(__name__)

FINE = 128
"""Resolution below which surfaces of full-size networks look noisy."""
FULL_WIDTH = 256
"""Width of full-size networks."""


class Sample(Stage):
    """Draws a face from a seed and takes its pictures."""

    Config: ClassVar[type] = SampleConfig
    gives: ClassVar[Mapping[str, type]] = GIVES
    may_give: ClassVar[Mapping[str, type]] = {"decoder_latents": LatentSet}
    config: SampleConfig

    @torch.no_grad()
    def __init__(self, config: SampleConfig, context: Context, loaded: Loaded | None = None) -> None:
        super().__init__(config, context)
        self.loaded = loaded or Loaded.of(context)
        self.options = self.loaded.rendering(training=config.training_rendering)
        self.draws: OwnDraws | OfficialDraws = (
            OfficialDraws(self.loaded, config, context.seed) if config.official_draws else OwnDraws(self.loaded, config)
        )

    @torch.no_grad()
    def run(self, case: Case) -> None:
        """Write the latents, one picture per view, and all views in a row."""
        drawn = self.draws.of(case.seed)
        generator, psi, means = self.loaded.generator, self.config.truncation_ratio, self.draws.means
        latents = generator.truncated(generator.map(drawn.z), psi, means)
        codes = None if generator.decoder is None else generator.decoder_codes([latents], psi=psi, means=means)
        jitter = self._jitter(len(drawn.cameras), case.seed)
        take_pictures(self.loaded, latents, codes, drawn.cameras, self.options, drawn.noise, jitter).write(case)

    def _jitter(self, views: int, seed: int) -> Tensor | None:
        """Numbers that move the samples of V views, where training does that."""
        options = self.options
        if not options.perturb:
            return None
        shape = (views, self.loaded.config.generator.renderer_resolution**2)
        source = torch.Generator().manual_seed(seed)
        drawn = torch.rand(*shape, 1 if options.offset_sampling else options.N_samples, generator=source)
        return drawn.to(self.context.device)


class Invert(Stage):
    """Finds latents and a camera whose picture is like a photograph, and takes pictures of them."""

    Config: ClassVar[type] = InvertConfig
    needs: ClassVar[Mapping[str, type]] = {"input": Image}
    uses: ClassVar[Mapping[str, type]] = {"foreground": Image}
    gives: ClassVar[Mapping[str, type]] = GIVES
    may_give: ClassVar[Mapping[str, type]] = {"decoder_latents": LatentSet}
    config: InvertConfig

    def __init__(self, config: InvertConfig, context: Context, loaded: Loaded | None = None) -> None:
        super().__init__(config, context)
        self.loaded = loaded or Loaded.of(context)

    def run(self, case: Case) -> None:
        """Write the latents, the found view and others of the same face; `case.json` gets the differences that stay."""
        image: Image = case.read("foreground" if case.has("foreground") else "input")
        photograph = photograph_of(image, self.loaded.size).to(self.loaded.device)
        found = Inversion(self.loaded, self.config, photograph, case.progress).run(case.seed)
        case.measure(**found.measures)
        with torch.no_grad():
            cameras = self._views(found.angles)
            take_pictures(self.loaded, found.latents, found.codes, cameras, self.loaded.rendering()).write(case)

    def _views(self, angles: Tensor) -> ViewCameras:
        """The found camera, then the others."""
        camera = self.loaded.camera(self.config.camera)
        views = self.config.views or [ViewConfig(azim=share * camera.azim) for share in (0.0, -1.0, 1.0)]
        others = angles.new_tensor([(view.azim, view.elev) for view in views])
        lenses = [camera.fov, *(camera.fov if view.fov is None else view.fov for view in views)]
        return cameras_at(torch.cat([angles, others]), camera, angles.new_tensor(lenses))


class MeshStage(Stage):
    """Extracts the surface of the latents, and a sheet through what each view sees."""

    Config: ClassVar[type] = MeshConfig
    needs: ClassVar[Mapping[str, type]] = {"renderer_latents": LatentSet, "views": MultiView}
    gives: ClassVar[Mapping[str, type]] = {"mesh": Mesh}
    may_give: ClassVar[Mapping[str, type]] = {"depth_meshes": LayeredMesh}
    config: MeshConfig

    def __init__(self, config: MeshConfig, context: Context, loaded: Loaded | None = None) -> None:
        super().__init__(config, context)
        self.loaded = loaded or Loaded.of(context)
        self.options = self.loaded.rendering()
        warn_of_coarse_surface(self.loaded, config.surface_resolution)

    @torch.no_grad()
    def run(self, case: Case) -> None:
        """Write `mesh` and, if wanted, `depth_meshes`; StageError where there is no surface."""
        latents = read_latents(case, self.loaded)
        cameras = read_cameras(case, self.loaded)
        case.write("mesh", shape_frame(self._mesh(latents, cameras[:1]), cameras.dist_radius))
        if self.config.depth_meshes:
            self._write_sheets(case, latents, cameras)

    def _mesh(self, latents: Tensor, camera: ViewCameras) -> Mesh:
        try:
            return surface_mesh(self.loaded, latents, camera, self.config.mesh_mode, self.config.surface_resolution)
        except EmptySurface as error:
            raise StageError(
                f"the surface is empty ({error})", "Try another seed, or weights that were trained for longer"
            ) from error

    def _write_sheets(self, case: Case, latents: Tensor, cameras: ViewCameras) -> None:
        official = self.config.official_names
        names = official_sheet_names(cameras, case.seed - self.context.seed) if official else sheet_names(cameras)
        sheets = {}
        for view, name in enumerate(names):
            seen = surface_pass(
                self.loaded.generator.renderer,
                latents,
                cameras[view : view + 1],
                self.options,
                self.config.surface_resolution,
            )
            mesh = depth_mesh(seen, self.config.drop_background, self.config.max_stretch)
            if mesh is None:
                logger.warning("%s: %s would be empty without its background and stretched faces", case.name, name)
            else:
                sheets[name] = shape_frame(mesh, cameras.dist_radius)
        if sheets:
            case.write("depth_meshes", LayeredMesh(sheets))


class VideoStage(Stage):
    """Films the face along a path, and its surface under a lamp."""

    Config: ClassVar[type] = VideoConfig
    needs: ClassVar[Mapping[str, type]] = {"renderer_latents": LatentSet}
    uses: ClassVar[Mapping[str, type]] = {"decoder_latents": LatentSet}
    gives: ClassVar[Mapping[str, type]] = {"video": Video}
    may_give: ClassVar[Mapping[str, type]] = {"surface_video": Video, "noise_mesh": Mesh}
    config: VideoConfig

    def __init__(self, config: VideoConfig, context: Context, loaded: Loaded | None = None) -> None:
        super().__init__(config, context)
        self.loaded = loaded or Loaded.of(context)
        self.options = self.loaded.rendering(config.N_samples)
        self.camera: CameraConfig = self.loaded.camera(config.camera)
        self.rasterizer = context.renderer or TorchRasterizer()

    @torch.no_grad()
    def run(self, case: Case) -> None:
        """Write `video` and, if wanted, `surface_video`."""
        config, latents = self.config, read_latents(case, self.loaded)
        codes = self._codes(case)
        angles = video_angles(config.frames, self.camera, config.azim_video)
        path = cameras_at(angles.to(self.context.device), self.camera)
        noise = self._noise(case, latents)
        frames = picture_frames(self.loaded.generator, latents, codes, path, self.options, noise)
        case.write("video", make_video(frames, config.fps, crf=config.crf))
        if not config.no_surface_renderings:
            surfaces = surface_frames(
                self.loaded.generator,
                latents,
                path,
                self.options,
                config.surface_resolution,
                config.surface_size,
                self.rasterizer,
            )
            case.write("surface_video", make_video(surfaces, config.fps, crf=config.surface_crf))

    def _codes(self, case: Case) -> Tensor | None:
        """The decoder's codes; StageError where there is a decoder but no codes that fit it."""
        decoder = self.loaded.generator.decoder
        if decoder is None:
            return None
        shape = (decoder.layers, 2 * self.loaded.style_dim)
        return read_vectors(case, "decoder_latents", shape, self.loaded)[None]

    def _noise(self, case: Case, latents: Tensor) -> NoiseOf:
        """The decoder's noise for each camera: its own maps or, if wanted, those with the surface's noise in them."""
        decoder, config = self.loaded.generator.decoder, self.config
        if decoder is None or not config.project_noise:
            return lambda camera: None
        frontal = frontal_camera(self.camera, self.context.device)
        try:
            mesh = surface_mesh(self.loaded, latents, frontal, config.mesh_mode, config.surface_resolution)
        except EmptySurface as error:
            logger.warning("%s: there is no surface to fix noise to (%s): the film has fixed noise", case.name, error)
            return lambda camera: None
        case.write("noise_mesh", shape_frame(mesh, self.camera.dist_radius))
        maps, subdivision = decoder.noise_maps, config.official_subdivision
        return ProjectedNoise(mesh, maps, case.seed, self.rasterizer, config.noise_blending, subdivision)


def surface_mesh(loaded: Loaded, latents: Tensor, camera: ViewCameras, mode: str, resolution: int) -> Mesh:
    """The surface of renderer latents (1, D): on a grid in the world, or as published from one camera's samples.

    EmptySurface where there is none.
    """
    renderer = loaded.generator.renderer
    if mode == "grid":
        return grid_mesh(renderer, latents, loaded.config.camera, resolution)
    seen = surface_pass(renderer, latents, camera, loaded.rendering(), resolution)
    if seen.sdf is None or not loaded.config.renderer.sdf:
        raise EmptySurface("no surface: these weights tell densities (system.renderer.sdf=false), no distances")
    return frustum_mesh(seen.sdf[0])


def read_latents(case: Case, loaded: Loaded) -> Tensor:
    """(1, D) the case's renderer latents; StageError where they are of other weights."""
    return read_vectors(case, "renderer_latents", (1, loaded.style_dim), loaded)


def read_vectors(case: Case, name: str, shape: tuple[int, int], loaded: Loaded) -> Tensor:
    """Latents of a case on the weights' device; StageError where they are missing or have another shape."""
    if not case.has(name):
        raise StageError(f"'{name}' is missing in {case.folder}", "Run from the start: stages=sample..")
    vectors = case.read(name).vectors
    if vectors.shape != shape:
        raise StageError(
            f"'{name}' has shape {vectors.shape}, but these weights take {shape}",
            "Use the weights that made it, or run from the start: stages=sample..",
        )
    # A copy lies where torch puts it: sums of products depend, in their last bit, on where their factors lie.
    return torch.from_numpy(vectors).clone().to(loaded.device)


def read_cameras(case: Case, loaded: Loaded) -> ViewCameras:
    """The cameras of a case's views; StageError where they are not known."""
    stored = case.read("views").cameras
    if stored is None:
        raise StageError("the views have no cameras", "Run from the start: stages=sample..")
    radius = loaded.config.camera.dist_radius
    return cameras_of_views(stored.world_from_camera, stored.clip_from_camera, radius).to(loaded.device)


def warn_of_coarse_surface(loaded: Loaded, resolution: int) -> None:
    """Say in the log that surfaces of a full-size network need more samples."""
    if resolution < FINE and loaded.config.renderer.width >= FULL_WIDTH:
        logger.warning("surface_resolution is %d: below %d the surface looks noisy", resolution, FINE)
