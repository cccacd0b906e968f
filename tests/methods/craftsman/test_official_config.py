"""The published config syntax: plain values, two kinds of interpolation, and our own configs written in it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from framework.config.choice import Choice
from framework.diffusion.config import NoiseScheduleConfig
from framework.diffusion.schedules import sampling_options
from framework.weights.folder import WeightsError
from methods.craftsman.config import (
    AutoencoderConfig,
    ClipViewsConfig,
    DenoiserConfig,
    DiffusionConfig,
    ShapeVAEConfig,
)
from methods.craftsman.official.classes import noise_schedule, read_config
from methods.craftsman.official.config_file import parse, resolved, section
from methods.craftsman.official.config_text import autoencoder_text, diffusion_text, schedule_sections
from tests.methods.craftsman.official_files import TINY_CONFIG

TEXT = """
name: "a small name"
data: {n_samples: 4096, views: [front, back]}
system:
  lr: 5e-5
  eps: 1E-06
  beta: [.9, 0.99, 1_0.5e+1]
  text: "5e-5"
  count: ${data.n_samples}
  views: ${data.views}
  tag: n${data.n_samples}+${rmspace:${name}, _}+${system.lr}
  again: ${system.tag}!
"""


def values(text: str) -> dict[str, Any]:
    return section(parse(text, "here"), "system", "here")


def test_values_and_interpolations() -> None:
    assert values(TEXT) == {
        "lr": 5e-5,
        "eps": 1e-6,
        "beta": [0.9, 0.99, 105.0],
        "text": "5e-5",
        "count": 4096,
        "views": ["front", "back"],
        "tag": "n4096+a_small_name+5e-05",
        "again": "n4096+a_small_name+5e-05!",
    }
    assert section(parse(TEXT, "here"), "system.nothing", "here") == {}
    # What nobody asks for is not resolved, and may be anything.
    assert section(parse("name: ${gt0:1}\nsystem: {a: 1}", "here"), "system", "here") == {"a": 1}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("${data.n_sample}", "leads nowhere: no 'n_sample'. Nearest: n_samples."),
        ("${daat.n_samples}", "leads nowhere: no 'daat'. Nearest: data."),
        ("${name.first}", "leads nowhere: no 'first'"),
        ("${gt0:1}", "there is no function 'gt0'. Known: rmspace"),
        ("${rmspace:a b}", "rmspace takes a text and a mark"),
        ("${name", "without its end"),
        ("${x}", "run in a circle"),
    ],
)
def test_what_leads_nowhere(value: str, message: str) -> None:
    config = parse(TEXT, "here") | {"x": "${x}"}
    with pytest.raises(WeightsError) as error:
        resolved(config, {"key": value}, "here: system")
    assert message in str(error.value)
    assert str(error.value).startswith("here: system.key: ")


@pytest.mark.parametrize("text", ["[1]", "a: [", "a: !!python/name:os.system", "a: &b 1\nc: *b", "x: " + "[" * 5000])
def test_what_is_no_config(text: str) -> None:
    with pytest.raises(WeightsError, match=r"^here: config\.yaml"):
        parse(text, "here")


def test_a_silent_scheduler_has_the_values_of_diffusers() -> None:
    text = TINY_CONFIG.replace("    beta_start: 0.00085\n", "")
    assert noise_schedule(read_config(text, "here"), "here").beta_start == 0.0001
    assert noise_schedule(read_config(None, "here"), "here") == NoiseScheduleConfig()


def test_what_only_sampling_reads_has_the_values_of_diffusers_too() -> None:
    text = TINY_CONFIG.replace("    set_alpha_to_one: false\n    steps_offset: 1\n", "")
    assert text != TINY_CONFIG
    schedule = noise_schedule(read_config(text, "here"), "here")
    assert (schedule.set_alpha_to_one, schedule.steps_offset, schedule.timestep_spacing) == (True, 0, "leading")


def test_the_written_schedule_is_the_one_that_samples() -> None:
    for schedule in (NoiseScheduleConfig(timestep_spacing="linspace"), NoiseScheduleConfig(zero_terminal_snr=True)):
        sections = schedule_sections(schedule)
        text = yaml.safe_dump({"system_type": "shape-diffusion-system", "system": sections})
        read = noise_schedule(read_config(text, "here"), "here")
        assert sampling_options(read) == sampling_options(schedule)


def test_what_we_write_says_the_same_when_read() -> None:
    shape = ShapeVAEConfig(num_latents=512, queries="fps", qkv_bias=True, include_pi=True, aligned_dim=768, heads=6)
    schedule = NoiseScheduleConfig(
        beta_end=0.02, prediction="v_prediction", set_alpha_to_one=True, timestep_spacing="leading"
    )
    clip = ClipViewsConfig(unconditional="zeros", freeze_modulation=True, normalize=True)
    diffusion = DiffusionConfig(
        denoiser=DenoiserConfig(heads=8, flip_sin_to_cos=True, init_scale=0.5),
        view_encoder=Choice("craftsman/clip", clip),
        schedule=schedule,
        condition_dropout=0.2,
        latent_scale=0.5,
    )
    autoencoder = AutoencoderConfig(shape_model=shape)
    for text in (autoencoder_text(autoencoder), diffusion_text(autoencoder, diffusion)):
        read = read_config(text, "here")
        assert read.notes == ()
        assert read.aligned
        options = read.options("shape_model")
        assert {key: options[key] for key in ("num_latents", "use_downsample", "qkv_bias", "include_pi", "heads")} == {
            "num_latents": 512, "use_downsample": True, "qkv_bias": True, "include_pi": True, "heads": 6
        }  # fmt: skip
    assert (noise_schedule(read, "here"), read.latent_scale) == (schedule, 0.5)
    denoiser, condition = read.options("denoiser_model"), read.options("condition_model")
    assert (denoiser["heads"], denoiser["flip_sin_to_cos"], denoiser["n_ctx"]) == (8, True, 512)
    assert (condition["zero_uncond_embeds"], condition["empty_embeds_ratio"]) == (True, 0.2)
    assert condition["freeze_modulation"] and condition["normalize_embeds"]
