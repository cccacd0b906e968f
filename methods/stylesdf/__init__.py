"""StyleSDF: a GAN of signed distance fields; latent codes become pictures and meshes (arXiv 2112.11427)."""

from framework.registry import Entry, MethodSpec
from methods.stylesdf.official.files import PUBLISHED

TOY_SYSTEM = (
    "data=image_lmdb data.root=pictures data.batch_size=4 data.val_fraction=0.3 "
    "system.renderer.depth=2 system.renderer.width=16 system.renderer.N_samples=4 system.chunk=2 "
    "system.generator.size=64 system.generator.style_dim=16 system.generator.channel_multiplier=1 "
    "system.generator.channel_max=16 system.generator.renderer_resolution=16"
)
TOY_STAGES = (
    "method.stages.mesh.surface_resolution=16 method.stages.video.frames=3 method.stages.video.N_samples=4 "
    "method.stages.video.surface_resolution=16 method.stages.video.surface_size=32"
)
TOY_SEARCH = (
    "method.stages.invert.candidates=2 method.stages.invert.starts=1 method.stages.invert.search_steps=1 "
    "method.stages.invert.finalists=1 method.stages.invert.w_steps=2 method.stages.invert.w_plus_steps=1"
)

SPEC = MethodSpec(
    name="stylesdf",
    summary="latent code -> face: 3D-aware GAN with signed distances (Or-El et al., CVPR 2022)",
    licence="Apache-2.0 (this code and the small weights); official weights: CC BY-NC-SA 4.0",
    systems={
        "volume": Entry(
            "methods.stylesdf.systems:VolumeSystem",
            "methods.stylesdf.config:VolumeConfig",
            "latent code -> SDF field -> thumbnail, against a pose-aware discriminator",
        ),
        "full": Entry(
            "methods.stylesdf.systems:FullSystem",
            "methods.stylesdf.config:FullConfig",
            "rendered features -> large picture, by a style-based decoder",
        ),
    },
    stages={
        "sample": Entry(
            "methods.stylesdf.stages:Sample",
            "methods.stylesdf.prediction.config:SampleConfig",
            "seed -> latents, pictures and thumbnails of random, fixed or given views",
            from_seed=True,
        ),
        "invert": Entry(
            "methods.stylesdf.stages:Invert",
            "methods.stylesdf.prediction.config:InvertConfig",
            "photograph -> latents and camera of a picture like it, and views of that face",
        ),
        "mesh": Entry(
            "methods.stylesdf.stages:MeshStage",
            "methods.stylesdf.prediction.config:MeshConfig",
            "latents -> coloured mesh, and a sheet for each view",
        ),
        "video": Entry(
            "methods.stylesdf.stages:VideoStage",
            "methods.stylesdf.prediction.config:VideoConfig",
            "latents -> films of the face and of its surface",
        ),
    },
    pipeline=("stylesdf/sample", "stylesdf/mesh", "stylesdf/video"),
    official="methods.stylesdf.weights:OFFICIAL",
    published=PUBLISHED,
    trials=(
        f"train system=stylesdf/volume {TOY_SYSTEM} data.resolution=16 data.thumb_resolution=16 data.image=false "
        "system.sphere_init.steps=2",
        f"train system=stylesdf/full {TOY_SYSTEM} data.resolution=64 data.thumb_resolution=0 system.volume=volume "
        "system.loss.d_reg_every=2 system.loss.g_reg_every=2",
        f"predict method=stylesdf/default weights.full=full {TOY_STAGES} method.stages.video.project_noise=true",
        f"predict method=stylesdf/volume weights.volume=volume {TOY_STAGES} method.stages.mesh.mesh_mode=frustum",
        f"predict method=stylesdf/invert weights.full=full input=picture.png {TOY_STAGES} {TOY_SEARCH}",
    ),
)
