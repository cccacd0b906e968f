"""CraftsMan: one image or up to four views become a mesh, by diffusion over latent sets (arXiv 2405.14979)."""

from framework.registry import Entry, MethodSpec

SPEC = MethodSpec(
    name="craftsman",
    summary="image -> mesh: 3D-native diffusion over latent sets (Li et al., CVPR 2025)",
    licence="Apache-2.0 (this code and the small weights); official weights: AGPL-3.0",
    systems={
        "autoencoder": Entry(
            "methods.craftsman.systems:AutoencoderSystem",
            "methods.craftsman.config:AutoencoderConfig",
            "surface points -> latent set -> occupancy field",
        ),
        "diffusion": Entry(
            "methods.craftsman.systems:DiffusionSystem",
            "methods.craftsman.config:DiffusionConfig",
            "views -> latent set, by denoising",
        ),
    },
    stages={
        "cleanup": Entry(
            "methods.craftsman.stages:Cleanup",
            "methods.craftsman.config:CleanupConfig",
            "prepares pictures as the published program did, in place of matting",
        ),
        "views": Entry(
            "methods.craftsman.stages:Views",
            "methods.craftsman.config:ViewsConfig",
            "collects the foreground picture and the user's other views",
        ),
        "shape": Entry(
            "methods.craftsman.stages:Shape",
            "methods.craftsman.config:ShapeConfig",
            "samples a latent set under the views and extracts its mesh",
        ),
    },
    data={
        "latents": Entry(
            "methods.craftsman.data:LatentsData",
            "methods.craftsman.config:LatentsConfig",
            "another set's shapes as cached latents, with their views",
        ),
    },
    encoders={
        "clip": Entry(
            "methods.craftsman.nets.clip_views:ClipViews",
            "methods.craftsman.config:ClipViewsConfig",
            "CLIP's vision tower, modulated by the camera: the published condition",
        ),
    },
    pipeline=("matting", "craftsman/views", "craftsman/shape"),
    official="methods.craftsman.weights:OFFICIAL",
)
