"""The names of a published state dict: which part a key belongs to, and which keys carry nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import Tensor, nn

from framework.weights.folder import WeightsError
from framework.weights.official import check_official_keys

SHAPE_MODEL = "shape_model."
DENOISER = "denoiser_model."
CONDITION = "condition."
PARTS = (SHAPE_MODEL, DENOISER, CONDITION)
CAMERAS = "cameras"
"""Below `condition.`: the labels of the canonical cameras, a constant that is stored all the same."""
CLIP = "model."
"""Below `condition.`: CLIP with its modulation."""


def is_leftover(key: str) -> bool:
    """Whether a published key carries nothing: fixed position indices, placeholders, the alignment's own CLIP."""
    return key.endswith((".position_ids", "._dummy")) or key.startswith(f"{SHAPE_MODEL}clip_model.")


def is_bare_autoencoder(keys: Collection[str]) -> bool:
    """Whether these are the keys of a shape autoencoder without prefix."""
    return {"encoder.input_proj.weight", "post_kl.weight", "decoder.query_proj.weight"} <= set(keys)


def subtree(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the entries below `prefix` without it and without leftovers, or all when `state` has no such prefix."""
    kept = {key: value for key, value in state.items() if not is_leftover(key)}
    return below(kept, prefix) or kept


def below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the entries below `prefix`, without it."""
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def above(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the entries with `prefix` before their keys."""
    return {f"{prefix}{key}": value for key, value in state.items()}


def split(tensors: Mapping[str, Tensor], where: str) -> dict[str, dict[str, Tensor]]:
    """Return prefix -> published keys below it, without leftovers; WeightsError for keys that belong nowhere."""
    kept = {key: value for key, value in tensors.items() if not is_leftover(key)}
    if is_bare_autoencoder(kept):
        kept = above(kept, SHAPE_MODEL)
    strangers = [key for key in kept if not key.startswith(PARTS)]
    if strangers:
        raise WeightsError(
            f"{where}: {len(strangers)} keys belong to no part of it: {', '.join(strangers[:4])}. Known parts "
            f"are {', '.join(f'{prefix}*' for prefix in PARTS)}. Take them out or rename them before the import"
        )
    return {prefix: below(kept, prefix) for prefix in PARTS}


def check_state(module: nn.Module, state: Mapping[str, Tensor], prefix: str, where: str) -> None:
    """Raise WeightsError unless `state` has the keys and shapes of `module`; errors put `prefix` before keys."""
    expected = {f"{prefix}{key}": tuple(value.shape) for key, value in module.state_dict().items()}
    check_official_keys(expected, above(state, prefix), where)
