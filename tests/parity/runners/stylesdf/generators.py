"""Runners of the mapping networks, the decoder and the whole generator."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from methods.stylesdf.config import GeneratorConfig, RendererConfig
from methods.stylesdf.nets.generator import Generator
from methods.stylesdf.weights import decoder_from_official, generator_from_official
from tests.parity.fixture import Fixture, FixtureError
from tests.parity.runners.stylesdf.rendering import cameras_of
from tests.parity.runners.stylesdf.sentences import named, stated, step
from tests.parity.runners.stylesdf.stylegan2 import loaded


@torch.no_grad()
def mapping(fixture: Fixture) -> dict[str, Tensor]:
    """Family mapping: latents of `z`, truncated to their own means by `psi`, and mixed without truncation.

    `inputs.mixing` tells the rows of the two codes (`z[0:2] and z[2:4]`), `outputs.mixed` where the second one begins
    and which channels are stored. A decoder of as few channels as possible has the same mapping network.
    """
    config = fixture.config
    generator = _mapped_generator(config["style_dim"], config["n_latent"], config.get("lr_mapping", 0.01))
    known = generator.state_dict()
    weights = {key: value for key, value in known.items() if "style" not in key.split(".")} | fixture.weights()
    loaded(generator, weights)
    assert generator.decoder is not None
    z = named(fixture, "z")
    latents, means, psi = generator.map(z), generator.mean_latents(z), config["psi"]
    truncated = generator.truncated(latents, psi, means)
    spans = re.findall(r"\[(\d+):(\d+)\]", str(fixture.descriptions["mixing"]))
    if len(spans) != 2:
        raise FixtureError("inputs.mixing names no two spans of z")
    pair = [latents[int(first) : int(last)] for first, last in spans]
    mixed = generator.decoder_codes(pair, int(stated(fixture, "mixed", r"inject_index=(\d+)")[1]))
    return {
        "w_renderer": latents,
        "w_decoder": generator.decoder.map(latents),
        "w_renderer_trunc": truncated,
        "w_decoder_trunc": generator.decoder_codes([truncated], psi=psi, means=means)[:, 0],
        "mixed": mixed[..., :: step(fixture, "mixed")],
    }


def _mapped_generator(style_dim: int, codes: int, rate: float) -> Generator:
    """A generator whose decoder takes so many codes, and else is as small as can be."""
    sizes = GeneratorConfig(
        size=8 * 2 ** ((codes - 2) // 2),
        style_dim=style_dim,
        lr_mapping=rate,
        renderer_resolution=8,
        channel_max=1,
    )
    return Generator(sizes, RendererConfig(depth=1, width=style_dim), with_decoder=True)


@torch.no_grad()
def decoder(fixture: Fixture) -> dict[str, Tensor]:
    """Family decoder: features and one renderer latent to a picture, with the noise that the weights hold."""
    features = named(fixture, "features")
    network = decoder_from_official(fixture.weights(), fixture.config)
    latent = network.map(named(fixture, "w"))
    image = network(features, latent[:, None].expand(-1, network.layers, -1))
    every = step(fixture, "image_strided")
    statistics = torch.stack([image.mean(dim=(0, 2, 3)), image.transpose(0, 1).flatten(1).std(dim=1)])
    found = {"latent": latent, "image_strided": image[..., ::every, ::every], "mean_std": statistics}
    return found | ({"image_crop": _crop(fixture, image)} if "image_crop" in fixture.facts["outputs"] else {})


def _crop(fixture: Fixture, image: Tensor) -> Tensor:
    """Rows and columns as `outputs.image_crop` says: rows S/2-32..S/2+31, columns S/4..S/4+63."""
    bound = r"S/(\d+)([+-]\d+)?"
    found = stated(fixture, "image_crop", rf"rows {bound}\.\.{bound}, columns {bound}\.\.{bound}").groups("0")
    size = image.shape[-1]
    top, bottom, left, right = (size // int(found[k]) + int(found[k + 1]) for k in range(0, 8, 2))
    return image[..., top : bottom + 1, left : right + 1]


@torch.no_grad()
def generator_small(fixture: Fixture) -> dict[str, Tensor]:
    """Family generator_small: truncated with extras, mixed, and without noise; all with the noise of the weights.

    `locations` are angles; options are those of the published command line, absent ones have their defaults.
    """
    config = fixture.config
    generator = _generator(fixture)
    assert generator.decoder is not None
    cameras = cameras_of(fixture, config)
    z, means = named(fixture, "z"), generator.mean_latents(named(fixture, "zm"))
    truncated = generator(cameras, z, psi=config["psi"], means=means, extras=("xyz", "sdf", "mask"))
    mixed = generator(cameras, [z, named(fixture, "z2")], inject_index=config["inject_index"])
    silent = generator(cameras, z, noise=[torch.zeros_like(noise) for noise in generator.decoder.noise_maps])
    return {
        "trunc.rgb": truncated.image,
        "trunc.thumb": truncated.thumbnail,
        "trunc.xyz": truncated.rendered.xyz,
        "trunc.sdf": truncated.rendered.sdf,
        "trunc.mask": truncated.rendered.mask,
        "mix.rgb": mixed.image,
        "mix.latents": mixed.codes,
        "nonoise.rgb": silent.image,
        "mean.renderer": means.renderer,
        "mean.decoder": means.decoder,
    }


def _generator(fixture: Fixture) -> Generator:
    """The generator of a fixture's published options, with its weights."""
    return generator_from_official(fixture.network_weights(), {"perturb": 0} | fixture.config)
