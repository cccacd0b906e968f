"""Made-up official folders: filled weights under published keys, a config in that syntax, a Lightning pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from methods.craftsman.cameras import canonical_labels
from tests.parity import fill

FIXTURES = Path(__file__).parents[2] / "parity" / "fixtures" / "craftsman"


def manifest(name: str) -> dict[str, tuple[int, ...]]:
    """Published key -> shape, from a list that was taken from the original."""
    state = json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))["state"]
    return {key: tuple(entry[0]) for key, entry in state.items()}


def filled(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Weights made from the keys alone; the cameras are the constant that every checkpoint holds."""
    values = fill.fill_state({key: (shape, "float32") for key, shape in shapes.items() if key != "condition.cameras"})
    state = {key: torch.from_numpy(values[key]) for key in shapes if key in values}
    return state | ({"condition.cameras": canonical_labels()} if "condition.cameras" in shapes else {})


def tiny_state() -> dict[str, Tensor]:
    """A whole checkpoint of the diffusion at toy size; keys and shapes are those of the original at this size."""
    return filled(manifest("v1_pipeline"))


CLIP_CONFIG = {"vision_config": {"num_attention_heads": 4}, "text_config": {"num_attention_heads": 2}}

TINY_CONFIG = """
name: image-to-shape-diffusion/clip-mvrgb-modln-l256-e64-ne8-nd16-nl6
tag: ${rmspace:n ${data.n_samples} lr ${system.optimizer.args.lr},_}
seed: 0
data_type: objaverse-datamodule
data:
  n_samples: 4096
  n_views: 4
system_type: shape-diffusion-system
system:
  val_samples_json: val_data/mv_images/val_samples_rgb_mvimage.json
  z_scale_factor: 1.0
  guidance_scale: 7.5
  num_inference_steps: 50
  eta: 0.0
  shape_model_type: michelangelo-autoencoder
  shape_model:
    num_latents: 32
    embed_dim: 16
    point_feats: 3
    out_dim: 1
    num_freqs: 8
    include_pi: false
    heads: 4
    width: 64
    num_encoder_layers: 1
    num_decoder_layers: 2
    use_ln_post: true
    init_scale: 0.25
    qkv_bias: false
    use_flash: true
    use_checkpoint: true
  condition_model_type: clip-embedder
  condition_model:
    pretrained_model_name_or_path: openai/clip-vit-large-patch14
    encode_camera: true
    camera_embeds_dim: 32
    n_views: ${data.n_views}
    empty_embeds_ratio: 0.1
    normalize_embeds: false
    zero_uncond_embeds: false
    embeds_fusion_mode: 1
    text_max_length: 77
  denoiser_model_type: simple-denoiser
  denoiser_model:
    input_channels: ${system.shape_model.embed_dim}
    output_channels: ${system.shape_model.embed_dim}
    n_ctx: ${system.shape_model.num_latents}
    width: 64
    layers: 2
    heads: 4
    context_dim: 96
    init_scale: 1.0
    skip_ln: true
    use_checkpoint: true
  noise_scheduler_type: diffusers.schedulers.DDPMScheduler
  noise_scheduler:
    num_train_timesteps: 1000
    beta_start: 0.00085
    beta_end: 0.012
    beta_schedule: scaled_linear
    variance_type: fixed_small
    clip_sample: false
  denoise_scheduler_type: diffusers.schedulers.DDIMScheduler
  denoise_scheduler:
    num_train_timesteps: 1000
    beta_start: 0.00085
    beta_end: 0.012
    beta_schedule: scaled_linear
    clip_sample: false
    set_alpha_to_one: false
    steps_offset: 1
  loss: {loss_type: mse, lambda_diffusion: 1.}
  optimizer:
    name: AdamW
    args: {lr: 5e-5, betas: [0.9, 0.99], eps: 1e-6}
trainer: {num_nodes: 1, max_epochs: 100000, precision: 16-mixed}
checkpoint: {save_last: true, save_top_k: -1, every_n_train_steps: 5000}
"""


def write_folder(folder: Path, state: dict[str, Tensor], config: str | None = TINY_CONFIG, **more: Any) -> Path:
    """Write an official folder: a Lightning pickle with some of what such a file holds beside the state."""
    folder.mkdir(parents=True, exist_ok=True)
    optimizer = {"state": {0: {"step": torch.tensor(7.0)}}, "param_groups": [{"lr": 5e-5}]}
    content = {"epoch": 3, "global_step": 7, "state_dict": state, "optimizer_states": [optimizer], **more}
    torch.save(content, folder / "model.ckpt")
    if config is not None:
        (folder / "config.yaml").write_text(config, encoding="utf-8")
    (folder / "clip_config.json").write_text(json.dumps(CLIP_CONFIG), encoding="utf-8")
    return folder
