"""A published checkpoint -> weights of our systems."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from framework.config.build import to_dict
from framework.config.choice import Choice
from framework.weights.folder import SavedWeights, WeightsError
from framework.weights.official import OfficialFiles, check_official_keys
from methods.craftsman.cameras import canonical_labels
from methods.craftsman.config import AutoencoderConfig, ClipViewsConfig, DiffusionConfig
from methods.craftsman.nets.clip_views import ClipViews
from methods.craftsman.nets.denoiser import LatentSetDenoiser
from methods.craftsman.nets.shape_vae import ShapeVAE
from methods.craftsman.official.classes import ALIGNED, OfficialConfig, noise_schedule, read_config
from methods.craftsman.official.clip_variant import (
    CLIP_CONFIG,
    NARROWEST,
    clip_views_config,
    parse_clip_config,
    without_text,
)
from methods.craftsman.official.keys import (
    CAMERAS,
    CLIP,
    CONDITION,
    DENOISER,
    SHAPE_MODEL,
    above,
    below,
    check_state,
    is_bare_autoencoder,
    split,
)
from methods.craftsman.official.variant import denoiser_config, differences, option, shape_model_config
from methods.craftsman.systems import AutoencoderSystem, DiffusionSystem

AUTOENCODER = AutoencoderSystem.registry_name
DIFFUSION = DiffusionSystem.registry_name
CONFIG = "config.yaml"
CAMERA_TOLERANCE = 1e-4


def systems_in(keys: Collection[str]) -> tuple[str, ...]:
    """Return the systems that a checkpoint with these published keys can be imported as; empty for a stranger's."""
    held = {prefix for prefix in (SHAPE_MODEL, DENOISER) if any(key.startswith(prefix) for key in keys)}
    autoencoder = SHAPE_MODEL in held or is_bare_autoencoder(keys)
    return (AUTOENCODER,) * autoencoder + (DIFFUSION,) * (DENOISER in held and SHAPE_MODEL in held)


def read(files: OfficialFiles, system: str) -> SavedWeights:
    """Return one system's weights from a published checkpoint; WeightsError names what does not fit."""
    parts = split(files.tensors, files.where)
    config = read_config(files.texts.get(CONFIG), files.where)
    autoencoder = read_autoencoder(parts[SHAPE_MODEL], config, files.where)
    return autoencoder if system == AUTOENCODER else read_diffusion(parts, config, files)


def read_autoencoder(state: Mapping[str, Tensor], config: OfficialConfig, where: str) -> SavedWeights:
    """Return the autoencoder's weights; `state` holds the keys below `shape_model.`."""
    options = config.options("shape_model")
    shape_model = shape_model_config(state, options)
    with torch.device("meta"):
        check_state(ShapeVAE(shape_model), state, SHAPE_MODEL, where)
    if config.aligned and not shape_model.aligned_dim:
        raise WeightsError(f"{where}: config.yaml names {ALIGNED}, but its key {SHAPE_MODEL}projection is missing")
    notes = [*config.notes, *differences(shape_model, options)]
    if shape_model.queries == "fps" and "num_latents" not in options:
        notes.append(f"the number of latents is in no tensor of this variant: {shape_model.num_latents} are taken")
    ours = AutoencoderConfig(shape_model=shape_model)
    return SavedWeights(AUTOENCODER, to_dict(ours), above(state, SHAPE_MODEL), {"notes": notes})


def read_diffusion(
    parts: Mapping[str, Mapping[str, Tensor]], config: OfficialConfig, files: OfficialFiles
) -> SavedWeights:
    """Return the diffusion's weights; `parts` holds the keys below each prefix."""
    if "x_embed.weight" in parts[DENOISER]:
        raise WeightsError(f"{files.where} is of the second generation, whose denoiser this version does not read")
    options = config.options("denoiser_model")
    denoiser = denoiser_config(parts[DENOISER], options)
    # The original samples as many vectors as its encoder has queries: one more than it trained with when aligned.
    denoiser.latents = shape_model_config(parts[SHAPE_MODEL], config.options("shape_model")).query_count
    clip, clip_state = _read_condition(parts[CONDITION], config, files)
    with torch.device("meta"):
        check_state(LatentSetDenoiser(denoiser), parts[DENOISER], DENOISER, files.where)
    ours = DiffusionConfig(
        autoencoder=files.place_of(AUTOENCODER),
        denoiser=denoiser,
        view_encoder=Choice("craftsman/clip", clip),
        schedule=noise_schedule(config, files.where),
        condition_dropout=option(config.options("condition_model"), "empty_embeds_ratio", 0.1),
        latent_scale=config.latent_scale,
    )
    notes = [*config.notes, *differences(denoiser, options)]
    if clip.vision.width < NARROWEST and CLIP_CONFIG not in files.texts:
        notes.append(f"there is no {CLIP_CONFIG}: this small CLIP is taken to have {clip.vision.heads} attention heads")
    own = {"latent_mean": torch.zeros(()), "latent_std": torch.ones(())}
    tensors = above(parts[DENOISER], "denoiser.") | above(clip_state, "view_encoder.model.") | own
    return SavedWeights(DIFFUSION, to_dict(ours), tensors, {"notes": notes})


def _read_condition(
    state: Mapping[str, Tensor], config: OfficialConfig, files: OfficialFiles
) -> tuple[ClipViewsConfig, dict[str, Tensor]]:
    """Config and state of the image encoder; the cameras must be the ones that ours computes."""
    clip_state = without_text(below(state, CLIP))
    others = {key: value for key, value in state.items() if not key.startswith(CLIP)}
    check_official_keys({f"{CONDITION}{CAMERAS}": (4, 4, 4)}, above(others, CONDITION), files.where)
    if not torch.allclose(others[CAMERAS].float(), canonical_labels(), atol=CAMERA_TOLERANCE):
        raise WeightsError(
            f"{files.where}: condition.cameras are not the poses of front, right, back and left that the published "
            "models were trained with, so their views would be told apart wrongly"
        )
    clip_config = parse_clip_config(files.texts.get(CLIP_CONFIG), files.where)
    clip = clip_views_config(clip_state, config.options("condition_model"), clip_config)
    with torch.device("meta"):
        check_state(ClipViews(clip), above(clip_state, CLIP), CONDITION, files.where)
    return clip, clip_state
