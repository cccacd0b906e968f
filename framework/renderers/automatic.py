"""`renderer=auto`: the fastest rasterizer that is installed, draws on the device, and may be used."""

import torch

from framework import registry
from framework.renderers.backends import fastest
from framework.renderers.config import AutomaticConfig
from framework.renderers.rasterizer import Rasterizer


def fastest_rasterizer(config: AutomaticConfig | None = None, device: str | None = None) -> Rasterizer:
    """Return the rasterizer with its default options; its `name` says which. device: kind, by default the GPU's."""
    config = config or AutomaticConfig()
    name = fastest(device or ("cuda" if torch.cuda.is_available() else "cpu"), config.license)
    rasterizer: Rasterizer = registry.load_class("renderer", name)(registry.config_class("renderer", name)())
    return rasterizer
