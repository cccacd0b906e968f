"""Runners of resampling, StyleGAN2's layers and both discriminators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from framework.nets.stylegan2.discriminator import ResidualBlock, deviation_group
from framework.nets.stylegan2.layers import EqualLinear, ModulatedConv, StyledConv, ToRGB
from framework.nets.stylegan2.resampling import Resample, biased_leaky_relu, binomial_kernel, upfirdn2d
from methods.stylesdf.nets.image_discriminator import ImageDiscriminator
from methods.stylesdf.nets.volume_discriminator import VolumeDiscriminator
from methods.stylesdf.weights import discriminator_from_official, load_part
from tests.parity.expressions import evaluate
from tests.parity.fixture import Fixture, FixtureError
from tests.parity.runners.stylesdf.sentences import called, named, several, step

Network = TypeVar("Network", bound=nn.Module)


def ops(fixture: Fixture) -> dict[str, Tensor]:
    """Family ops: `upfirdn2d` of every entry of `inputs` with a kernel, the leaky ReLU, the filters of factor 2.

    The sentences `flr` (x, bias, x of two dimensions) and `resample` hold calls of the filling functions in order.
    """
    found: dict[str, Tensor] = {}
    for name, case in fixture.descriptions.items():
        if isinstance(case, dict):
            found |= {f"{name}.{kind}": value for kind, value in _resampled(fixture, case).items()}
    x, bias, flat = called(fixture, fixture.descriptions["flr"])
    found |= {
        "flr.default": biased_leaky_relu(x, bias),
        "flr.scale1": biased_leaky_relu(x, bias, gain=1.0),
        "flr.nobias": biased_leaky_relu(x, None),
        "flr.2d": biased_leaky_relu(flat, bias),
    }
    x, up, down = named(fixture, "resample"), Resample((2, 1), up=2, gain=4.0), Resample((1, 1), down=2)
    return found | {
        "kernel": binomial_kernel(),
        "kernel_up": up.kernel,
        "upsample2": up(x),
        "downsample2": down(x),
    }


def _resampled(fixture: Fixture, case: Mapping[str, Any]) -> dict[str, Tensor]:
    """The output, and the gradient of sum(y * sin(arange(numel)))."""
    x, kernel = (torch.from_numpy(np.asarray(evaluate(case[key], fixture.salt))) for key in ("x", "kernel"))
    y = upfirdn2d(x.requires_grad_(), kernel, case["up"], case["down"], tuple(case["pad"]))
    factor = torch.arange(y.numel(), dtype=torch.float32).sin().view_as(y)
    return {"y": y, "dx": torch.autograd.grad((y * factor).sum(), x)[0]}


@torch.no_grad()
def layers(fixture: Fixture) -> dict[str, Tensor]:
    """Family layers: single layers under invented names; their sizes are those of `config` and of their weights.

    Inputs say behind their names which layer they are for; `torgb` has two, the features and the colours so far.
    The learning rate of `equallinear` (`config.lr_mul`) is the mapping network's unless given.
    """
    config, weights = fixture.config, fixture.weights()
    sizes = config["in"], config["out"], 3, config["style_dim"]
    outputs, inputs = weights["equallinear.weight"].shape
    rate = config.get("lr_mul", 0.01)
    modules: dict[str, nn.Module] = {
        "modconv": ModulatedConv(*sizes),
        "modconv_up": ModulatedConv(*sizes, resampling="up"),
        "modconv_down": ModulatedConv(*sizes, resampling="down"),
        "modconv_rgb": ModulatedConv(config["in"], 3, 1, config["style_dim"], demodulate=False),
        "styledconv": StyledConv(config["in"], config["out"], config["style_dim"], doubled=True),
        "torgb": ToRGB(config["in"], config["style_dim"]),
        "resblock": ResidualBlock(config["in"], config["out"]),
        "equallinear": EqualLinear(inputs, outputs, learning_rate=rate, activated=True),
    }
    x, style, before = named(fixture, "x"), named(fixture, "style"), named(fixture, "xd")
    features, skip = several(fixture, "torgb")
    given = {
        "modconv_down": (before, style),
        "styledconv": (x, style, named(fixture, "styledconv")),
        "torgb": (features, style, skip),
        "resblock": (before,),
        "equallinear": (style,),
    }
    return {
        f"{name}.y": loaded(module, _part(weights, f"{name}."))(*given.get(name, (x, style)))
        for name, module in modules.items()
    }


def vol_discriminator(fixture: Fixture) -> dict[str, Tensor]:
    """Family vol_discriminator: logits, angles, and the gradient of the logits' sum at the pictures `x`."""
    network = discriminator_from_official(fixture.network_weights())
    if not isinstance(network, VolumeDiscriminator):
        raise FixtureError("its keys are of no discriminator of thumbnails")
    images = named(fixture, "x").requires_grad_()
    logits, poses = network(images)
    found = {"logits": logits} | _penalty(fixture, logits, images)
    return found if poses is None else found | {"pose": poses}


def discriminator(fixture: Fixture) -> dict[str, Tensor]:
    """Family discriminator: logits, the end of the trunk, and, if stored, the gradient at the pictures `x`."""
    network, images = discriminator_from_official(fixture.network_weights()), named(fixture, "x")
    if not isinstance(network, ImageDiscriminator):
        raise FixtureError("its keys are of no discriminator of large pictures")
    group = fixture.config.get("minibatch_stddev_group", deviation_group(len(images)))
    if group != deviation_group(len(images)):
        raise FixtureError(f"{len(images)} pictures in groups of {group}, ours are of {deviation_group(len(images))}")
    with torch.set_grad_enabled("input_grad" in fixture.expected):
        logits = network(images.requires_grad_())
        gradients = _penalty(fixture, logits, images) if logits.requires_grad else {}
    with torch.no_grad():
        trunk = network.trunk(images)[:, :: step(fixture, "trunk")]
    return {"logits": logits, "trunk": trunk} | gradients


def _penalty(fixture: Fixture, logits: Tensor, images: Tensor) -> dict[str, Tensor]:
    """The squared norm of the gradient of the logits' sum for each picture, and the gradient at every n-th pixel."""
    gradient = torch.autograd.grad(logits.sum(), images)[0]
    every = step(fixture, "input_grad")
    return {"r1_penalty": gradient.square().flatten(1).sum(dim=1), "input_grad": gradient[..., ::every, ::every]}


def loaded(module: Network, weights: Mapping[str, Tensor]) -> Network:
    """The module with `weights`; WeightsError where keys are unknown or missing, other than those of kernels."""
    load_part(module, weights)
    return module


def _part(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
