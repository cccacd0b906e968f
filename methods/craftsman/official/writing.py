"""Weights of our systems -> a published checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from framework.config.build import from_dict
from framework.nets.clip import tower_options
from framework.weights.folder import SavedWeights, WeightsError, check_tensors
from framework.weights.official import OfficialFiles
from framework.weights.opening import open_weights
from framework.weights.resolve import resolve
from methods.craftsman.cameras import canonical_labels
from methods.craftsman.config import AutoencoderConfig, ClipViewsConfig, DiffusionConfig
from methods.craftsman.official.clip_variant import CLIP_CONFIG
from methods.craftsman.official.config_text import autoencoder_text, diffusion_text
from methods.craftsman.official.keys import CAMERAS, CLIP, CONDITION, DENOISER, above, below
from methods.craftsman.official.reading import AUTOENCODER, CONFIG, DIFFUSION
from methods.craftsman.systems import AutoencoderSystem, DiffusionSystem


def write(systems: Mapping[str, SavedWeights]) -> OfficialFiles:
    """Return the published form of our weights; WeightsError when they hold what it can't express.

    A checkpoint of the diffusion holds its autoencoder too: when `systems` lacks it, it is read from where the
    diffusion's config says.
    """
    diffusion = systems.get(DIFFUSION)
    autoencoder = systems[AUTOENCODER] if AUTOENCODER in systems else _autoencoder_of(systems[DIFFUSION])
    config = from_dict(AutoencoderConfig, autoencoder.config, "the autoencoder's config")
    check_tensors(_shapes(AutoencoderSystem, config), autoencoder.tensors, AUTOENCODER)
    if diffusion is None:
        return OfficialFiles(autoencoder.tensors, {CONFIG: autoencoder_text(config)}, facts=_counts(autoencoder))
    ours = from_dict(DiffusionConfig, diffusion.config, "the diffusion's config")
    check_tensors(_shapes(DiffusionSystem, ours), diffusion.tensors, DIFFUSION)
    _refuse_inexpressible(ours, diffusion.tensors)
    clip: ClipViewsConfig = ours.view_encoder.config
    texts = {CONFIG: diffusion_text(config, ours), CLIP_CONFIG: _clip_text(clip)}
    tensors = {**autoencoder.tensors, **official_diffusion_tensors(diffusion.tensors)}
    return OfficialFiles(tensors, texts, facts=_counts(diffusion))


def official_diffusion_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state of our diffusion under its published keys, with the constant cameras."""
    clip = below(tensors, "view_encoder.model.")
    kept = next(iter(clip.values())).dtype
    return {
        **above(clip, f"{CONDITION}{CLIP}"),
        f"{CONDITION}{CAMERAS}": canonical_labels().to(kept),
        **above(below(tensors, "denoiser."), DENOISER),
    }


def _autoencoder_of(diffusion: SavedWeights) -> SavedWeights:
    source = str(diffusion.config.get("autoencoder", ""))
    try:
        return open_weights(resolve(source), AUTOENCODER, stored_types=True)
    except WeightsError as error:
        raise WeightsError(
            f"a published checkpoint holds the autoencoder too, and '{source}', which the diffusion names, can't be "
            f"read ({error}). Put both weights folders into one folder and give that"
        ) from error


def _refuse_inexpressible(config: DiffusionConfig, tensors: Mapping[str, Tensor]) -> None:
    """WeightsError for what the published code has no place for."""
    shifted = tensors["latent_mean"].any() or (tensors["latent_std"] != 1).any()
    problems = {
        f"the view encoder '{config.view_encoder.type}'": config.view_encoder.type != "craftsman/clip",
        "latent positions (denoiser.latent_positions)": config.denoiser.latent_positions,
        "normalised latents (normalize_latents)": bool(shifted),
    }
    found = [problem for problem, is_there in problems.items() if is_there]
    if found:
        raise WeightsError(f"these weights have {', '.join(found)}: a published checkpoint can't express that")


def _shapes(system_class: type[Any], config: Any) -> dict[str, tuple[int, ...]]:
    """Key -> shape of a system's state, without the memory for it."""
    with torch.device("meta"):
        return {key: tuple(value.shape) for key, value in system_class(config).state_dict().items()}


def _counts(saved: SavedWeights) -> dict[str, int]:
    """How long the weights were trained, as a Lightning checkpoint says it."""
    origin = saved.facts.get("official", {})
    return {"epoch": origin.get("epoch", 0), "global_step": saved.facts.get("step", origin.get("global_step", 0))}


def _clip_text(config: ClipViewsConfig) -> str:
    """CLIP's sizes under transformers' names: shapes tell all of them but the heads."""
    sizes = {"vision_config": tower_options(config.vision)}
    return json.dumps(sizes | ({"text_config": tower_options(config.text)} if config.text else {}), indent=2) + "\n"
