"""The generator: truncation, mixing, two kinds of latents, thumbnails alone; and the discriminator of thumbnails."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from framework.nets.stylegan2.layers import NoiseWeight
from methods.stylesdf.cameras import ViewCameras, cameras_at
from methods.stylesdf.config import CameraConfig, GeneratorConfig, RendererConfig
from methods.stylesdf.nets.decoder import Decoder
from methods.stylesdf.nets.generator import Generator, MeanLatents
from methods.stylesdf.nets.volume_discriminator import VolumeDiscriminator

SIZES = GeneratorConfig(size=32, style_dim=8, renderer_resolution=8, channel_max=12)
OPTIONS = RendererConfig(depth=2, width=8, N_samples=4, perturb=False)


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    network = Generator(SIZES, OPTIONS, with_decoder=True)
    for module in network.modules():
        if isinstance(module, NoiseWeight):
            nn.init.constant_(module.weight, 0.3)
    return network


@pytest.fixture
def cameras() -> ViewCameras:
    return cameras_at(torch.tensor([[0.1, 0.0], [-0.2, 0.1]]), CameraConfig())


def codes(count: int = 2, seed: int = 1) -> Tensor:
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def means(generator: Generator) -> MeanLatents:
    return generator.mean_latents(codes(64, seed=5))


def test_psi_of_one_needs_no_means_and_changes_nothing(
    generator: Generator, cameras: ViewCameras, means: MeanLatents
) -> None:
    plain, truncated = generator(cameras, codes()), generator(cameras, codes(), psi=1.0, means=means)
    assert plain.image.shape == (2, 3, 32, 32) and plain.thumbnail.shape == (2, 3, 8, 8)
    assert torch.equal(plain.image, truncated.image) and torch.equal(plain.thumbnail, truncated.thumbnail)
    with pytest.raises(ValueError, match="mean latents"):
        generator(cameras, codes(), psi=0.5)


def test_psi_of_zero_makes_everybody_the_same(generator: Generator, means: MeanLatents) -> None:
    cameras = cameras_at(torch.zeros(2, 2), CameraConfig())
    out = generator(cameras, codes(), psi=0.0, means=means)
    assert torch.allclose(out.image[0], out.image[1], atol=1e-5)
    assert torch.allclose(out.thumbnail[0], out.thumbnail[1], atol=1e-5)
    assert not torch.allclose(*generator(cameras, codes()).thumbnail, atol=1e-3)


def test_truncation_acts_in_the_renderer_and_again_in_the_decoder(generator: Generator, means: MeanLatents) -> None:
    latents = generator.map(codes())
    half = generator.truncated(latents, 0.5, means)
    assert torch.allclose(half, 0.5 * (latents + means.renderer))
    found = generator.decoder_codes([half], psi=0.5, means=means)
    assert generator.decoder is not None and means.decoder is not None
    expected = 0.5 * (generator.decoder.map(half) + means.decoder)
    assert torch.allclose(found, expected[:, None].expand_as(found), atol=1e-6)


def test_mixing_takes_the_second_code_from_a_layer_on_and_only_in_the_decoder(
    generator: Generator, cameras: ViewCameras
) -> None:
    first, second = codes(seed=1), codes(seed=2)
    alone, other = generator(cameras, first), generator(cameras, second)
    mixed = generator(cameras, [first, second], inject_index=2)
    assert torch.equal(mixed.codes[:, :2], alone.codes[:, :2]) and torch.equal(mixed.codes[:, 2:], other.codes[:, 2:])
    assert torch.equal(mixed.thumbnail, alone.thumbnail) and not torch.allclose(mixed.image, alone.image)
    splits = set()
    for _ in range(40):
        rows = generator.decoder_codes([generator.map(first), generator.map(second)])
        splits.add(int((rows[0] == alone.codes[0]).all(dim=-1).sum()))
    assert splits == set(range(1, alone.codes.shape[1]))


def test_renderer_latents_and_decoder_codes_are_given_apart(generator: Generator, cameras: ViewCameras) -> None:
    """The original fed 256 numbers where 512 were expected (`input_is_latent` of the whole model)."""
    out = generator(cameras, codes())
    latents = generator.map(codes())
    again = generator(cameras, renderer_latents=latents)
    assert torch.equal(again.image, out.image)
    shifted = generator(cameras, renderer_latents=latents, decoder_codes=out.codes + 0.5)
    assert torch.equal(shifted.thumbnail, out.thumbnail) and not torch.allclose(shifted.image, out.image)
    for given in ({}, {"z": codes(), "renderer_latents": latents}):
        with pytest.raises(ValueError, match="either z or renderer_latents"):
            generator(cameras, **given)


def test_without_a_decoder_there_are_thumbnails_only(cameras: ViewCameras) -> None:
    network = Generator(SIZES, OPTIONS, with_decoder=False)
    out = network(cameras, codes(), psi=0.5, means=network.mean_latents(codes(16)), extras=("sdf",))
    assert out.image is None and out.codes is None
    assert out.rendered.sdf.shape == (2, 8, 8, 4) and out.rendered.features is None
    assert not any(key.startswith("decoder") for key in network.state_dict())
    with pytest.raises(ValueError, match="no decoder"):
        network.decoder_codes([codes()])


def test_thumbnails_alone_leave_the_decoder_out(generator: Generator, cameras: ViewCameras) -> None:
    out = generator(cameras, codes(), with_image=False)
    assert out.image is None and out.rendered.features is None
    assert torch.allclose(out.thumbnail, generator(cameras, codes()).thumbnail, atol=1e-6)


def test_noise_is_the_fixed_one_unless_given(generator: Generator, cameras: ViewCameras) -> None:
    decoder = generator.decoder
    assert decoder is not None
    fixed = generator(cameras, codes()).image
    assert torch.equal(generator(cameras, codes(), noise=decoder.noise_maps).image, fixed)
    drawn = decoder.draw_noise(2, torch.Generator().manual_seed(3))
    assert [tuple(noise.shape[1:]) for noise in drawn] == decoder.noise_shapes
    assert not torch.allclose(generator(cameras, codes(), noise=drawn).image, fixed, atol=1e-3)


def test_a_frozen_renderer_gets_no_gradients(generator: Generator, cameras: ViewCameras) -> None:
    out = generator(cameras, codes(), freeze_renderer=True)
    out.image.square().sum().backward()
    with_gradient = {name.split(".")[0] for name, value in generator.named_parameters() if value.grad is not None}
    assert with_gradient == {"decoder"}
    generator.zero_grad()
    generator(cameras, codes()).image.square().sum().backward()
    with_gradient = {name.split(".")[0] for name, value in generator.named_parameters() if value.grad is not None}
    assert with_gradient == {"style", "renderer", "decoder"}


def test_path_lengths_are_differentiable(generator: Generator, cameras: ViewCameras) -> None:
    out = generator(cameras, codes(), freeze_renderer=True)
    noise = torch.randn_like(out.image) / 32
    slopes = torch.autograd.grad((out.image * noise).sum(), out.codes, create_graph=True)[0]
    slopes.square().sum(dim=2).mean(dim=1).sqrt().mean().backward()
    decoder = generator.decoder
    assert decoder is not None and decoder.convs[0].conv.weight.grad.abs().sum() > 0


def test_the_decoder_numbers_its_layers_as_published() -> None:
    with torch.device("meta"):
        decoder = Decoder(GeneratorConfig())
    assert decoder.layers == GeneratorConfig().decoder_layers == 10
    assert [shape[-1] for shape in decoder.noise_shapes] == [64, 128, 128, 256, 256, 512, 512, 1024, 1024]


def test_the_pose_branch_is_left_out_on_demand() -> None:
    images = torch.rand(3, 3, 8, 8) * 2 - 1
    logits, poses = VolumeDiscriminator(SIZES, poses=True)(images)
    assert logits.shape == (3, 1) and poses.shape == (3, 2)
    network = VolumeDiscriminator(SIZES, poses=False)
    assert network(images)[1] is None and network.final_conv.conv.out_channels == 1


def test_coordinates_join_as_two_more_channels() -> None:
    """y, then x, from -1 at the first pixel to 1 at the last, behind the input: as one convolution says it."""
    torch.manual_seed(0)
    layer = VolumeDiscriminator(SIZES, poses=True).convs[1].conv1
    x = torch.randn(2, 12, 6, 8)
    y_axis, x_axis = torch.linspace(-1, 1, 6), torch.linspace(-1, 1, 8)
    places = torch.stack([y_axis[:, None].expand(6, 8), x_axis.expand(6, 8)]).expand(2, 2, 6, 8)
    plain = layer.conv.conv(torch.cat([x, places], dim=1)) + layer.activation.bias[:, None, None]
    assert torch.allclose(layer(x), nn.functional.leaky_relu(plain, 0.2), atol=1e-5)
