"""A method as a Python object: `framework.load("craftsman/small")(image).save("chair.glb")`."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from framework.artifacts.image import Image
from framework.artifacts.layered_mesh import LayeredMesh
from framework.config.build import from_dict
from framework.config.choice import Choice
from framework.config.compose import compose, resolve
from framework.data.pictures import read_picture
from framework.export.mesh_files import save_layers, save_mesh
from framework.geometry.mesh import Mesh
from framework.pipeline.assembly import build_pipeline, check_input, choose_device, plan_method, resolve_weights
from framework.pipeline.case import Case
from framework.pipeline.config import MethodConfig
from framework.pipeline.inputs import LONGEST_SIDE, VIEWS, view_artifact
from framework.pipeline.pipeline import Pipeline
from framework.pipeline.presentation import last_mesh
from framework.registry import config_class

Picture = str | Path | Image | PilImage.Image | NDArray[Any]
"""A file, one of our pictures, a Pillow picture, or an (H, W), (H, W, 3|4) array: 8-bit, or floats in [0, 1]."""


class PredictionError(RuntimeError):
    """A method could not make anything of the input; the text says in which stage, why, and what helps."""


@dataclass(frozen=True, eq=False)
class Result:
    """What a method made of one input."""

    artifacts: Mapping[str, Any]
    """Everything that the stages wrote, by artifact name: `foreground`, `views`, `mesh`, ..."""

    mesh_name: str | None
    """Which of them is the result's mesh."""

    @property
    def mesh(self) -> Mesh:
        """The final mesh, its layers merged if it has any; PredictionError when the method makes none."""
        if self.mesh_name is None:
            raise PredictionError(f"this method makes no mesh but {', '.join(self.artifacts)}: see .artifacts")
        shape = self.artifacts[self.mesh_name]
        return shape.merged() if isinstance(shape, LayeredMesh) else shape

    def save(self, path: str | Path) -> Path:
        """Write the mesh as .glb (with its layers as parts), .obj, .ply or .stl and return the path."""
        shape = self.artifacts.get(self.mesh_name or "")
        if isinstance(shape, LayeredMesh) and Path(path).suffix.lower() == ".glb":
            return save_layers(shape, path)
        return save_mesh(self.mesh, Path(path))


class LoadedMethod:
    """A pipeline that stays in memory: weights are read at the first call and kept."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    def __call__(
        self,
        image: Picture | None = None,
        *,
        right: Picture | None = None,
        back: Picture | None = None,
        left: Picture | None = None,
        seed: int = 0,
    ) -> Result:
        """Run the method on a front view and, where it can use them, further views of the same object.

        A method that begins with random numbers takes no picture: `method(seed=3)`. Raises ConfigError for pictures
        that are missing or not wanted, PredictionError when a stage fails, PictureError for a file that can't be read.
        """
        pictures = {VIEWS[0]: image, "right": right, "back": back, "left": left}
        check_input(self.pipeline.stages, any(picture is not None for picture in pictures.values()))
        with tempfile.TemporaryDirectory(prefix="atelier-") as folder:
            case = Case("case", Path(folder), seed)
            for view, picture in pictures.items():
                if picture is not None:
                    case.write(view_artifact("input", view), to_image(picture))
            if not self.pipeline.run(case):
                failure = case.record.failure
                text = f"{failure.stage}: {failure.reason}. {failure.hint}".strip() if failure else "failed"
                raise PredictionError(text) from case.error
            names = [name for stage in case.record.stages for name in stage.writes]
            return Result({name: case.read(name) for name in names}, last_mesh(self.pipeline.stages))


def load(
    method: str, *, device: str = "auto", weights: Mapping[str, str] | None = None, renderer: str = "torch"
) -> LoadedMethod:
    """Return a method that is ready to call.

    method: `<name>/<preset>` or `<name>`; device: auto, cpu, cuda, mps; weights: system -> run id, folder or hub id in
    place of the method's own; renderer: registry name. Raises ConfigError, WeightsError, PipelineError or
    RegistryError before anything heavy is done.
    """
    section = resolve(compose({"method": method}))["method"]
    config = from_dict(MethodConfig, section, "method")
    stages = plan_method(config)
    pipeline = build_pipeline(
        stages,
        resolve_weights(config, weights or {}),
        device=choose_device(device),
        seed=0,
        renderer=Choice(renderer, config_class("renderer", renderer)()),
    )
    return LoadedMethod(pipeline)


def to_image(picture: Picture) -> Image:
    """Return any of the accepted kinds of picture as an Image; PictureError or ArtifactError when it is none."""
    if isinstance(picture, Image):
        return picture
    if isinstance(picture, str | Path):
        return Image(read_picture(Path(picture), LONGEST_SIDE))
    if isinstance(picture, PilImage.Image):
        return Image.from_pil(picture)
    pixels = np.asarray(picture)
    if pixels.dtype == np.uint8:
        pixels = pixels.astype(np.float32) / 255
    return Image(np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels)
