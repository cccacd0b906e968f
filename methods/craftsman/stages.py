"""CraftsMan's stages: pictures become views, the views a latent set, and the latent set a mesh."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from framework.artifacts.image import Image
from framework.artifacts.latent_set import LatentSet
from framework.artifacts.multi_view import MultiView
from framework.geometry.components import largest_component
from framework.geometry.grid import evaluate_grid
from framework.geometry.isosurface import EmptySurface, marching_cubes
from framework.geometry.mesh import Mesh
from framework.geometry.simplify import simplify
from framework.nets.clip_pixels import centre_square
from framework.pipeline.case import Case
from framework.pipeline.config import MattingConfig
from framework.pipeline.inputs import VIEWS, view_artifact
from framework.pipeline.matting import Matting
from framework.pipeline.stage import Context, Stage, StageError
from framework.renderers.views import canonical_cameras
from methods.craftsman.config import CleanupConfig, ExtractionConfig, ShapeConfig, ViewsConfig
from methods.craftsman.nets.shape_vae import ShapeVAE
from methods.craftsman.pictures import kept_alpha, over, shrunk, squared
from methods.craftsman.systems import AutoencoderSystem, DiffusionSystem


class Cleanup(Stage):
    """Prepares pictures as the published program did, in place of the stage `matting`."""

    Config: ClassVar[type] = CleanupConfig
    needs: ClassVar[Mapping[str, type]] = Matting.needs
    uses: ClassVar[Mapping[str, type]] = Matting.uses
    gives: ClassVar[Mapping[str, type]] = Matting.gives
    may_give: ClassVar[Mapping[str, type]] = Matting.may_give
    config: CleanupConfig

    def __init__(self, config: CleanupConfig, context: Context) -> None:
        super().__init__(config, context)
        self.matting = Matting(MattingConfig(), context)

    def run(self, case: Case) -> None:
        """Write `foreground` and `foreground_<view>`: as they came, or square RGBA."""
        for view in VIEWS:
            if case.has(view_artifact("input", view)):
                picture = self.cleaned(case.read(view_artifact("input", view)), view)
                case.write(view_artifact("foreground", view), picture)

    def cleaned(self, image: Image, view: str) -> Image:
        """Return one picture prepared; `view` names it in errors. StageError when its background can't be removed."""
        if self.config.mode == "original":
            return image
        picture = image.with_alpha().to_pil()
        if picture.getchannel("A").getbbox() is None:
            raise StageError(f"{view} view: everything is transparent", "Give a picture that shows the object")
        if self.config.mode == "remove":
            picture = kept_alpha(picture) or Image(self.matting.separate(image, view)).to_pil()
        square = squared(shrunk(picture, self.config.ratio))
        return Image.from_pil(over(square, self.config.color) if self.config.mode == "alpha_as_mask" else square)


class Views(Stage):
    """Puts the foreground picture first and the user's other views behind it, with their canonical cameras."""

    Config: ClassVar[type] = ViewsConfig
    needs: ClassVar[Mapping[str, type]] = {"foreground": Image}
    uses: ClassVar[Mapping[str, type]] = {
        "foreground_right": Image,
        "foreground_back": Image,
        "foreground_left": Image,
    }
    gives: ClassVar[Mapping[str, type]] = {"views": MultiView}
    config: ViewsConfig

    def run(self, case: Case) -> None:
        """Write `views`: one to four square RGBA pictures."""
        names = [name for name in VIEWS if name == VIEWS[0] or case.has(view_artifact("foreground", name))]
        images = {name: self.resized(case.read(view_artifact("foreground", name))) for name in names}
        indices = torch.tensor([VIEWS.index(name) for name in names])
        case.write("views", MultiView(images, canonical_cameras()[indices]))

    def resized(self, image: Image) -> Image:
        """Return the square of the encoder's size: of the whole picture, or as CLIP's preprocessing cuts it."""
        if self.config.resampling == "clip":
            return Image.from_pil(centre_square(image.over().to_pil(), self.config.size))
        if image.width != image.height:
            image = Image.from_pil(squared(image.with_alpha().to_pil()))
        return image.resized(self.config.size)


class Shape(Stage):
    """Denoises a latent set under the views and extracts the surface of the field that it stands for."""

    Config: ClassVar[type] = ShapeConfig
    needs: ClassVar[Mapping[str, type]] = {"views": MultiView}
    gives: ClassVar[Mapping[str, type]] = {"latents": LatentSet, "mesh": Mesh}
    config: ShapeConfig

    def __init__(self, config: ShapeConfig, context: Context) -> None:
        super().__init__(config, context)
        self.diffusion = DiffusionSystem.load(context.weights_of("diffusion"), context.device).eval()
        self.diffusion.view_encoder.drop_unused()
        self.shape_model = AutoencoderSystem.load(context.weights_of("autoencoder"), context.device).eval().shape_model
        self.shape_model.drop_encoder()

    @torch.no_grad()
    def run(self, case: Case) -> None:
        """Write `latents` and `mesh`; the case's seed alone decides the noise."""
        views: MultiView = case.read("views")
        pixels, cameras = view_tensors(views, self.context.device)
        latents = self.diffusion.sample(
            pixels[None],
            cameras[None],
            steps=self.config.steps,
            guidance=self.config.guidance,
            eta=self.config.eta,
            latents=self.config.latents,
            generator=torch.Generator().manual_seed(case.seed),
        )
        case.write("latents", LatentSet(latents[0].float().cpu().numpy()))
        case.write("mesh", extract_mesh(self.shape_model, latents, self.config.extraction))


def view_tensors(views: MultiView, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pixels (K, 4, S, S) in [0, 1] and cameras (K, 4, 4) of `views`; opaque pictures get alpha 1."""
    rows = [torch.from_numpy(image.with_alpha().pixels).permute(2, 0, 1) for image in views.images.values()]
    if views.cameras is None:
        names = list(views.images)
        raise StageError(f"the views {names} have no cameras", "Run the stage 'views', or name them in cameras.json")
    return torch.stack(rows).to(device), views.cameras.world_from_camera.float().to(device)


def extract_mesh(shape_model: ShapeVAE, latents: Tensor, config: ExtractionConfig) -> Mesh:
    """Zero level of the occupancy logits of one latent set (1, L, E), as a mesh in the shape frame.

    Raises StageError when the field is nowhere inside.
    """
    field = shape_model.field(shape_model.decode(latents))
    values, _ = evaluate_grid(
        lambda points: shape_model.query(points[None], field)[0],
        resolution=2**config.depth,
        bounds=config.bounds,
        method="dense" if config.exact else "coarse_to_fine",
        device=latents.device,
    )
    try:
        mesh = marching_cubes(values, config.bounds, inside="positive", grid_mapping=config.grid_mapping)
    except EmptySurface as error:
        raise StageError("the sampled shape is empty", "Try another seed or a clearer picture") from error
    if config.largest_component:
        mesh = largest_component(mesh)
    return simplify(mesh, config.faces) if config.faces else mesh
