"""Runners: each runs our code on any fixture of its family and returns `{output name: tensor or array}`.

A runner is `def name(fixture: Fixture) -> dict[str, Tensor | np.ndarray]`. Sizes, options, salts, inputs and tolerances
come from the fixture alone, so it serves fixtures that it has never seen; its docstring says what it reads. It returns
whole tensors: of an output called `latents[:, ::8, ::8]` it returns `latents`, and the comparison takes the slice. A
block `outputs.stats` that describes one tensor stands for the output `stats`; its entries with names of their own stand
for outputs of these names. Where the tolerance is a rule in words, the runner returns a `Judged`. A runner that raises
has failed, with that reason.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from tests.parity.fixture import Fixture

Runner = Callable[[Fixture], dict[str, Any]]

_CRAFTSMAN = "tests.parity.runners.craftsman"
_PSHUMAN = "tests.parity.runners.pshuman"
_STDGEN = "tests.parity.runners.stdgen"
_RODINHD = "tests.parity.runners.rodinhd"
_STYLESDF = "tests.parity.runners.stylesdf"

RUNNERS: dict[tuple[str, str], str] = {
    ("craftsman", "fourier_embedder"): f"{_CRAFTSMAN}.shapes:fourier_embedder",
    ("craftsman", "v1_vae_learned_query"): f"{_CRAFTSMAN}.shapes:autoencoder",
    ("craftsman", "v1_vae_fps"): f"{_CRAFTSMAN}.shapes:autoencoder",
    ("craftsman", "v1_vae_aligned"): f"{_CRAFTSMAN}.shapes:autoencoder",
    ("craftsman", "v1_vae_losses"): f"{_CRAFTSMAN}.shapes:autoencoder_losses",
    ("craftsman", "v1_denoiser"): f"{_CRAFTSMAN}.denoising:denoiser",
    ("craftsman", "v1_sampler"): f"{_CRAFTSMAN}.denoising:sampler",
    ("craftsman", "schedulers"): f"{_CRAFTSMAN}.denoising:schedulers",
    ("craftsman", "diffusion_loss"): f"{_CRAFTSMAN}.training:diffusion_losses",
    ("craftsman", "lr_schedules"): f"{_CRAFTSMAN}.training:learning_rates",
    ("craftsman", "mesh_extraction"): f"{_CRAFTSMAN}.extraction:mesh_extraction",
    ("craftsman", "v1_dataset"): f"{_CRAFTSMAN}.items:first_generation",
    ("craftsman", "v15_dataset"): f"{_CRAFTSMAN}.items:second_generation",
    ("craftsman", "v1_clip_modln"): f"{_CRAFTSMAN}.conditions:clip_modln",
    ("craftsman", "clip_preprocess"): f"{_CRAFTSMAN}.conditions:clip_preprocess",
    ("craftsman", "v1_cameras"): f"{_CRAFTSMAN}.conditions:cameras",
    ("craftsman", "v1_frontend_images"): f"{_CRAFTSMAN}.pictures:frontend_images",
    ("craftsman", "v1_pipeline"): f"{_CRAFTSMAN}.pictures:pipeline",
    ("pshuman", "render_normals"): f"{_PSHUMAN}.rendering:render_normals",
    ("stdgen", "normals_renderer"): f"{_STDGEN}.rasterizing:normals_renderer",
    ("stdgen", "nvdiffrast_ops"): f"{_STDGEN}.rasterizing:operators",
    ("pshuman", "remesh_ops"): f"{_PSHUMAN}.remeshing:remesh_ops",
    ("pshuman", "carving_loop"): f"{_PSHUMAN}.carving:carving_loop",
    ("pshuman", "mesh_optimizer"): f"{_PSHUMAN}.remeshing:mesh_optimizer",
    ("craftsman", "refine_optimizer"): f"{_CRAFTSMAN}.refinement:refine_optimizer",
    ("stdgen", "refine_optimise"): f"{_STDGEN}.refining:refine_optimise",
    ("stdgen", "refine_clean"): f"{_STDGEN}.cleaning:refine_clean",
    ("stdgen", "remesh"): f"{_STDGEN}.remeshing:remesh",
    ("stdgen", "flexicubes"): f"{_STDGEN}.surfaces:flexicubes",
    ("stdgen", "flexicubes_random"): f"{_STDGEN}.surfaces:flexicubes_random",
    ("rodinhd", "raymarch"): f"{_RODINHD}.rendering:raymarch",
    ("rodinhd", "uniform_march"): f"{_RODINHD}.rendering:uniform_march",
    ("rodinhd", "occupancy_grid"): f"{_RODINHD}.rendering:occupancy_grid",
    ("rodinhd", "mesh"): f"{_RODINHD}.rendering:mesh",
    ("rodinhd", "freq_encoding"): f"{_RODINHD}.rendering:freq_encoding",
    ("stylesdf", "surface_frame"): f"{_STYLESDF}.surfaces:surface_frame",
    ("stylesdf", "mesh_extraction"): f"{_STYLESDF}.surfaces:mesh_extraction",
    ("stylesdf", "depth_mesh"): f"{_STYLESDF}.surfaces:depth_mesh",
    ("stylesdf", "noise_projection"): f"{_STYLESDF}.projecting:noise_projection",
    ("stylesdf", "ops"): f"{_STYLESDF}.stylegan2:ops",
    ("stylesdf", "layers"): f"{_STYLESDF}.stylegan2:layers",
    ("stylesdf", "vol_discriminator"): f"{_STYLESDF}.stylegan2:vol_discriminator",
    ("stylesdf", "discriminator"): f"{_STYLESDF}.stylegan2:discriminator",
    ("stylesdf", "mapping"): f"{_STYLESDF}.generators:mapping",
    ("stylesdf", "decoder"): f"{_STYLESDF}.generators:decoder",
    ("stylesdf", "generator_small"): f"{_STYLESDF}.generators:generator_small",
    ("stylesdf", "camera"): f"{_STYLESDF}.cameras:camera",
    ("stylesdf", "trajectories"): f"{_STYLESDF}.cameras:trajectories",
    ("stylesdf", "siren_mlp"): f"{_STYLESDF}.rendering:siren_mlp",
    ("stylesdf", "volume_render"): f"{_STYLESDF}.rendering:volume_render",
    ("stylesdf", "volume_render_variants"): f"{_STYLESDF}.rendering:volume_render_variants",
    ("stylesdf", "sphere_init"): f"{_STYLESDF}.rendering:sphere_init",
    ("stylesdf", "losses"): f"{_STYLESDF}.training:losses",
    ("stylesdf", "train_step_volume"): f"{_STYLESDF}.training:train_step_volume",
    ("stylesdf", "train_step_full"): f"{_STYLESDF}.training:train_step_full",
    ("stylesdf", "dataset"): f"{_STYLESDF}.pictures:dataset",
    ("stylesdf", "image_output"): f"{_STYLESDF}.pictures:image_output",
    ("craftsman", "refine_poisson"): f"{_CRAFTSMAN}.blending:refine_poisson",
    ("pshuman", "cameras"): f"{_PSHUMAN}.cameras:cameras",
    ("pshuman", "color_projection"): f"{_PSHUMAN}.coloring:color_projection",
    ("pshuman", "smplx_lbs"): f"{_PSHUMAN}.bodies:smplx_lbs",
    ("stdgen", "color_projection"): f"{_STDGEN}.coloring:color_projection",
    ("stdgen", "mesh_files"): f"{_STDGEN}.mesh_files:mesh_files",
}
"""(method, family) -> "module:function"; names only, so that one broken runner does not stop the others."""


def find_runner(method: str, family: str) -> Runner | None:
    """The runner of a family of fixtures, or None if there is none."""
    place = RUNNERS.get((method, family))
    if place is None:
        return None
    module, function = place.split(":")
    return getattr(import_module(module), function)
