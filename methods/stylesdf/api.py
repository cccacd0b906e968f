"""StyleSDF in a notebook: load weights, generate faces, film them.

    from methods.stylesdf.api import StyleSDF

    model = StyleSDF.load("ckpts/stylesdf-small/full")  # a run id, a weights folder, a hub id or a published file
    faces = model.generate(identities=4, seed=0, fixed_camera_angles=True)
    faces[0].pictures[0].save("face.png")
    model.video(faces[0], "face.mp4", frames=60, surface_path="surface.mp4")
    model.mesh(faces[0], "face.glb")

Everything is done by the stages that `launch.py predict method=stylesdf` runs, and takes their options by name.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image as PilImage

from framework import registry
from framework.artifacts.multi_view import MultiView
from framework.config.build import from_dict
from framework.export.artifact_files import save_artifact
from framework.export.mesh_files import save_mesh
from framework.geometry.mesh import Mesh
from framework.pipeline.assembly import choose_device
from framework.pipeline.case import Case
from framework.pipeline.loading import Picture, to_image
from framework.pipeline.stage import Context, Stage
from framework.renderers.rasterizer import Rasterizer
from framework.systems.system import System
from framework.weights.folder import WeightsError
from methods.stylesdf.config import FullConfig, VolumeConfig
from methods.stylesdf.loaded import Loaded
from methods.stylesdf.nets.generator import Generator
from methods.stylesdf.prediction.config import InvertConfig, MeshConfig, SampleConfig, VideoConfig
from methods.stylesdf.stages import Invert, MeshStage, Sample, VideoStage
from methods.stylesdf.systems import FullSystem, VolumeSystem


@dataclass(frozen=True, eq=False)
class Face:
    """One identity: its latents, and pictures from some sides."""

    artifacts: Mapping[str, Any]
    """What the stage wrote, by artifact name: `renderer_latents`, `decoder_latents`, `views`, `thumbnails`, ..."""

    seed: int
    """Seed that it was made from."""

    measures: Mapping[str, float] = field(default_factory=dict)
    """Numbers about it: of an inverted photograph `residual`, `azimuth`, `elevation`, ..."""

    @property
    def views(self) -> MultiView:
        """The pictures with their names and cameras."""
        views: MultiView = self.artifacts["views"]
        return views

    @property
    def pictures(self) -> list[PilImage.Image]:
        """One picture per view: the decoder's where there is one, else the thumbnails."""
        return [image.to_pil() for image in self.views.images.values()]

    @property
    def thumbnails(self) -> list[PilImage.Image]:
        """One rendered thumbnail per view."""
        return [image.to_pil() for image in self.artifacts["thumbnails"].images.values()]

    def save(self, folder: str | Path) -> Path:
        """Write all artifacts into `folder`, as `predict` does, and return it."""
        for name, value in self.artifacts.items():
            save_artifact(value, Path(folder), name)
        return Path(folder)


class StyleSDF:
    """A generator that stays in memory."""

    def __init__(self, loaded: Loaded, rasterizer: Rasterizer | None = None) -> None:
        """Take a generator; `rasterizer` draws films of surfaces (the plain one if none)."""
        self.loaded = loaded
        self.rasterizer = rasterizer

    @classmethod
    def load(cls, source: str | Path, *, device: str = "auto", renderer: str = "torch") -> StyleSDF:
        """Read a generator from a run id, a weights folder, a hub id or a published file.

        Raises WeightsError for what can't be read or is of another method, ConfigError for a device that is not there.
        """
        system = System.load(source, choose_device(device))
        if not isinstance(system, VolumeSystem | FullSystem):
            raise WeightsError(f"{source} holds weights of '{system.registry_name}', expected those of stylesdf")
        rasterizer = registry.load_class("renderer", renderer)(registry.config_class("renderer", renderer)())
        return cls(Loaded(system.generator_average, system.config), rasterizer)

    @classmethod
    def build(cls, config: VolumeConfig | FullConfig, *, device: str = "auto") -> StyleSDF:
        """Make a generator of these sizes that has learnt nothing yet: a FullConfig with decoder, else without."""
        generator = Generator(config.generator, config.renderer, with_decoder=isinstance(config, FullConfig))
        return cls(Loaded(generator.requires_grad_(False).eval().to(choose_device(device)), config))

    def generate(self, identities: int = 1, seed: int = 0, **options: Any) -> list[Face]:
        """Return faces of the seeds `seed`, `seed` + 1, ...; `options` are those of the stage `stylesdf/sample`.

        Among them `truncation_ratio`, `num_views_per_id`, `fixed_camera_angles`, `views=[{"azim": 0.3}, ...]`. Raises
        ConfigError for an option that is not known or out of range.
        """
        stage = Sample(from_dict(SampleConfig, options, "generate"), self._context(seed), self.loaded)
        return [self._face(stage, number) for number in range(seed, seed + identities)]

    def invert(self, photograph: Picture, seed: int = 0, **options: Any) -> Face:
        """Return the face whose picture is most like a photograph; `options` are those of `stylesdf/invert`."""
        stage = Invert(from_dict(InvertConfig, options, "invert"), self._context(seed), self.loaded)
        return self._face(stage, seed, input=to_image(photograph))

    def mesh(self, face: Face, path: str | Path | None = None, **options: Any) -> Mesh:
        """Return the surface of a face, and write it to `path` (.glb, .obj, .ply, .stl) if one is given.

        `options` are those of `stylesdf/mesh`. StageError when there is no surface.
        """
        config = from_dict(MeshConfig, {"depth_meshes": False} | options, "mesh")
        written, _ = self._run(MeshStage(config, self._context(face.seed), self.loaded), face.seed, face.artifacts)
        mesh: Mesh = written["mesh"]
        if path is not None:
            save_mesh(mesh, Path(path))
        return mesh

    def video(self, face: Face, path: str | Path, surface_path: str | Path | None = None, **options: Any) -> Path:
        """Film a face to `path` and, if wanted, its surface to `surface_path`, and return `path`.

        `options` are those of `stylesdf/video`, such as `frames`, `azim_video`, `project_noise`. Films are .mp4, .gif
        where the extra 'video' is not installed: ArtifactError names the suffix that a film has.
        """
        config = from_dict(VideoConfig, options | {"no_surface_renderings": surface_path is None}, "video")
        stage = VideoStage(config, self._context(face.seed), self.loaded)
        written, _ = self._run(stage, face.seed, face.artifacts)
        if surface_path is not None:
            written["surface_video"].save(Path(surface_path))
        saved: Path = written["video"].save(Path(path))
        return saved

    def _context(self, seed: int) -> Context:
        return Context(device=self.loaded.device, seed=seed, renderer=self.rasterizer)

    def _face(self, stage: Stage, seed: int, **artifacts: Any) -> Face:
        written, measures = self._run(stage, seed, artifacts)
        return Face(written, seed, measures)

    @staticmethod
    def _run(stage: Stage, seed: int, artifacts: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, float]]:
        """What a stage writes into a case of its own that holds `artifacts`, and its numbers."""
        with tempfile.TemporaryDirectory(prefix="atelier-") as folder:
            case = Case("face", Path(folder), seed)
            for name in (*stage.needs, *stage.uses):
                if name in artifacts:
                    case.write(name, artifacts[name])
            case.forget_log()
            stage.run(case)
            return {name: case.read(name) for name in case.writes}, dict(case.measures)
