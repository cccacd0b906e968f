"""Published checkpoints: every key is accounted for, and sizes are read off shapes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from framework.config.build import from_dict
from framework.weights.folder import WeightsError
from framework.weights.official import OfficialFiles
from methods.stylesdf.config import FullConfig, GeneratorConfig, RendererConfig, VolumeConfig
from methods.stylesdf.nets.generator import Generator
from methods.stylesdf.nets.image_discriminator import ImageDiscriminator
from methods.stylesdf.nets.mapping import RendererMapping
from methods.stylesdf.nets.volume_discriminator import VolumeDiscriminator
from methods.stylesdf.official.files import AFHQ_FULL, AFHQ_VOLUME, FFHQ_FULL, SPHERE
from methods.stylesdf.official.reading import FULL, VOLUME, read, systems_in
from methods.stylesdf.official.variant import generator_config
from methods.stylesdf.official.writing import write
from methods.stylesdf.weights import (
    discriminator_from_official,
    generator_from_official,
    load_part,
    renderer_from_official,
)
from tests.methods.stylesdf.official_files import (
    OFFICIAL,
    TINY_RENDERER,
    TINY_SIZES,
    filled,
    manifest,
    tiny_content,
)

State = dict[str, Tensor]


def flat(content: dict[str, State]) -> State:
    return {f"{part}.{key}": value for part, state in content.items() for key, value in state.items()}


def same(left: State, right: State) -> bool:
    """Whether both have the same keys with the same bits and types."""
    return left.keys() == right.keys() and all(
        value.dtype == right[key].dtype and torch.equal(value, right[key]) for key, value in left.items()
    )


def shapes_of(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}


@pytest.mark.parametrize(
    ("config", "name", "expected"),
    [
        (GeneratorConfig(size=1024), "ffhq_full", 8_007_613),
        (GeneratorConfig(size=512), "afhq_full", 7_914_072),
        (GeneratorConfig(), "volume", 1_910_789),
    ],
)
def test_networks_of_official_size_have_exactly_the_published_keys(
    config: GeneratorConfig, name: str, expected: int
) -> None:
    full = name != "volume"
    with torch.device("meta"):
        generator = Generator(config, RendererConfig(), with_decoder=full)
        discriminator = ImageDiscriminator(config) if full else VolumeDiscriminator(config, poses=True)
    lists = OFFICIAL[name]
    assert (shapes_of(generator), shapes_of(discriminator)) == (manifest(lists[0]), manifest(lists[1]))
    assert sum(value.numel() for value in generator.parameters()) == expected


@pytest.mark.parametrize("name", ["ffhq_full", "afhq_full", "volume"])
def test_published_states_load_strictly(name: str) -> None:
    generator, discriminator = (manifest(part) for part in OFFICIAL[name])
    state = filled(generator, kernel_sum=4.0)
    loaded = generator_from_official(state)
    assert same(dict(loaded.state_dict()), state)
    assert (loaded.decoder is None) == (name == "volume")
    state = filled(discriminator)
    assert same(dict(discriminator_from_official(state).state_dict()), state)


@pytest.mark.parametrize(
    ("name", "published", "system", "azim", "size"),
    [
        ("ffhq_full", FFHQ_FULL, FULL, 0.3, 1024),
        ("afhq_full", AFHQ_FULL, FULL, 0.15, 512),
        ("volume", AFHQ_VOLUME, VOLUME, 0.15, 1024),
        ("volume", SPHERE, VOLUME, 0.3, 1024),
        ("ffhq_full", None, FULL, 0.3, 1024),
    ],
)
def test_published_files_give_the_published_config(
    name: str, published: Any, system: str, azim: float, size: int
) -> None:
    generator, discriminator = (manifest(part) for part in OFFICIAL[name])
    parts = {"g": filled(generator, kernel_sum=4.0), "d": filled(discriminator)}
    tensors = flat({**parts, "g_ema": parts["g"]})
    assert systems_in(tensors) == (system,)
    saved = read(OfficialFiles(tensors, published=published), system)
    kind = FullConfig if system == FULL else VolumeConfig
    expected = kind()
    expected.camera.azim, expected.generator.size = azim, size
    if published is AFHQ_FULL:
        expected.loss.r1 = 50.0
    assert from_dict(kind, saved.config) == expected
    notes = " ".join(saved.facts["notes"])
    assert f"{len(tensors)} keys, 0 missing, 0 unexpected" in notes
    assert ("none of the published files" in notes) == (published is None)


@pytest.mark.parametrize("stage", ["volume", "full"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"channel_max": None},
        {"channel_max": 8},
        {"channel_multiplier": 3, "channel_max": None, "size": 128},
        {"style_dim": 16, "renderer_resolution": 8},
        {"channel_max": 100, "size": 256},
    ],
)
def test_sizes_are_read_off_shapes(stage: str, changes: dict[str, Any]) -> None:
    sizes = GeneratorConfig(**{**vars(TINY_SIZES), **changes})
    renderer = RendererConfig(width=sizes.style_dim, depth=2)
    content = tiny_content(stage, sizes, renderer, poses=False)
    system = FULL if stage == "full" else VOLUME
    saved = read(OfficialFiles(flat(content)), system)
    config = from_dict(FullConfig if stage == "full" else VolumeConfig, saved.config)
    ours = tiny_content(stage, config.generator, config.renderer, poses=False)
    assert {key: value.shape for key, value in flat(ours).items()} == {
        key: value.shape for key, value in flat(content).items()
    }
    assert config.renderer == renderer
    assert (config.generator.style_dim, config.generator.renderer_resolution) == (
        sizes.style_dim,
        sizes.renderer_resolution,
    )
    if stage == "volume":
        assert config.loss.view_lambda == 0.0
    else:
        assert config.generator.size == sizes.size
    assert same(flat_of(write({system: saved}).tensors), flat(content))


def flat_of(tensors: Any) -> State:
    return dict(tensors)


def test_the_density_field_has_no_beta() -> None:
    content = tiny_content("volume", renderer=RendererConfig(width=32, depth=2, sdf=False))
    assert not any("sigmoid_beta" in key for key in content["g"])
    saved = read(OfficialFiles(flat(content)), VOLUME)
    assert saved.config["renderer"]["sdf"] is False


def test_facts_tell_what_shapes_do_not() -> None:
    state = tiny_content("full")["g_ema"]
    facts = {"N_samples": 5, "force_background": True, "static_viewdirs": True, "perturb": 0, "psi": 0.5, "width": 32}
    generator = generator_from_official(state, facts)
    config = generator.renderer.config
    assert (config.N_samples, config.force_background, config.static_viewdirs) == (5, True, True)
    assert not config.perturb
    assert not generator.training
    first = tiny_content("volume")["g"]
    assert generator_from_official(first, {"renderer_spatial_output_dim": 16}).resolution == 16
    with pytest.raises(WeightsError, match="size is 64, but the weights are of size 32"):
        generator_from_official(state, {"size": 64})
    with pytest.raises(WeightsError, match="depth is 8, but the weights are of depth 3"):
        generator_from_official(state, {"depth": 8})


def test_a_multiplier_that_shapes_leave_open_is_the_stated_one() -> None:
    """Up to 32 pixels, a picture's networks have 512 channels whatever the multiplier is."""
    sizes = GeneratorConfig(size=16, style_dim=4, renderer_resolution=8, channel_multiplier=1)
    state = Generator(sizes, RendererConfig(width=4, depth=1), with_decoder=True).state_dict()
    for multiplier in (1, 4):
        found = generator_from_official(state, {"channel_multiplier": multiplier})
        assert same(dict(found.state_dict()), dict(state))
    with torch.device("meta"):
        larger = Generator(replace(sizes, size=64), RendererConfig(width=4, depth=1), with_decoder=True).state_dict()
    with pytest.raises(WeightsError, match="channel_multiplier is 2, but the weights are of channel_multiplier 1"):
        generator_config(larger, {"channel_multiplier": 2})


