"""Sizes of the published image condition, from its keys and shapes (below `condition.model.`)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from framework.nets.clip import TEXT_PARTS
from framework.nets.config import ClipTextConfig, ClipVisionConfig
from framework.weights.folder import WeightsError
from methods.craftsman.config import ClipViewsConfig
from methods.craftsman.official.variant import HEAD_WIDTH, layers, matrix, option

NARROWEST = 512
"""Width of the narrowest tower of a published CLIP; their heads are all 64 channels wide."""
SMALL_HEADS = 4
"""Attention heads that a narrower tower, as tests use them, is taken to have."""
CLIP_CONFIG = "clip_config.json"
"""The file in which transformers keeps CLIP's sizes; where it lies beside the checkpoint, it tells the heads."""


def clip_views_config(
    state: Mapping[str, Tensor], options: Mapping[str, Any], clip_config: Mapping[str, Any]
) -> ClipViewsConfig:
    """Return the config of the image condition whose state is given.

    `options` is the section `condition_model` of the published config, `clip_config` the content of the file of that
    name or empty. Raises WeightsError when a key is missing that tells a size.
    """
    text = "text_model.embeddings.token_embedding.weight" in state
    return ClipViewsConfig(
        vision=_vision(state, clip_config.get("vision_config", {})),
        text=_text(state, clip_config.get("text_config", {})) if text else None,
        camera_modulation=any(".mod_norm" in key for key in state),
        unconditional="zeros" if option(options, "zero_uncond_embeds", False) else "black",
        normalize=option(options, "normalize_embeds", False),
        freeze_modulation=option(options, "freeze_modulation", False),
    )


def without_text(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` without what serves texts, when its text tower is missing; else as it is."""
    if any(key.startswith("text_model.") for key in state):
        return dict(state)
    return {key: value for key, value in state.items() if key.partition(".")[0] not in TEXT_PARTS}


def parse_clip_config(text: str | None, where: str) -> dict[str, Any]:
    """Return the content of `clip_config.json`; {} for None, WeightsError when it is no JSON of this kind."""
    if text is None:
        return {}
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{where}: {CLIP_CONFIG} is no valid JSON ({error})") from error
    parts = (
        [content.get(name, {}) for name in ("vision_config", "text_config")] if isinstance(content, dict) else [None]
    )
    if not all(isinstance(part, dict) for part in parts):
        raise WeightsError(f"{where}: {CLIP_CONFIG} has no sections vision_config and text_config")
    return content


def _vision(state: Mapping[str, Tensor], options: Mapping[str, Any]) -> ClipVisionConfig:
    patches = "vision_model.embeddings.patch_embedding.weight"
    if patches not in state or state[patches].ndim != 4:
        raise WeightsError(f"the key condition.model.{patches} is missing or of another shape than [width, 3, p, p]")
    patch = state[patches].shape[-1]
    positions, width = matrix(state, "vision_model.embeddings.position_embedding.weight")
    default = ClipVisionConfig()
    return ClipVisionConfig(
        image_size=math.isqrt(max(positions - 1, 0)) * patch,
        patch_size=patch,
        width=width,
        mlp_width=matrix(state, "vision_model.encoder.layers.0.mlp.fc1.weight")[0],
        layers=layers(state, "vision_model.encoder.layers"),
        heads=_heads(width, options),
        activation=option(options, "hidden_act", default.activation),
        norm_eps=option(options, "layer_norm_eps", default.norm_eps),
    )


def _text(state: Mapping[str, Tensor], options: Mapping[str, Any]) -> ClipTextConfig:
    vocabulary, width = matrix(state, "text_model.embeddings.token_embedding.weight")
    default = ClipTextConfig()
    return ClipTextConfig(
        vocabulary=vocabulary,
        positions=matrix(state, "text_model.embeddings.position_embedding.weight")[0],
        width=width,
        mlp_width=matrix(state, "text_model.encoder.layers.0.mlp.fc1.weight")[0],
        layers=layers(state, "text_model.encoder.layers"),
        heads=_heads(width, options) if options or width >= NARROWEST else 1,  # it is carried along, and never run
        activation=option(options, "hidden_act", default.activation),
        norm_eps=option(options, "layer_norm_eps", default.norm_eps),
        begin_token=vocabulary - 2,
        end_token=vocabulary - 1,
        projection=matrix(state, "text_projection.weight")[0],
    )


def _heads(width: int, options: Mapping[str, Any]) -> int:
    """CLIP's heads: no shape tells them."""
    guess = width // HEAD_WIDTH if width >= NARROWEST else SMALL_HEADS
    count = option(options, "num_attention_heads", guess)
    if count < 1 or width % count:
        raise WeightsError(
            f"CLIP is taken to have {count} attention heads, which does not divide its width {width}. Put the true "
            f"number (num_attention_heads) into {CLIP_CONFIG} beside the checkpoint"
        )
    return count
