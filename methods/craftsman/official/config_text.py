"""Our configs in the syntax of the published `config.yaml`: its sections of networks and noise, no training or data."""

from __future__ import annotations

from typing import Any

import yaml

from framework.diffusion.config import NoiseScheduleConfig
from framework.diffusion.schedules import sampling_options, scheduler_options
from methods.craftsman.config import AutoencoderConfig, ClipViewsConfig, DenoiserConfig, DiffusionConfig, ShapeVAEConfig
from methods.craftsman.official.classes import ALIGNED


def autoencoder_text(config: AutoencoderConfig) -> str:
    """Return the `config.yaml` of a checkpoint of the autoencoder."""
    system = {**shape_model_section(config.shape_model), "sample_posterior": config.sample_posterior}
    return _as_text("shape-autoencoder-system", system)


def diffusion_text(autoencoder: AutoencoderConfig, config: DiffusionConfig) -> str:
    """Return the `config.yaml` of a checkpoint of the diffusion, which holds its autoencoder."""
    system = {
        **shape_model_section(autoencoder.shape_model),
        **condition_section(config.view_encoder.config, config.condition_dropout),
        **denoiser_section(config.denoiser, autoencoder.shape_model.num_latents),
        **schedule_sections(config.schedule),
        "z_scale_factor": config.latent_scale,
    }
    return _as_text("shape-diffusion-system", system)


def shape_model_section(config: ShapeVAEConfig) -> dict[str, Any]:
    """Return class and options of the shape autoencoder under their published names."""
    return {
        "shape_model_type": ALIGNED if config.aligned_dim else "michelangelo-autoencoder",
        "shape_model": {
            "num_latents": config.num_latents,
            "embed_dim": config.embed_dim,
            "point_feats": config.point_feats,
            "embed_point_feats": config.embed_point_feats,
            "out_dim": config.out_dim,
            "embed_type": "fourier" if config.num_freqs else "identity",
            "num_freqs": config.num_freqs,
            "include_pi": config.include_pi,
            "heads": config.heads,
            "width": config.width,
            "num_encoder_layers": config.encoder_layers,
            "num_decoder_layers": config.decoder_layers,
            "use_ln_post": True,
            "init_scale": config.init_scale,
            "qkv_bias": config.qkv_bias,
            "use_flash": True,
            "use_checkpoint": config.checkpointing,
            "use_downsample": config.queries == "fps",
        },
    }


def condition_section(config: ClipViewsConfig, dropout: float) -> dict[str, Any]:
    """Return class and options of the image condition under their published names."""
    return {
        "condition_model_type": "clip-embedder",
        "condition_model": {
            "pretrained_model_name_or_path": "openai/clip-vit-large-patch14",
            "encode_camera": config.camera_modulation,
            "camera_embeds_dim": 32,
            "n_views": 4,
            "empty_embeds_ratio": dropout,
            "normalize_embeds": config.normalize,
            "zero_uncond_embeds": config.unconditional == "zeros",
            "freeze_modulation": config.freeze_modulation,
        },
    }


def denoiser_section(config: DenoiserConfig, num_latents: int) -> dict[str, Any]:
    """Return class and options of the denoiser under their published names."""
    return {
        "denoiser_model_type": "simple-denoiser",
        "denoiser_model": {
            "input_channels": config.latent_channels,
            "output_channels": config.latent_channels,
            "n_ctx": num_latents,
            "width": config.width,
            "layers": config.layers,
            "heads": config.heads,
            "context_dim": config.context_dim,
            "context_ln": config.context_ln,
            "init_scale": config.init_scale,
            "skip_ln": config.skip_ln,
            "flip_sin_to_cos": config.flip_sin_to_cos,
            "use_checkpoint": config.checkpointing,
        },
    }


def schedule_sections(config: NoiseScheduleConfig) -> dict[str, Any]:
    """Return classes and options of both schedulers, as diffusers names them."""
    # The published configs don't name these two.
    unnamed = {"rescale_betas_zero_snr": False, "timestep_spacing": "leading"}
    sampling = {name: value for name, value in sampling_options(config).items() if unnamed.get(name) != value}
    shared = {name: sampling[name] for name in scheduler_options(config) if name in sampling}
    return {
        "noise_scheduler_type": "diffusers.schedulers.DDPMScheduler",
        "noise_scheduler": {**shared, "variance_type": "fixed_small"},
        "denoise_scheduler_type": "diffusers.schedulers.DDIMScheduler",
        "denoise_scheduler": sampling,
    }


def _as_text(system_type: str, system: dict[str, Any]) -> str:
    """A whole config file."""
    return yaml.safe_dump({"system_type": system_type, "system": system}, sort_keys=False)
