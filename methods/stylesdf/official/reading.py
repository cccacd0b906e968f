"""A published checkpoint -> weights of our systems."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from framework.config.build import to_dict
from framework.nets.stylegan2.resampling import binomial_kernel
from framework.weights.folder import SavedWeights, WeightsError
from framework.weights.official import OfficialFiles, check_official_keys
from methods.stylesdf.config import FullConfig, FullLossConfig, VolumeConfig, VolumeLossConfig
from methods.stylesdf.nets.generator import Generator
from methods.stylesdf.nets.image_discriminator import ImageDiscriminator
from methods.stylesdf.nets.volume_discriminator import VolumeDiscriminator
from methods.stylesdf.official.files import ANIMALS
from methods.stylesdf.official.kernels import ENDING, check_kernels
from methods.stylesdf.official.variant import (
    State,
    camera_config,
    discriminator_config,
    generator_config,
    renderer_config,
    tells_poses,
)

VOLUME = "stylesdf/volume"
FULL = "stylesdf/full"
PARTS = ("g", "d", "g_ema")
"""The mappings in a published file, in its order."""
PREFIXES: Mapping[str, str] = {"g": "generator.", "d": "discriminator.", "g_ema": "generator_average."}
"""Part of a published file -> where its keys stand in a system of ours."""
ANIMALS_R1 = 50.0
"""`r1` of the second stage of AFHQ; all other published models have the default."""


def systems_in(keys: Collection[str]) -> tuple[str, ...]:
    """Return the system that a checkpoint with these published keys can be imported as; empty for a stranger's."""
    bare = {key.removeprefix("g_ema.").removeprefix("g.") for key in keys}
    if not any(key.startswith("renderer.network.") for key in bare):
        return ()
    return (FULL,) if any(key.startswith("decoder.") for key in bare) else (VOLUME,)


def read(files: OfficialFiles, system: str) -> SavedWeights:
    """Return the system's weights from a published checkpoint; WeightsError names what does not fit."""
    parts = split(files.tensors, files.where)
    animals = files.published in ANIMALS
    config = _full_config(parts, animals) if system == FULL else _volume_config(parts, animals)
    check_parts(parts, config, files.where)
    tensors = {f"{PREFIXES[part]}{key}": value for part in PARTS for key, value in parts[part].items()}
    notes = [f"{system}: {len(tensors)} keys, 0 missing, 0 unexpected"]
    if files.published is None:
        notes.append(
            f"{files.where} is none of the published files, so its size and MD5 can't be checked; cameras are taken "
            f"to have system.camera.azim={config.camera.azim} (AFHQ: 0.15), which no tensor tells"
        )
    return SavedWeights(system, to_dict(config), tensors, {"notes": notes})


def split(tensors: State, where: str) -> dict[str, dict[str, Tensor]]:
    """Return part -> its keys; WeightsError when a part is missing, or keys belong to none."""
    parts: dict[str, dict[str, Tensor]] = {part: {} for part in PARTS}
    strangers = []
    for key, value in tensors.items():
        part, _, name = key.partition(".")
        if part in parts:
            parts[part][name] = value
        else:
            strangers.append(key)
    missing = [part for part in PARTS if not parts[part]]
    if missing or strangers:
        lacks = f"lacks {', '.join(missing)}" if missing else f"has {', '.join(strangers[:4])} beside them"
        raise WeightsError(f"{where} {lacks}: a published checkpoint holds {', '.join(PARTS)}, each a state dict")
    return parts


def check_parts(parts: Mapping[str, State], config: VolumeConfig | FullConfig, where: str) -> None:
    """Raise WeightsError unless the parts are exactly those of our networks of this config, kernels included."""
    given = {f"{part}.{key}": value for part in PARTS for key, value in parts[part].items()}
    check_official_keys(published_shapes(config), given, where)
    kernels = {key: value for key, value in given.items() if key.endswith(ENDING)}
    check_kernels(kernels, {key: binomial_kernel(1.0 if key.startswith("d.") else 4.0) for key in kernels}, where)


def published_shapes(config: VolumeConfig | FullConfig) -> dict[str, tuple[int, ...]]:
    """Return `<part>.<key>` -> shape of a published file of this config, in its order."""
    with torch.device("meta"):
        generator = Generator(config.generator, config.renderer, with_decoder=isinstance(config, FullConfig))
        discriminator = discriminator_from(config)
    networks: dict[str, nn.Module] = {"g": generator, "d": discriminator, "g_ema": generator}
    return {f"{part}.{key}": tuple(value.shape) for part in PARTS for key, value in networks[part].state_dict().items()}


def discriminator_from(config: VolumeConfig | FullConfig) -> VolumeDiscriminator | ImageDiscriminator:
    """Return a new discriminator of a system's config."""
    if isinstance(config, FullConfig):
        return ImageDiscriminator(config.generator)
    return VolumeDiscriminator(config.generator, poses=config.loss.view_lambda != 0)


def discriminator_of(state: State) -> VolumeDiscriminator | ImageDiscriminator:
    """Return a new discriminator of the kind and sizes of a published state; WeightsError for neither kind."""
    config = discriminator_config(state)
    if "convs.0.0.weight" in state:
        return ImageDiscriminator(config)
    return VolumeDiscriminator(config, poses=tells_poses(state))


def _volume_config(parts: Mapping[str, State], animals: bool) -> VolumeConfig:
    """The config of the first stage; a pose branch means that poses were trained."""
    generator, discriminator = parts["g_ema"], parts["d"]
    if "convs.0.0.weight" in discriminator:
        raise WeightsError("its generator is of the first stage (it has no decoder), its discriminator of the second")
    return VolumeConfig(
        camera=camera_config(animals),
        renderer=renderer_config(generator),
        generator=generator_config(generator, discriminator=discriminator),
        loss=VolumeLossConfig() if tells_poses(discriminator) else VolumeLossConfig(view_lambda=0.0),
    )


def _full_config(parts: Mapping[str, State], animals: bool) -> FullConfig:
    """The config of the second stage."""
    generator, discriminator = parts["g_ema"], parts["d"]
    if "convs.0.conv.weight" in discriminator:
        raise WeightsError("its generator is of the second stage (it has a decoder), its discriminator of the first")
    return FullConfig(
        camera=camera_config(animals),
        renderer=renderer_config(generator),
        generator=generator_config(generator, discriminator=discriminator),
        loss=FullLossConfig(r1=ANIMALS_R1) if animals else FullLossConfig(),
    )
