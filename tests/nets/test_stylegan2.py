"""StyleGAN2's parts: fast formulations say the same as the definitions, also in first and second derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from framework.nets.stylegan2.discriminator import ResidualDiscriminator, deviation_group, with_deviation
from framework.nets.stylegan2.layers import (
    ConvLayer,
    EqualConv,
    EqualLinear,
    ModulatedConv,
    PixelNorm,
    StyledConv,
    ToRGB,
    channels_at,
)
from framework.nets.stylegan2.resampling import (
    Resample,
    biased_leaky_relu,
    binomial_kernel,
    upfirdn2d,
    upfirdn2d_reference,
)

FAST = [(2, 1, (2, 1)), (1, 1, (1, 1)), (1, 1, (2, 2)), (1, 2, (1, 1)), (1, 2, (2, 1)), (1, 1, (-1, 2)), (3, 1, (2, 0))]
"""(up, down, padding) that run as one depthwise convolution."""
GENERAL = [(2, 2, (1, 2)), (2, 1, (3, 3)), (3, 2, (3, 0))]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def derivatives(function: Callable[..., Tensor], inputs: Sequence[Tensor]) -> list[Tensor]:
    """The value, its gradients, and the gradients of these gradients' squares."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    value = function(*leaves)
    weights = torch.cos(torch.arange(value.numel(), dtype=value.dtype)).view_as(value)
    first = torch.autograd.grad((value * weights).sum(), leaves, create_graph=True)
    squares = torch.stack([gradient.square().sum() for gradient in first]).sum()
    second = torch.autograd.grad(squares, leaves, allow_unused=True) if squares.requires_grad else [None] * len(leaves)
    zeros = [torch.zeros_like(leaf) if got is None else got for leaf, got in zip(leaves, second, strict=True)]
    return [value, *first, *zeros]


def assert_same(ours: Sequence[Tensor], theirs: Sequence[Tensor], relative: float) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        assert (one - other).abs().max() <= relative * other.abs().max().clamp(min=1e-6)


