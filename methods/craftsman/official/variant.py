"""Which variant a published state dict is: sizes and switches are read off its keys and shapes.

Only what shapes can't tell (attention heads, the frequencies' factor, initial scale, the number of latents behind
farthest-point queries) comes from the published config, as the mapping `options` of the network's section; what is
absent there has the original's default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from framework.registry import suggestion
from framework.weights.folder import WeightsError
from methods.craftsman.config import DenoiserConfig, ShapeVAEConfig

HEAD_WIDTH = 64
"""Channels of an attention head in every published model: the guess where no config gives the number of heads."""


def shape_model_config(state: Mapping[str, Tensor], options: Mapping[str, Any]) -> ShapeVAEConfig:
    """Return the config of a shape autoencoder whose state (keys below `shape_model.`) is given.

    Raises WeightsError when a key is missing that tells a size, or when sizes contradict each other.
    """
    width, data_width = matrix(state, "encoder.input_proj.weight")
    embedded = matrix(state, "decoder.query_proj.weight")[1]
    num_freqs, rest = divmod(embedded - 3, 6)
    if rest:
        raise WeightsError(
            f"decoder.query_proj.weight reads {embedded} features of a point; a Fourier embedding of F octaves with "
            "its input has 3 (2 F + 1). Other embeddings of the original are not supported"
        )
    default = ShapeVAEConfig()
    point_feats = data_width - embedded
    # Without octaves, three features take as much place embedded as not, and are the same.
    embed_point_feats = num_freqs > 0 and point_feats == embedded
    queries = matrix(state, "encoder.query")[0] if "encoder.query" in state else None
    aligned_dim = matrix(state, "projection")[1] if "projection" in state else 0
    latents = option(options, "num_latents", default.num_latents) if queries is None else queries - bool(aligned_dim)
    return ShapeVAEConfig(
        num_latents=latents,
        embed_dim=matrix(state, "post_kl.weight")[1],
        width=width,
        heads=heads(width, options),
        encoder_layers=layers(state, "encoder.self_attn.resblocks"),
        decoder_layers=layers(state, "transformer.resblocks"),
        queries="fps" if queries is None else "learned",
        point_feats=3 if embed_point_feats else point_feats,
        embed_point_feats=embed_point_feats,
        out_dim=matrix(state, "decoder.output_proj.weight")[0],
        num_freqs=num_freqs,
        include_pi=option(options, "include_pi", default.include_pi),
        qkv_bias=any(key.endswith("c_qkv.bias") for key in state),
        init_scale=option(options, "init_scale", default.init_scale),
        aligned_dim=aligned_dim,
    )


def denoiser_config(state: Mapping[str, Tensor], options: Mapping[str, Any]) -> DenoiserConfig:
    """Return the config of a denoiser whose state (keys below `denoiser_model.`) is given.

    The number of latents is no part of its weights: it is `n_ctx` of the options. Raises WeightsError when a key is
    missing that tells a size.
    """
    width, channels = matrix(state, "input_proj.weight")
    context_ln = "context_embed.weight" not in state
    default = DenoiserConfig()
    return DenoiserConfig(
        latents=option(options, "n_ctx", default.latents),
        latent_channels=channels,
        width=width,
        layers=layers(state, "backbone.encoder"),
        heads=heads(width, options),
        context_dim=matrix(state, "context_embed.1.weight" if context_ln else "context_embed.weight")[1],
        context_ln=context_ln,
        skip_ln="backbone.decoder.0.2.weight" in state,
        qkv_bias=any(key.endswith("c_qkv.bias") for key in state),
        init_scale=option(options, "init_scale", default.init_scale),
        flip_sin_to_cos=option(options, "flip_sin_to_cos", default.flip_sin_to_cos),
    )


SHAPE_MODEL_NAMES = {
    "num_latents": "num_latents",
    "embed_dim": "embed_dim",
    "point_feats": "point_feats",
    "out_dim": "out_dim",
    "num_freqs": "num_freqs",
    "width": "width",
    "num_encoder_layers": "encoder_layers",
    "num_decoder_layers": "decoder_layers",
    "qkv_bias": "qkv_bias",
}
DENOISER_NAMES = {
    "input_channels": "latent_channels",
    "output_channels": "latent_channels",
    "width": "width",
    "layers": "layers",
    "context_dim": "context_dim",
    "context_ln": "context_ln",
    "skip_ln": "skip_ln",
    "qkv_bias": "qkv_bias",
}
"""Published option -> ours, for those that the weights themselves tell."""


def differences(config: ShapeVAEConfig | DenoiserConfig, options: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each option on which the published config and the weights disagree; the weights count."""
    names = SHAPE_MODEL_NAMES if isinstance(config, ShapeVAEConfig) else DENOISER_NAMES
    return [
        f"config.yaml says {key} {options[key]}, the weights have {getattr(config, name)}: the weights count"
        for key, name in names.items()
        if options.get(key) is not None and options[key] != getattr(config, name)
    ]


def option(options: Mapping[str, Any], key: str, default: Any) -> Any:
    """Return an option of the type of `default`, which is taken where it is absent or null; else WeightsError."""
    value = options.get(key)
    if value is None:
        return default
    accepted = (int, float) if isinstance(default, float) else (type(default),)
    if type(value) not in accepted:
        raise WeightsError(f"config.yaml: {key} is {value!r}, expected {type(default).__name__}")
    return type(default)(value)


def matrix(state: Mapping[str, Tensor], key: str) -> tuple[int, int]:
    """Return (rows, columns) of a matrix in `state`; WeightsError with the nearest key when it is not there."""
    if key not in state:
        raise WeightsError(f"the key {key} is missing, from which a size is read. {suggestion(key, state)}")
    shape = tuple(state[key].shape)
    if len(shape) != 2:
        raise WeightsError(f"{key} has the shape {shape}, expected a matrix")
    return shape[0], shape[1]


def layers(state: Mapping[str, Tensor], stack: str) -> int:
    """Return how many numbered modules `stack` has: one more than the highest index below it."""
    pattern = re.compile(rf"{re.escape(stack)}\.(\d+)\.")
    return 1 + max((int(match[1]) for match in map(pattern.match, state) if match), default=-1)


def heads(width: int, options: Mapping[str, Any]) -> int:
    """Return the number of attention heads; WeightsError when it does not divide `width`."""
    count = option(options, "heads", max(1, width // HEAD_WIDTH))
    if count < 1 or width % count:
        raise WeightsError(f"heads is {count}, but the weights are {width} wide: give a divisor of it in the config")
    return count
