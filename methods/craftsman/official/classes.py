"""The closed table of the published configs' class names and keys, and what their sections mean to us."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from framework.config.build import from_dict
from framework.config.errors import ConfigError
from framework.diffusion.config import NoiseScheduleConfig
from framework.registry import suggestion
from framework.weights.folder import WeightsError
from methods.craftsman.official.config_file import parse, resolved, section

ALIGNED = "michelangelo-aligned-autoencoder"

CLASSES: Mapping[str, tuple[str, ...]] = {
    "system_type": ("shape-autoencoder-system", "shape-diffusion-system"),
    "shape_model_type": ("michelangelo-autoencoder", ALIGNED),
    "condition_model_type": ("clip-embedder",),
    "denoiser_model_type": ("simple-denoiser",),
    "noise_scheduler_type": ("diffusers.schedulers.DDPMScheduler",),
    "denoise_scheduler_type": ("diffusers.schedulers.DDIMScheduler",),
}
"""Key that names a class -> the names that are understood. None of them is ever imported."""

EMBEDDINGS = ("fourier", "identity")
"""Embeddings of points that are understood; the weights tell which of them they have."""

SECOND_GENERATION = ("pixart-diffusion-system", "cond-embedder", "pixart-denoiser")
"""Names of the later generation, which has networks of its own."""

WITHOUT_EFFECT = ("embeds_fusion_mode", "text_max_length", "downsample_ratio", "pretrained_linear_proj")
"""Keys that the published code accepts and reads nowhere."""

KEYS: Mapping[str, tuple[str, ...]] = {
    "shape_model": (
        *("pretrained_model_name_or_path", "num_latents", "point_feats", "embed_point_feats", "embed_dim", "out_dim"),
        *("embed_type", "num_freqs", "include_pi", "heads", "width", "num_encoder_layers", "num_decoder_layers"),
        *("init_scale", "qkv_bias", "use_ln_post", "use_flash", "use_checkpoint", "use_downsample"),
        *("use_multi_reso", "n_samples", "clip_model_version"),
    ),
    "condition_model": (
        *("pretrained_model_name_or_path", "encode_camera", "camera_embeds_dim", "n_views", "empty_embeds_ratio"),
        *("normalize_embeds", "zero_uncond_embeds", "freeze_modulation"),
    ),
    "denoiser_model": (
        *("pretrained_model_name_or_path", "input_channels", "output_channels", "n_ctx", "width", "layers", "heads"),
        *("context_dim", "context_ln", "init_scale", "skip_ln", "qkv_bias", "flip_sin_to_cos", "use_flash"),
        "use_checkpoint",
    ),
    "noise_scheduler": (
        *("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "variance_type", "clip_sample"),
        *("prediction_type", "rescale_betas_zero_snr"),
    ),
    "denoise_scheduler": (
        *("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "clip_sample", "prediction_type"),
        *("set_alpha_to_one", "steps_offset", "timestep_spacing", "rescale_betas_zero_snr"),
    ),
}
"""Section of `system` -> its keys that are understood, or that say what the weights' shapes say as well."""

SYSTEM_KEYS = (
    *("weights", "weights_ignore_modules", "val_samples_json", "z_scale_factor", "guidance_scale", "eta", "bounds"),
    *("num_inference_steps", "sample_posterior", "snr_gamma", "loss", "optimizer", "scheduler", "loggers"),
    *(key for key in CLASSES if key != "system_type"),
    *KEYS,
)
"""Keys of the section `system`; those of training and sampling are known but not taken over."""

DIFFUSERS: Mapping[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "prediction_type": "epsilon",
    "rescale_betas_zero_snr": False,
}
"""What diffusers takes where a scheduler's section is silent."""

SAMPLING: Mapping[str, Any] = {"timestep_spacing": "leading", "steps_offset": 0, "set_alpha_to_one": True}
"""The same for what only sampling reads."""

NOISE_NAMES = {
    "num_train_timesteps": "train_steps",
    "prediction_type": "prediction",
    "rescale_betas_zero_snr": "zero_terminal_snr",
}
"""Published names of the noise schedule's options that differ from ours."""

FIXED: Mapping[str, Mapping[str, tuple[Any, Any]]] = {
    "shape_model": {
        "use_ln_post": (True, True),
    },
    "denoise_scheduler": {"clip_sample": (False, True)},
}
"""Section -> key -> (the only supported value, what an absent key means there)."""


