"""Published checkpoints <-> our systems, both ways and strictly.

A checkpoint of the diffusion holds `shape_model.*`, `denoiser_model.*` and `condition.*`; one of the autoencoder
`shape_model.*` alone; the bare state of a network has no prefix. Our modules carry the published names, so an adapter
is a change of prefix. `OFFICIAL` serves files; the functions here serve networks that are in memory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from framework.config.build import from_dict
from framework.weights.official import OfficialFiles, OfficialFormat
from methods.craftsman.config import AutoencoderConfig, DiffusionConfig
from methods.craftsman.nets.denoiser import LatentSetDenoiser
from methods.craftsman.official.classes import OfficialConfig
from methods.craftsman.official.clip_variant import CLIP_CONFIG
from methods.craftsman.official.keys import DENOISER, SHAPE_MODEL, above, check_state, split, subtree
from methods.craftsman.official.reading import CONFIG, read, read_diffusion, systems_in
from methods.craftsman.official.variant import denoiser_config, shape_model_config
from methods.craftsman.official.writing import official_diffusion_tensors, write
from methods.craftsman.systems import AutoencoderSystem, DiffusionSystem

OFFICIAL = OfficialFormat(systems_in, read, write, companions=(CONFIG, CLIP_CONFIG))


def autoencoder_from_official(
    state: Mapping[str, Tensor], config: Mapping[str, Any] | None = None
) -> AutoencoderSystem:
    """Return the autoencoder of a published state dict, in eval mode.

    `state` has keys below `shape_model.` (others are not looked at) or the network's bare keys; `config` is the
    section `shape_model` of the published config. Raises WeightsError when keys are missing, unknown or misshapen.
    """
    part = subtree(state, SHAPE_MODEL)
    system = AutoencoderSystem(AutoencoderConfig(shape_model=shape_model_config(part, config or {})))
    _load(system.shape_model, part, SHAPE_MODEL)
    return system.eval()


def official_from_autoencoder(system: AutoencoderSystem) -> dict[str, Tensor]:
    """Return the state of `system` under the published keys `shape_model.*`; values are not copied."""
    return above(system.shape_model.state_dict(), SHAPE_MODEL)


def denoiser_from_official(state: Mapping[str, Tensor], config: Mapping[str, Any] | None = None) -> LatentSetDenoiser:
    """Return the denoiser of a published state dict (keys below `denoiser_model.`, or bare), in eval mode.

    `config` is the section `denoiser_model` of the published config.
    """
    part = subtree(state, DENOISER)
    denoiser = LatentSetDenoiser(denoiser_config(part, config or {}))
    _load(denoiser, part, DENOISER)
    return denoiser.eval()


def diffusion_from_official(
    state: Mapping[str, Tensor],
    config: Mapping[str, Mapping[str, Any]] | None = None,
    clip_config: Mapping[str, Any] | None = None,
) -> DiffusionSystem:
    """Return the diffusion of a whole published state dict (all three parts), in eval mode.

    `config` holds sections of the published config (`denoiser_model`, `condition_model`, ...), `clip_config` is
    `clip_config.json`, which alone can tell the attention heads of an unusual CLIP.
    """
    texts = {} if clip_config is None else {CLIP_CONFIG: json.dumps(clip_config)}
    where = "the official weights"
    saved = read_diffusion(split(state, where), OfficialConfig(config or {}), OfficialFiles(state, texts, where))
    system = DiffusionSystem(from_dict(DiffusionConfig, saved.config))
    system.load_own_state(saved.tensors, where)
    return system.eval()


def official_from_diffusion(system: DiffusionSystem) -> dict[str, Tensor]:
    """Return the state of `system` under the published keys `denoiser_model.*` and `condition.*`, without copies."""
    return official_diffusion_tensors(system.state_dict())


def _load(module: nn.Module, state: Mapping[str, Tensor], prefix: str) -> None:
    """Give `module` the values of `state` (keys without `prefix`, which errors name); all of them must fit."""
    check_state(module, state, prefix, "the official weights")
    with torch.no_grad():
        module.load_state_dict(dict(state))
