"""CLIP (Radford et al. 2021) on transformers' modules, built from plain numbers: nothing is asked of the hub.

Parameters keep the names of transformers' `CLIPModel`, which published checkpoints carry. Every block of the vision
tower can be modulated by a condition, such as a camera, as in CraftsMan (arXiv 2405.14979, section 3.2).

B pictures, T tokens per picture (the class token, then one per patch), W width, C channels of the condition.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.utils.checkpoint
from jaxtyping import Float
from torch import Tensor, nn

from framework.nets.config import ClipTextConfig, ClipVisionConfig

Clip = Any
"""A module of transformers, whose parts type checkers don't see."""

SMALLEST_TEXT = ClipTextConfig(
    vocabulary=2, positions=1, width=1, mlp_width=1, layers=0, heads=1, begin_token=0, end_token=1, projection=1
)
TEXT_PARTS = ("text_model", "text_projection", "visual_projection", "logit_scale")
"""What a vision tower does not need."""


def build_clip(vision: ClipVisionConfig, text: ClipTextConfig | None = None, modulation_channels: int = 0) -> Clip:
    """Return CLIP with random weights; without `text` only its part `vision_model`.

    `modulation_channels` > 0 adds `mod_norm1` and `mod_norm2` to every block of the vision tower, which change nothing
    before they are trained.
    """
    from transformers import CLIPModel  # takes a while, so only who builds one waits for it

    # transformers has no vision tower alone under these names, so the smallest text tower is built and dropped.
    model = CLIPModel(_transformers_config(vision, text or SMALLEST_TEXT))
    if text is None:
        drop_text(model)
    if modulation_channels:
        for layer in model.vision_model.encoder.layers:
            layer.mod_norm1 = Modulation(vision.width, modulation_channels)
            layer.mod_norm2 = Modulation(vision.width, modulation_channels)
    return model


def drop_text(model: Clip) -> None:
    """Delete the text tower and both projections in place, where they are there: the memory of 124 million weights."""
    for name in TEXT_PARTS:
        if hasattr(model, name):
            delattr(model, name)


class Modulation(nn.Module):
    """Scales and shifts normalised tokens of `width` channels by what a condition of `channels` numbers says.

    Zero-initialised, so that it starts as nothing.
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        linear = nn.Linear(channels, 2 * width)
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)
        self.mlp = nn.Sequential(nn.SiLU(), linear)

    def forward(self, x: Float[Tensor, "B T W"], condition: Float[Tensor, "B C"]) -> Float[Tensor, "B T W"]:
        """x * (1 + scale) + shift, the same for all tokens of a picture."""
        shift, scale = self.mlp(condition.to(x.dtype))[:, None].chunk(2, dim=-1)
        return x * (1.0 + scale) + shift


def vision_tokens(
    tower: Clip,
    pixels: Float[Tensor, "B 3 S S"],
    condition: Float[Tensor, "B C"] | None = None,
    checkpointing: bool = False,
) -> Float[Tensor, "B T W"]:
    """Tokens behind the last block of `tower` (a `vision_model`), without the final norm; `pixels` are normalised.

    Without `condition` the modulation is off, whatever its weights are. `checkpointing` recomputes activations in the
    backward pass. Raises ValueError for pictures of another side than the tower's.
    """
    x = tower.pre_layrnorm(tower.embeddings(pixels))
    for layer in tower.encoder.layers:
        if checkpointing and torch.is_grad_enabled():
            x = torch.utils.checkpoint.checkpoint(_block, layer, x, condition, use_reentrant=False)
        else:
            x = _block(layer, x, condition)
    return x


def pooled(tower: Clip, tokens: Float[Tensor, "B T W"]) -> Float[Tensor, "B W"]:
    """The normalised class token of `vision_tokens`: what `visual_projection` reads."""
    return tower.post_layernorm(tokens[:, 0])


def _block(layer: Clip, x: Tensor, condition: Tensor | None) -> Tensor:
    """One residual block. The modulation acts behind the norms, before attention and MLP."""
    normed = layer.layer_norm1(x)
    normed = normed if condition is None else layer.mod_norm1(normed, condition)
    x = x + layer.self_attn(normed, attention_mask=None)[0]
    normed = layer.layer_norm2(x)
    normed = normed if condition is None else layer.mod_norm2(normed, condition)
    return x + layer.mlp(normed)


def _transformers_config(vision: ClipVisionConfig, text: ClipTextConfig) -> Any:
    """The same numbers under transformers' names."""
    from transformers import CLIPConfig

    pictures = {"image_size": vision.image_size, "patch_size": vision.patch_size}
    words = {
        "vocab_size": text.vocabulary,
        "max_position_embeddings": text.positions,
        "bos_token_id": text.begin_token,
        "eos_token_id": text.end_token,
    }
    shared = {"projection_dim": text.projection}
    return CLIPConfig(
        vision_config=tower_options(vision) | pictures | shared,
        text_config=tower_options(text) | words | shared,
        projection_dim=text.projection,
    )


def tower_options(part: ClipVisionConfig | ClipTextConfig) -> dict[str, Any]:
    """Return the sizes that both towers have, under transformers' names."""
    return {
        "hidden_size": part.width,
        "intermediate_size": part.mlp_width,
        "num_hidden_layers": part.layers,
        "num_attention_heads": part.heads,
        "hidden_act": part.activation,
        "layer_norm_eps": part.norm_eps,
    }
