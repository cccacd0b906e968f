"""Tiny StyleSDF weights whose surface is about a ball, as folders that stages read."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from framework.pipeline.stage import Context
from framework.renderers.rasterizer import Rasterizer
from methods.stylesdf.config import FullConfig, GeneratorConfig, RendererConfig, VolumeConfig
from methods.stylesdf.nets.generator import Generator
from methods.stylesdf.systems import FullSystem, VolumeSystem

WIDTH, SIDE, SIZE = 32, 16, 32


def ball_config(kind: type[VolumeConfig] | type[FullConfig] = FullConfig) -> VolumeConfig | FullConfig:
    """Pictures of 32 pixels from thumbnails of 16."""
    return kind(
        renderer=RendererConfig(depth=3, width=WIDTH, N_samples=8),
        generator=GeneratorConfig(
            size=SIZE, style_dim=WIDTH, channel_multiplier=1, channel_max=8, renderer_resolution=SIDE
        ),
    )


@torch.no_grad()
def shape_ball(generator: Generator, radius: float = 0.06) -> None:
    """Set the field to nearly a ball, a little up or down by the latent: red to the right, green up, blue in front.

    The first six units of each layer carry the cosines of a point's coordinates, whose sum falls with its distance from
    the middle, and sines, which say where it is. All other units stay random.
    """
    network, own = generator.renderer.network, range(6)
    layers = [*network.pts_linears, network.views_linears]
    for layer in layers:
        for part in layer.parameters():
            part[:6] = 0.0
    layers[0].beta.weight[1] = torch.linspace(-0.2, 0.2, WIDTH)
    for axis in range(3):
        layers[0].weight[axis, axis], layers[0].bias[axis] = 1.0 / 30.0, math.pi / 60.0
        layers[0].weight[3 + axis, axis] = 0.5 / 30.0
    fainter = 0.1
    for layer in layers[1:-1]:
        layer.weight[own, own] = fainter / 30.0
    scale = fainter ** (len(layers) - 2)
    layers[-1].weight[own, own] = 1.0 / (30.0 * scale)
    slope = 0.12**2 / radius
    network.sigma_linear.weight[:] = 0.0
    network.sigma_linear.weight[0, :3] = -slope / scale
    network.sigma_linear.bias[:] = slope * (2.0 + math.cos(radius / 0.12))
    network.rgb_linear.weight[:] = 0.0
    network.rgb_linear.bias[:] = 0.0
    network.rgb_linear.weight[range(3), range(3, 6)] = 8.0


def save_ball(folder: Path, with_decoder: bool = True) -> Path:
    """Write the weights of a tiny system, `full` or `volume`, and return their folder."""
    torch.manual_seed(0)
    system = FullSystem(ball_config()) if with_decoder else VolumeSystem(ball_config(VolumeConfig))
    average = system.generator_average
    shape_ball(average)
    with torch.no_grad():
        average.renderer.sigmoid_beta.fill_(0.003)
        for name, value in average.named_parameters():
            if name.endswith("noise.weight"):
                value.fill_(0.3)
    return system.save(folder)


def context_of(folder: Path, seed: int = 0, renderer: Rasterizer | None = None) -> Context:
    """What stages of the weights in `folder`, named `full` or `volume`, are built with."""
    return Context(seed=seed, weights={folder.name: str(folder)}, renderer=renderer)