@dataclass(frozen=True)
class OfficialConfig:
    """What a published config says about networks and noise; training and data have recipes of their own."""

    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """`shape_model`, `condition_model`, `denoiser_model`, `noise_scheduler`, `denoise_scheduler`; absent ones empty."""
    aligned: bool = False
    """Whether the config names the image-aligned autoencoder."""
    latent_scale: float = 1.0
    """Factor on the latents before noise is added."""
    notes: tuple[str, ...] = ()
    """What the user should know."""

    def options(self, name: str) -> Mapping[str, Any]:
        """Return the options of a section; empty when there is no config."""
        return self.sections.get(name, {})


def read_config(text: str | None, where: str) -> OfficialConfig:
    """Return what a published `config.yaml` says; everything as in the published recipes for None.

    Raises WeightsError for classes and values that are not understood; keys that are not become notes.
    """
    if text is None:
        return OfficialConfig(
            notes=("there is no config.yaml: heads are taken as 64 channels wide, the rest as usual",)
        )
    config = parse(text, where)
    system = config.get("system")
    if not isinstance(system, Mapping):
        raise WeightsError(f"{where}: config.yaml has no section `system`, in which the networks are described")
    _check_classes({**system, "system_type": config.get("system_type")}, where)
    sections = {name: section(config, f"system.{name}", where) for name in KEYS}
    for name, options in sections.items():
        _check_fixed(name, options, where)
    if (embedding := sections["shape_model"].get("embed_type", EMBEDDINGS[0])) not in EMBEDDINGS:
        raise WeightsError(
            f"{where}: config.yaml: system.shape_model.embed_type is {embedding!r}, expected {' or '.join(EMBEDDINGS)}"
        )
    scale = resolved(config, system.get("z_scale_factor", 1.0), f"{where}: config.yaml: system.z_scale_factor")
    if type(scale) not in (int, float) or not 0 < scale < float("inf"):
        raise WeightsError(f"{where}: config.yaml: system.z_scale_factor is {scale!r}, expected a positive number")
    known = {"": SYSTEM_KEYS, **{f"{name}.": keys for name, keys in KEYS.items()}}
    given = {"": system, **{f"{name}.": options for name, options in sections.items()}}
    notes = [
        f"config.yaml: system.{place}{key} is not known and was ignored. {suggestion(str(key), known[place])}"
        for place, options in given.items()
        for key in options
        if key not in known[place] and key not in WITHOUT_EFFECT
    ]
    return OfficialConfig(sections, system.get("shape_model_type") == ALIGNED, float(scale), tuple(notes))


def _check_classes(given: Mapping[str, Any], where: str) -> None:
    for key, known in CLASSES.items():
        name = given.get(key)
        if name is None or name in known:
            continue
        later = " It is of the second generation, which has other networks." if name in SECOND_GENERATION else ""
        raise WeightsError(
            f"{where}: config.yaml: {key} is {name!r}, which is not known.{later} Known: {', '.join(known)}"
        )


def _check_fixed(name: str, options: Mapping[str, Any], where: str) -> None:
    for key, (supported, absent) in FIXED.get(name, {}).items():
        if options and options.get(key, absent) != supported:
            given = repr(options[key]) if key in options else f"not set (which means {absent!r})"
            raise WeightsError(f"{where}: config.yaml: system.{name}.{key} is {given}; only {supported!r} is supported")


def noise_schedule(config: OfficialConfig, where: str) -> NoiseScheduleConfig:
    """Return the noise schedule; WeightsError when training and sampling contradict each other."""
    given = {name: config.options(name) for name in ("noise_scheduler", "denoise_scheduler")}
    present = {name: {**DIFFUSERS, **options} for name, options in given.items() if options}
    if not present:
        return NoiseScheduleConfig()
    values = [{key: options[key] for key in DIFFUSERS} for options in present.values()]
    if values[0] != values[-1]:
        raise WeightsError(
            f"{where}: config.yaml: the noise of training and of sampling must be the same, but system.noise_scheduler "
            f"says {values[0]}, and system.denoise_scheduler {values[-1]}"
        )
    sampled = present.get("denoise_scheduler")
    sampling = {key: sampled.get(key, silent) for key, silent in SAMPLING.items()} if sampled else {}
    renamed = {NOISE_NAMES.get(key, key): value for key, value in values[0].items()}
    try:
        return from_dict(NoiseScheduleConfig, renamed | sampling, f"{where}: config.yaml: system.{next(iter(present))}")
    except ConfigError as error:
        raise WeightsError(str(error)) from error
