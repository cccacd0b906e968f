"""How an adapter gets at its library, and what it says where that can't draw."""

from typing import Any

from torch import Tensor

from framework.optional import require
from framework.renderers.backends import BACKENDS


def library(name: str, module: str | None = None) -> Any:
    """Import the library of the rasterizer `name`, or another module of it; MissingExtra says how to build it."""
    backend = BACKENDS[name]
    cure = f"{backend.cure} (or use renderer=torch)"
    attribute = backend.attribute if module is None else None
    return require(module or backend.module, "all", attribute, f"renderer={name}", cure)


def check_on_gpu(name: str, positions: Tensor) -> None:
    """Raise ValueError unless `positions` are where the rasterizer `name` can draw."""
    if positions.device.type != "cuda":
        message = f"renderer={name} draws on CUDA only, but the positions are on {positions.device}"
        raise ValueError(f"{message}: use device=cuda, or renderer=torch")
