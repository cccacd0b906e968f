"""Our configs of a published state: sizes are read off shapes; what shapes can't tell comes from published options.

States have the keys of the whole generator (`style.*`, `renderer.*`, `decoder.*`) or of a discriminator. Options go by
their published names (`N_samples`, `no_sdf`, `renderer_spatial_output_dim`, ...); others are not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor

from framework.nets.stylegan2.layers import channels_at
from framework.weights.folder import WeightsError
from methods.stylesdf.config import CameraConfig, GeneratorConfig, RendererConfig
from methods.stylesdf.nets.volume_discriminator import channels_at as thumbnail_channels_at

State = Mapping[str, Tensor]
Facts = Mapping[str, Any]

NETWORK = "renderer.network."
_LATENT = ("style.0.weight", f"{NETWORK}pts_linears.0.gamma.weight", "decoder.style.1.weight")
BETA = "renderer.sigmoid_beta"
POSES = 3
"""Channels that the discriminator of thumbnails ends in when it tells poses too: a logit and two angles."""
MULTIPLIERS = (2, 1, *range(3, 17))
"""Values of `channel_multiplier` that are tried, the published one first."""
MOST_BLOCKS = 20
"""Blocks of a discriminator; each halves the picture."""
ANIMALS_AZIMUTH = 0.15
"""`azim` of the published AFHQ models; all others have the default."""


def camera_config(animals: bool) -> CameraConfig:
    """Return the cameras of the published models: those of AFHQ (`animals`), or of all others."""
    return CameraConfig(azim=ANIMALS_AZIMUTH) if animals else CameraConfig()


def renderer_config(state: State, facts: Facts | None = None) -> RendererConfig:
    """Return the renderer's options for a generator's `state`; WeightsError when it has no renderer."""
    facts = facts or {}
    depth = 0
    while f"{NETWORK}pts_linears.{depth}.weight" in state:
        depth += 1
    found = _agreeing({"width": _side(state, f"{NETWORK}pts_linears.0.weight", 0), "depth": depth}, facts)
    return RendererConfig(
        width=found["width"],
        depth=found["depth"],
        N_samples=int(facts.get("N_samples", RendererConfig.N_samples)),
        force_background=bool(facts.get("force_background", False)),
        static_viewdirs=bool(facts.get("static_viewdirs", False)),
        perturb=bool(facts.get("perturb", True)),
        offset_sampling=not facts.get("no_offset_sampling", False),
        z_normalize=not facts.get("no_z_normalize", False),
        sdf=BETA in state and not facts.get("no_sdf", False),
        raw_noise_std=float(facts.get("raw_noise_std", 0.0)),
    )


def generator_config(state: State, facts: Facts | None = None, discriminator: State | None = None) -> GeneratorConfig:
    """Return the sizes of a generator's `state` and of its `discriminator`, whose channels follow the same options.

    Without a decoder the resolution of thumbnails comes from the discriminator of thumbnails or from `facts`.
    """
    facts, discriminator = facts or {}, discriminator or {}
    found = {"style_dim": _side(state, next((key for key in _LATENT if key in state), _LATENT[0]), 1)}
    if not any(key.startswith("decoder.") for key in state):
        config = discriminator_config(discriminator) if discriminator else GeneratorConfig()
        resolution = config.renderer_resolution if discriminator else facts.get("renderer_spatial_output_dim", 64)
        return replace(config, **_agreeing(found, facts), renderer_resolution=int(resolution))
    sides = _noise_sides(state)
    found |= {"renderer_spatial_output_dim": sides[0], "size": sides[-1]}
    channels = _image_channels(discriminator) if discriminator else {}
    multiplier, limit = _channel_options(channels | _decoder_channels(state, sides), facts.get("channel_multiplier"))
    sizes = _agreeing(found | {"channel_multiplier": multiplier}, facts)
    return GeneratorConfig(
        renderer_resolution=sizes.pop("renderer_spatial_output_dim"),
        channel_max=limit,
        lr_mapping=float(facts.get("lr_mapping", 0.01)),
        **sizes,
    )


def discriminator_config(state: State) -> GeneratorConfig:
    """Return the sizes of a discriminator of either kind; WeightsError for neither."""
    if "convs.0.0.weight" in state:
        channels = _image_channels(state)
        multiplier, limit = _channel_options(channels)
        return GeneratorConfig(size=max(channels), channel_multiplier=multiplier, channel_max=limit)
    if "convs.0.conv.weight" in state:
        channels = _thumbnail_channels(state)
        return GeneratorConfig(
            renderer_resolution=max(channels), channel_max=_limit(channels, thumbnail_channels_at, "thumbnails")
        )
    raise WeightsError("these keys are of no discriminator: convs.0.0.weight or convs.0.conv.weight is missing")


def tells_poses(discriminator: State) -> bool:
    """Return whether a discriminator of thumbnails has its pose branch."""
    return _side(discriminator, "final_conv.conv.weight", 0) == POSES


def _channel_options(channels: Mapping[int, int], stated: int | None = None) -> tuple[int, int | None]:
    """`channel_multiplier` and `channel_max` under which the networks of large pictures have these channels.

    The `stated` multiplier goes first: up to 32 pixels all of them give the same channels.
    """
    for multiplier in MULTIPLIERS if stated is None else (int(stated), *MULTIPLIERS):
        try:
            return multiplier, _limit(channels, partial(channels_at, multiplier=multiplier), "pictures")
        except WeightsError:
            continue
    raise WeightsError(f"no channel_multiplier and channel_max give these channels by resolution: {dict(channels)}")


def _limit(channels: Mapping[int, int], table: Callable[[int], int], what: str) -> int | None:
    """`channel_max` under which `table` gives these channels, None where it does without one."""
    limit = None if all(table(side) == count for side, count in channels.items()) else max(channels.values())
    if limit is not None and any(min(table(side), limit) != count for side, count in channels.items()):
        raise WeightsError(f"no channel_max gives these channels by resolution of {what}: {dict(channels)}")
    return limit


def _image_channels(state: State) -> dict[int, int]:
    """Resolution -> channels of a discriminator of large pictures, whose last block ends at 4 pixels."""
    return _block_channels(state, "convs.0.0.weight", "convs.{}.conv2.1.weight", last=4)


def _thumbnail_channels(state: State) -> dict[int, int]:
    """Resolution -> channels of a discriminator of thumbnails, whose last block ends at 2 pixels."""
    return _block_channels(state, "convs.0.conv.weight", "convs.{}.conv2.conv.conv.weight", last=2)


def _block_channels(state: State, first: str, block: str, last: int) -> dict[int, int]:
    keys = [first]
    while (key := block.format(len(keys))) in state:
        keys.append(key)
        if len(keys) > MOST_BLOCKS:
            raise WeightsError(f"a discriminator with more than {MOST_BLOCKS} blocks has pictures of no size: {key}")
    return {last * 2 ** (len(keys) - 1 - index): _side(state, key, 0) for index, key in enumerate(keys)}


def _decoder_channels(state: State, sides: list[int]) -> dict[int, int]:
    """Resolution -> channels of a decoder."""
    found = {sides[0]: _side(state, "decoder.conv1.conv.weight", 1)}
    resolution, index = 2 * sides[0], 0
    while resolution <= sides[-1]:
        found[resolution] = _side(state, f"decoder.convs.{index}.conv.weight", 1)
        resolution, index = 2 * resolution, index + 2
    return found


def _noise_sides(state: State) -> list[int]:
    """Sides of the decoder's noise maps, in order."""
    sides: list[int] = []
    while (key := f"decoder.noises.noise_{len(sides)}") in state:
        sides.append(_side(state, key, 3))
    if not sides:
        raise WeightsError("the key decoder.noises.noise_0 is missing")
    return sides


def _side(state: State, key: str, axis: int) -> int:
    """Length of a tensor along an axis."""
    if key not in state or state[key].ndim <= axis or not state[key].numel():
        found = f"has the shape {tuple(state[key].shape)}" if key in state else "is missing"
        raise WeightsError(f"the key {key} {found}, so the sizes of the network are not known")
    return int(state[key].shape[axis])


def _agreeing(found: dict[str, int], facts: Facts) -> dict[str, Any]:
    """`found`, which `facts` must not contradict; WeightsError where they do."""
    for name, value in found.items():
        if name in facts and int(facts[name]) != value:
            raise WeightsError(f"{name} is {facts[name]}, but the weights are of {name} {value}")
    return found
