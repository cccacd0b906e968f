"""Published checkpoints <-> our systems, both ways and strictly.

A file holds `g`, `d` and `g_ema`: generator, discriminator, and the running average of the generator. One of the first
stage is our `stylesdf/volume`, one of the second, whose generator has a decoder, is `stylesdf/full`. Our modules carry
the published names, so an adapter is a change of prefix. `OFFICIAL` serves files; the functions here serve networks
that are in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from framework.weights.official import OfficialFormat, check_official_keys
from methods.stylesdf.nets.decoder import Decoder
from methods.stylesdf.nets.generator import Generator
from methods.stylesdf.nets.image_discriminator import ImageDiscriminator
from methods.stylesdf.nets.renderer import SdfRenderer
from methods.stylesdf.nets.volume_discriminator import VolumeDiscriminator
from methods.stylesdf.official.kernels import complete_kernels
from methods.stylesdf.official.reading import PARTS, discriminator_of, read, systems_in
from methods.stylesdf.official.variant import BETA, Facts, generator_config, renderer_config
from methods.stylesdf.official.writing import FILE, write

OFFICIAL = OfficialFormat(systems_in, read, write, parts=PARTS, file=FILE)

State = Mapping[str, Tensor]
Network = TypeVar("Network", bound=nn.Module)
WHERE = "the official weights"


def generator_from_official(state: State, facts: Facts | None = None) -> Generator:
    """Return the generator of a published state (`g` or `g_ema`; of the first stage without a decoder), in eval mode.

    `facts` are published options that no shape tells (`N_samples`, `force_background`, `static_viewdirs`, `perturb`,
    `no_sdf`, `no_offset_sampling`, `no_z_normalize`, `renderer_spatial_output_dim` of the first stage, `lr_mapping`);
    others are not looked at. WeightsError for keys that are missing, unknown or misshapen, and where facts and shapes
    disagree.
    """
    with_decoder = any(key.startswith("decoder.") for key in state)
    generator = Generator(generator_config(state, facts), renderer_config(state, facts), with_decoder=with_decoder)
    return _loaded(generator, state)


def renderer_from_official(state: State, facts: Facts | None = None) -> SdfRenderer:
    """Return the renderer alone: the keys below `renderer.` of a generator's state; others are not looked at.

    With the fact `no_sdf` a sharpness among them is not looked at either: densities have no use for it.
    """
    own = _below(state, "renderer.")
    config, sizes = renderer_config(own, facts), generator_config(own, facts)
    if not config.sdf:
        own.pop(BETA, None)
    return _loaded(SdfRenderer(config, sizes.style_dim), own, "renderer.")


def decoder_from_official(state: State, facts: Facts | None = None) -> Decoder:
    """Return the decoder alone: the keys below `decoder.` of a generator's state; others are not looked at."""
    own = _below(state, "decoder.")
    return _loaded(Decoder(generator_config(own, facts)), own, "decoder.")


def discriminator_from_official(state: State) -> VolumeDiscriminator | ImageDiscriminator:
    """Return the discriminator of a published state (`d`), told by its keys, in eval mode."""
    return _loaded(discriminator_of(state), state)


def load_part(module: nn.Module, state: State, prefix: str = "") -> None:
    """Give a part of a network the values of `state`, whose keys begin with `prefix`, strictly.

    Resampling kernels, which are constants, may be missing; WeightsError for anything else that is, for unknown keys,
    and for other shapes or kernels.
    """
    given = complete_kernels(state, module, prefix, WHERE)
    expected = {f"{prefix}{key}": tuple(value.shape) for key, value in module.state_dict().items()}
    check_official_keys(expected, given, WHERE)
    with torch.no_grad():
        module.load_state_dict({key.removeprefix(prefix): value for key, value in given.items()})


def _below(state: State, prefix: str) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if key.startswith(prefix)}


def _loaded(network: Network, state: State, prefix: str = "") -> Network:
    load_part(network, state, prefix)
    return network.eval()