@pytest.mark.parametrize(("up", "down", "padding"), FAST + GENERAL)
@pytest.mark.parametrize("symmetric", [True, False])
def test_resampling_says_what_its_definition_says(
    up: int, down: int, padding: tuple[int, int], symmetric: bool
) -> None:
    kernel = binomial_kernel() if symmetric else torch.randn(4, 4)
    x = torch.randn(2, 3, 8, 11)
    ours = derivatives(lambda x: upfirdn2d(x, kernel, up, down, padding), [x])
    theirs = derivatives(lambda x: upfirdn2d_reference(x, kernel, up, down, padding), [x])
    assert_same(ours, theirs, 1e-5)
    expected = [(side * up + sum(padding) - 4) // down + 1 for side in (8, 11)]
    assert list(ours[0].shape[2:]) == expected


def test_resampling_by_its_definition_on_paper() -> None:
    """[1, 3, 3, 1] / 4 on both axes: a doubled ramp goes in quarter steps, and its mean stays."""
    ramp = torch.arange(6.0).expand(1, 1, 6, 6)
    doubled = Resample((2, 1), up=2, gain=4.0)(ramp)[0, 0]
    assert torch.allclose(doubled[4, 2:10], torch.arange(8.0) * 0.5 + 0.75)
    halved = Resample((1, 1), down=2)(ramp)[0, 0]
    assert torch.allclose(halved[1, 1], torch.tensor(2.5))
    assert torch.equal(binomial_kernel(4.0) / 4.0, binomial_kernel()) and binomial_kernel().sum() == 1


@pytest.mark.parametrize("resampling", ["none", "up", "down"])
@pytest.mark.parametrize("demodulate", [True, False])
def test_shared_weights_say_the_same_as_weights_of_each_item(resampling: str, demodulate: bool) -> None:
    layer = ModulatedConv(5, 4, 3, 6, demodulate=demodulate, resampling=resampling)  # type: ignore[arg-type]
    inputs = [torch.randn(3, 5, 8, 8), torch.randn(3, 6)]

    def with_weights(function: Callable[..., Tensor]) -> list[Tensor]:
        names = [name for name, _ in layer.named_parameters()]

        def run(x: Tensor, style: Tensor, *values: Tensor) -> Tensor:
            return torch.func.functional_call(
                _Calling(layer, function), dict(zip(prefixed, values, strict=True)), (x, style)
            )

        prefixed = [f"layer.{name}" for name in names]
        return derivatives(run, [*inputs, *layer.parameters()])

    assert_same(with_weights(ModulatedConv.forward), with_weights(ModulatedConv.reference), 1e-4)


class _Calling(nn.Module):
    """A layer whose call is one of its methods."""

    def __init__(self, layer: nn.Module, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.layer, self.function = layer, function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(self.layer, *inputs)


def test_a_halving_1x1_layer_is_a_blur_and_a_stride() -> None:
    layer = ConvLayer(3, 5, 1, halved=True, activated=False)
    x = torch.randn(2, 3, 8, 8)
    blurred = upfirdn2d_reference(x, binomial_kernel(), padding=(1, 1))
    expected = conv2d(blurred, layer[1].weight / 3**0.5, stride=2)
    assert torch.allclose(layer(x), expected, atol=1e-6)


def test_layers_begin_with_unit_variance() -> None:
    x = torch.randn(64, 48)
    assert EqualLinear(48, 512, learning_rate=0.01)(x).std().item() == pytest.approx(1.0, abs=0.05)
    maps = torch.randn(8, 16, 12, 12)
    assert EqualConv(16, 64, 3)(maps).std().item() == pytest.approx(1.0, abs=0.05)
    assert ModulatedConv(16, 64, 3, 8)(maps, torch.zeros(8, 8)).std().item() == pytest.approx(1.0, abs=0.1)
    assert PixelNorm()(5.0 * x).square().mean().item() == pytest.approx(1.0, abs=1e-3)


def test_leaky_relu_keeps_the_slope_at_zero_and_the_gain() -> None:
    x = torch.tensor([[-2.0, 0.0, 3.0]], requires_grad=True)
    y = biased_leaky_relu(x, torch.zeros(3))
    y.sum().backward()
    assert torch.allclose(y, torch.tensor([[-0.4, 0.0, 3.0]]) * 2**0.5)
    assert x.grad is not None and torch.allclose(x.grad, torch.tensor([[0.2, 0.2, 1.0]]) * 2**0.5)


def test_a_styled_layer_adds_noise_by_its_weight_and_never_uses_the_published_second_bias() -> None:
    layer = StyledConv(4, 6, 5, doubled=True)
    x, style, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 5), torch.randn(1, 1, 16, 16)
    silent = layer(x, style, torch.zeros_like(noise))
    assert torch.equal(layer(x, style, noise), silent)
    layer.bias.fill_(3.0)
    layer.noise.weight.data.fill_(0.5)
    linear = layer.conv(x, style) + 0.5 * noise
    assert torch.allclose(layer(x, style, noise), biased_leaky_relu(linear, None), atol=1e-6)
    assert not layer.bias.requires_grad and "bias" in layer.state_dict()


def test_colours_add_up() -> None:
    layer, x, style = ToRGB(4, 5), torch.randn(2, 4, 8, 8), torch.randn(2, 5)
    skip = torch.ones(2, 3, 4, 4)
    inner = (layer(x, style, skip) - layer(x, style))[..., 2:-2, 2:-2]
    assert torch.allclose(inner, torch.ones_like(inner), atol=1e-5)


@pytest.mark.parametrize(("batch", "group"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 1), (6, 3), (7, 1), (8, 4), (9, 3)])
def test_items_are_compared_in_the_largest_groups_up_to_four(batch: int, group: int) -> None:
    x = torch.randn(batch, 5, 4, 4)
    found = with_deviation(x)
    assert deviation_group(batch) == group
    assert torch.equal(found[:, :-1], x)
    for item in range(batch):
        members = x[item % (batch // group) :: batch // group]
        expected = ((members - members.mean(dim=0)).square().mean(dim=0) + 1e-8).sqrt().mean()
        assert torch.allclose(found[item, -1], expected.expand(4, 4), atol=1e-6)


def test_channels_are_the_published_ones() -> None:
    assert [channels_at(side) for side in (4, 32, 64, 128, 256, 512, 1024)] == [512, 512, 512, 256, 128, 64, 32]
    assert [channels_at(side, 1, 48) for side in (4, 64, 1024)] == [48, 48, 16]


@pytest.mark.parametrize("batch", [1, 4, 5])
def test_the_discriminator_takes_every_batch_and_is_twice_differentiable(batch: int) -> None:
    network = ResidualDiscriminator(16, lambda side: 8)
    images = torch.randn(batch, 3, 16, 16, requires_grad=True)
    logits = network(images)
    assert logits.shape == (batch, 1)
    gradient = torch.autograd.grad(logits.sum(), images, create_graph=True)[0]
    gradient.square().sum().backward()
    without = [name for name, value in network.named_parameters() if value.grad is None]
    assert without == ["final_linear.1.bias"]
