"""The SDF network as its equations say, layer by layer: what the folded one must equal."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear

from methods.stylesdf.nets.film_siren import FilmLayer, FilmSiren, SirenOutput


def plain_siren(network: FilmSiren, points: Tensor, directions: Tensor, latents: Tensor) -> SirenOutput:
    """What `network` says about points (B, P, 3) seen along directions (B, P, 3), factor by factor."""
    hidden = points
    for layer in network.pts_linears:
        hidden = _film(layer, hidden, latents)
    features = _film(network.views_linears, torch.cat([hidden, directions], dim=-1), latents)
    return SirenOutput(network.rgb_linear(features), network.sigma_linear(hidden)[..., 0], features)


def _film(layer: FilmLayer, values: Tensor, latents: Tensor) -> Tensor:
    gamma = 15.0 * linear(latents, layer.gamma.weight, layer.gamma.bias) + 30.0
    beta = 0.25 * linear(latents, layer.beta.weight, layer.beta.bias)
    return torch.sin(gamma[:, None] * linear(values, layer.weight, layer.bias) + beta[:, None])
