"""A part of a published checkpoint as the start of a new training."""

from __future__ import annotations

from framework.weights.checkpoint_file import read_tensor_file
from framework.weights.folder import CONFIG_FILE, load_weights
from framework.weights.opening import tensor_path
from framework.weights.resolve import resolve
from methods.craftsman.nets.denoiser import LatentSetDenoiser
from methods.craftsman.official.keys import DENOISER, below, check_state, subtree


def load_denoiser(denoiser: LatentSetDenoiser, source: str) -> None:
    """Give `denoiser` the weights in `source`.

    `source` is a published checkpoint, nested or bare, whole or of the denoiser alone, or weights of our diffusion.
    Raises WeightsError when they don't fit.
    """
    path = resolve(source)
    if (path / CONFIG_FILE).is_file():
        state = below(load_weights(path).tensors, "denoiser.")
    else:
        state = subtree(read_tensor_file(tensor_path(path))[0], DENOISER)
    check_state(denoiser, state, DENOISER, str(path))
    denoiser.load_state_dict(state)
