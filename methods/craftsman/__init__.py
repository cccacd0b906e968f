"""CraftsMan: one image or up to four views become a mesh, by diffusion over latent sets (arXiv 2405.14979)."""

from framework.registry import Entry, MethodSpec, PublishedFile

TOY_SET = {
    **{"train": 4, "val": 2, "test": 1, "samples": 200, "render_size": 32, "processes": 0},
    **{"batch_size": 2, "surface_points": 64, "supervision_points": 32, "validation_points": 32},
}
TOY_STAGES = (
    "{type:craftsman/cleanup}",
    "{type:craftsman/views,size:96}",
    "{type:craftsman/shape,steps:2,guidance:1.0,extraction:{depth:4}}",
)


def _toy_set(section: str) -> str:
    """The options of a set of a few objects with few points, below `section`."""
    return " ".join(f"{section}.{key}={value}" for key, value in TOY_SET.items())


def _published(folder: str, summary: str) -> PublishedFile:
    """A checkpoint of the hub's repository; its size and hash are not known."""
    path = f"image-to-shape-diffusion/{folder}"
    url = f"https://huggingface.co/wyysf/CraftsMan/tree/main/{path}"
    return PublishedFile(path=path, summary=summary, url=url, licence="AGPL-3.0")


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
    published=(
        _published("clip-mvrgb-modln-l256-e64-ne8-nd16-nl6", "four views -> shape, 256 latents"),
        _published("clip-mvrgb-modln-l256-e64-ne8-nd16-nl6-aligned-vae", "the same, image-aligned autoencoder"),
    ),
    trials=(
        f"train experiment=craftsman/small-autoencoder {_toy_set('data')}",
        f"train experiment=craftsman/small-diffusion {_toy_set('data.source')} data.surface_points=64 "
        "data.supervision_points=32 data.variants=1 data.batch_size=2",
        "predict method=craftsman/small method.stages.shape.extraction.depth=4",
        f"predict method=craftsman/small 'method.stages=[{','.join(TOY_STAGES)}]'",
    ),
)
