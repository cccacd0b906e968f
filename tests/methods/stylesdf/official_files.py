"""Made-up published files: filled weights under published keys, in the published container."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from framework.nets.stylegan2.resampling import binomial_kernel
from methods.stylesdf.config import GeneratorConfig, RendererConfig
from methods.stylesdf.nets.generator import Generator
from methods.stylesdf.nets.image_discriminator import ImageDiscriminator
from methods.stylesdf.nets.volume_discriminator import VolumeDiscriminator
from tests.parity import fill

FIXTURES = Path(__file__).parents[2] / "parity" / "fixtures" / "stylesdf"
BETA = "renderer.sigmoid_beta"
Shapes = Mapping[str, tuple[int, ...]]

OFFICIAL = {
    "ffhq_full": ("generator_1024", "discriminator_1024"),
    "afhq_full": ("generator_512", "discriminator_512"),
    "volume": ("vol_generator", "vol_discriminator"),
}
"""What is published -> lists of the keys of its generator and its discriminator, taken from the original."""


def manifest(name: str) -> dict[str, tuple[int, ...]]:
    """Published key -> shape, from a list that was taken from the original."""
    state = json.loads((FIXTURES / f"{name}.official.json").read_text(encoding="utf-8"))["state"]
    return {key: tuple(entry[0]) for key, entry in state.items()}


def filled(shapes: Shapes, salt: int = 0, kernel_sum: float = 1.0) -> dict[str, Tensor]:
    """Weights made from the keys alone; kernels are the constant that every file holds, beta is that of a surface."""
    state = {key: torch.from_numpy(fill.weight(key, shape, salt)) for key, shape in shapes.items()}
    kernels = {key: binomial_kernel(kernel_sum) for key in shapes if key.endswith(".kernel")}
    return {key: value.contiguous() for key, value in (state | kernels | _beta(shapes)).items()}


def _beta(shapes: Shapes) -> dict[str, Tensor]:
    return {BETA: torch.from_numpy(np.full(1, 0.02, dtype=np.float32))} if BETA in shapes else {}


def content(generator: Shapes, discriminator: Shapes) -> dict[str, dict[str, Tensor]]:
    """What a published file holds; `g` and `g_ema` differ."""
    return {
        "g": filled(generator, 0, kernel_sum=4.0),
        "d": filled(discriminator, 0),
        "g_ema": filled(generator, 1, kernel_sum=4.0),
    }


def official_content(name: str) -> dict[str, dict[str, Tensor]]:
    """What one of the `OFFICIAL` files holds, at its true size."""
    generator, discriminator = OFFICIAL[name]
    return content(manifest(generator), manifest(discriminator))


TINY_RENDERER = RendererConfig(width=32, depth=3, N_samples=8)
TINY_SIZES = GeneratorConfig(size=32, style_dim=32, renderer_resolution=16, channel_multiplier=1, channel_max=16)


def tiny_content(
    stage: str, sizes: GeneratorConfig = TINY_SIZES, renderer: RendererConfig = TINY_RENDERER, poses: bool = True
) -> dict[str, dict[str, Tensor]]:
    """A file of the stage `volume` or `full` at toy size."""
    full = stage == "full"
    with torch.device("meta"):
        generator = Generator(sizes, renderer, with_decoder=full)
        discriminator = ImageDiscriminator(sizes) if full else VolumeDiscriminator(sizes, poses=poses)
    return content(_shapes(generator), _shapes(discriminator))


def _shapes(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}