def test_parts_load_alone_and_strictly() -> None:
    state = tiny_content("full")["g"]
    renderer = renderer_from_official(state, {"N_samples": 4})
    assert same({f"renderer.{key}": value for key, value in renderer.state_dict().items()}, below(state, "renderer."))
    mapping = RendererMapping(TINY_SIZES.style_dim)
    load_part(mapping, below(state, "style."), "style.")
    assert torch.equal(mapping[1].weight, state["style.1.weight"])
    with pytest.raises(WeightsError, match=r"1 keys missing: style\.2\.bias"):
        load_part(
            mapping, {key: value for key, value in below(state, "style.").items() if "2.bias" not in key}, "style."
        )


def below(state: State, prefix: str) -> State:
    return {key: value for key, value in state.items() if key.startswith(prefix)}


def test_kernels_may_be_missing_in_memory_but_must_be_the_published_ones() -> None:
    state = tiny_content("full")["g"]
    bare = {key: value for key, value in state.items() if not key.endswith(".kernel")}
    assert same(dict(generator_from_official(bare).state_dict()), state)
    state["decoder.to_rgbs.0.upsample.kernel"] = torch.ones(4, 4)
    with pytest.raises(
        WeightsError, match=r"decoder\.to_rgbs\.0\.upsample\.kernel is not the kernel of \[1, 3, 3, 1\]"
    ):
        generator_from_official(state)


def test_small_files_come_back_bit_for_bit() -> None:
    content = tiny_content("full", renderer=TINY_RENDERER)
    content["g"]["decoder.conv1.noise.weight"] = torch.tensor([-0.0])
    content["d"] = {key: value.half() if "final" in key else value for key, value in content["d"].items()}
    back = write({FULL: read(OfficialFiles(flat(content)), FULL)}).tensors
    assert same(dict(back), flat(content))
    assert back["g.decoder.conv1.noise.weight"].signbit().all()
