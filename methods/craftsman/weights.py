"""Published checkpoints <-> our systems, both ways and strictly.

A checkpoint of the diffusion holds `shape_model.*`, `denoiser_model.*` and `condition.*`; one of the autoencoder
`shape_model.*` alone; the bare state of a network has no prefix. Our modules carry the published names, so an adapter
is a change of prefix.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from framework.weights.official import check_official_keys
from methods.craftsman.config import AutoencoderConfig
from methods.craftsman.nets.denoiser import LatentSetDenoiser
from methods.craftsman.official.variant import denoiser_config, shape_model_config
from methods.craftsman.systems import AutoencoderSystem

SHAPE_MODEL = "shape_model."
DENOISER = "denoiser_model."


def autoencoder_from_official(
    state: Mapping[str, Tensor], config: Mapping[str, Any] | None = None
) -> AutoencoderSystem:
    """Return the autoencoder of a published state dict, in eval mode; it keeps the tensors of `state` themselves.

    `state` has keys below `shape_model.` (others are not looked at) or the network's bare keys; `config` is the
    section `shape_model` of the published config. Raises WeightsError when keys are missing, unknown or misshapen.
    """
    part = subtree(state, SHAPE_MODEL)
    system = AutoencoderSystem(AutoencoderConfig(shape_model=shape_model_config(part, config or {})))
    load_official(system.shape_model, part, SHAPE_MODEL)
    return system.eval()


def official_from_autoencoder(system: AutoencoderSystem) -> dict[str, Tensor]:
    """Return the state of `system` under the published keys `shape_model.*`; values are not copied."""
    return {f"{SHAPE_MODEL}{key}": value for key, value in system.shape_model.state_dict().items()}


def denoiser_from_official(state: Mapping[str, Tensor], config: Mapping[str, Any] | None = None) -> LatentSetDenoiser:
    """Return the denoiser of a published state dict (keys below `denoiser_model.`, or bare), in eval mode.

    `config` is the section `denoiser_model` of the published config.
    """
    part = subtree(state, DENOISER)
    denoiser = LatentSetDenoiser(denoiser_config(part, config or {}))
    load_official(denoiser, part, DENOISER)
    return denoiser.eval()


def is_leftover(key: str) -> bool:
    """Whether a published key carries nothing: fixed position indices, placeholders, the alignment's own CLIP."""
    return key.endswith((".position_ids", "._dummy")) or key.startswith(f"{SHAPE_MODEL}clip_model.")


def subtree(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the entries below `prefix` without it and without leftovers, or all when `state` has no such prefix."""
    state = {key: value for key, value in state.items() if not is_leftover(key)}
    below = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return below or state


def load_official(module: nn.Module, state: Mapping[str, Tensor], prefix: str) -> None:
    """Give `module` the values of `state` (keys without `prefix`, which errors name); all of them must fit."""
    expected = {f"{prefix}{key}": tuple(value.shape) for key, value in module.state_dict().items()}
    check_official_keys(expected, {f"{prefix}{key}": value for key, value in state.items()}, "the official weights")
    with torch.no_grad():
        module.load_state_dict(dict(state))
