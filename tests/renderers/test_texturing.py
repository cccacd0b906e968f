"""Texture samples against loops and pictures whose averages are known; derivatives against finite differences."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from framework.geometry.camera import Camera, homogeneous, orbit
from framework.renderers.rasterizer import Wrap
from framework.renderers.texturing import pyramid, screen_derivatives, texture
from framework.renderers.torch_rasterizer import TorchRasterizer

RASTERIZER = TorchRasterizer()
PADDING = {"clamp": "border", "zero": "zeros"}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("wrap", ["clamp", "zero"])
@pytest.mark.parametrize("shared", [True, False])
def test_bilinear_samples_equal_grid_sample(wrap: Wrap, shared: bool) -> None:
    image, uv = random(1 if shared else 3, 7, 11, 4), random(3, 5, 6, 2, seed=1) * 2 - 0.5
    expected = grid_sample(
        image.expand(3, -1, -1, -1).permute(0, 3, 1, 2), uv * 2 - 1, padding_mode=PADDING[wrap], align_corners=False
    )
    torch.testing.assert_close(RASTERIZER.texture(image, uv, wrap=wrap), expected.permute(0, 2, 3, 1))


def test_repeated_textures_equal_a_tiled_one() -> None:
    image, uv = random(1, 5, 4, 3), random(2, 9, 8, 2, seed=1) * 3 - 1
    tiled = image.repeat(1, 5, 5, 1)
    torch.testing.assert_close(texture(image, uv), texture(tiled, (uv + 2) / 5, wrap="clamp"))


def test_corners_of_the_texture() -> None:
    """(0, 0) is the upper left, u runs to the right; texel centres give texels."""
    image = torch.arange(6.0).view(1, 2, 3, 1)
    uv = torch.tensor([[[[0.5 / 3, 0.25], [2.5 / 3, 0.25]], [[0.5 / 3, 0.75], [2.5 / 3, 0.75]]]])
    torch.testing.assert_close(texture(image, uv)[0, ..., 0], torch.tensor([[0.0, 2.0], [3.0, 5.0]]))


def test_levels_are_averages() -> None:
    image = random(2, 12, 5, 3)
    levels = pyramid(image)
    assert [level.shape[1:3] for level in levels] == [(12, 5), (6, 2), (3, 1), (1, 1)]
    torch.testing.assert_close(levels[-1][:, 0, 0], image.mean((1, 2)), atol=0.02, rtol=0)
    even = pyramid(random(1, 8, 8, 1))
    torch.testing.assert_close(even[1][0, 2, 3, 0], even[0][0, 4:6, 6:8, 0].mean())
    torch.testing.assert_close(even[-1].mean(), even[0].mean())


@pytest.mark.parametrize("level", [0.0, 1.0, 1.5, 3.0, 9.0])
def test_footprint_chooses_the_level(level: float) -> None:
    image, uv = random(1, 16, 16, 2), random(1, 4, 4, 2, seed=1)
    step = 2**level / 16
    derivatives = torch.tensor([[0.3 * step, 0.0], [0.0, -step]], dtype=torch.float64).expand(1, 4, 4, 2, 2)
    levels = pyramid(image)
    lower = min(int(level), 4)
    fine, coarse = (texture(levels[number], uv) for number in (lower, min(lower + 1, 4)))
    expected = fine + (min(level, 4) - lower) * (coarse - fine)
    torch.testing.assert_close(texture(image, uv, derivatives), expected)


@pytest.mark.parametrize("wrap", ["repeat", "clamp", "zero"])
def test_gradients_equal_finite_differences(wrap: Wrap) -> None:
    image, uv = random(1, 5, 4, 1).requires_grad_(), (random(2, 2, 3, 2, seed=2) * 1.6 - 0.3).requires_grad_()
    derivatives = (random(2, 2, 3, 2, 2, seed=3) - 0.5).requires_grad_()
    assert torch.autograd.gradcheck(lambda *given: texture(given[0], given[1], wrap=wrap), (image, uv))
    assert torch.autograd.gradcheck(lambda *given: texture(*given, wrap=wrap), (image, uv, derivatives))


def plane(kind: str, tilt: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Clip positions (1, 4, 4), faces and texture coordinates (1, 4, 2) of a large square, one corner tilted away."""
    camera = Camera.orthographic if kind == "orthographic" else Camera.perspective
    corners = torch.tensor([[-9.0, -9, 0], [9, -9, -tilt], [9, 9, -tilt], [-9, 9, 0]], dtype=torch.float64)
    clip = homogeneous(corners) @ camera(orbit((20.0,), 30.0, 3.0), 0.8, far=100.0).clip_from_world.double().mT
    uv = torch.tensor([[[0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]]], dtype=torch.float64)
    return clip, torch.tensor([[0, 1, 2], [0, 2, 3]]), uv


@pytest.mark.parametrize("kind", ["orthographic", "perspective"])
def test_derivatives_equal_a_shifted_picture(kind: str) -> None:
    """Moving the picture by a small part of a pixel changes coordinates by the derivative times that part."""
    clip, faces, uv = plane(kind)
    height, width, part = 24, 32, 1e-4
    fragments = RASTERIZER.rasterize(clip, faces, (height, width))
    assert fragments.mask.float().mean() > 0.4
    found = screen_derivatives(uv, fragments, clip, faces)
    here = RASTERIZER.interpolate(uv, fragments, faces)
    for axis, shift in enumerate([(-2 / width * part, 0.0), (0.0, 2 / height * part)]):
        moved = clip.clone()
        moved[..., :2] += torch.tensor(shift, dtype=torch.float64) * clip[..., 3:]
        there = RASTERIZER.rasterize(moved, faces, (height, width))
        same = (there.face_index == fragments.face_index) & fragments.mask
        numeric = (RASTERIZER.interpolate(uv, there, faces) - here) / part
        torch.testing.assert_close(found[..., axis][same], numeric[same], rtol=1e-3, atol=1e-6)
    assert (found[~fragments.mask] == 0).all()


def test_small_textures_do_not_flicker() -> None:
    """A fine chequerboard seen from far is grey with averaged copies, and noise without them."""
    clip, faces, uv = plane("orthographic")
    row = torch.arange(256) // 2 % 2
    board = (row[:, None] ^ row).double()[None, ..., None]
    fragments = RASTERIZER.rasterize(clip * torch.tensor([0.02, 0.02, 1, 1]), faces, (32, 32))
    coordinates = RASTERIZER.interpolate(uv, fragments, faces)
    derivatives = screen_derivatives(uv, fragments, clip * torch.tensor([0.02, 0.02, 1, 1]), faces)
    plain = RASTERIZER.texture(board, coordinates)[fragments.mask]
    smooth = RASTERIZER.texture(board, coordinates, derivatives)[fragments.mask]
    assert plain.std() > 0.2 and (smooth - 0.5).abs().max() < 0.02


def test_hostile_coordinates_read_something() -> None:
    image = random(1, 4, 4, 1)
    bad = [float("nan"), float("inf"), -float("inf"), 1e30, -1e30, 0.0]
    uv = torch.tensor([[u, v] for u in bad for v in bad], dtype=torch.float64).view(1, 6, 6, 2)
    derivatives = torch.tensor([float("nan"), float("inf"), 1e200, 0.0], dtype=torch.float64).view(2, 2)
    for wrap in ("repeat", "clamp", "zero"):
        for given in (None, derivatives.expand(1, 6, 6, 2, 2)):
            values = texture(image, uv, given, wrap)  # type: ignore[arg-type]
            assert values.isfinite().all() and (values >= 0).all() and (values <= 1).all()


@pytest.mark.parametrize(
    ("image", "uv", "more", "message"),
    [
        (torch.rand(4, 4, 3), torch.rand(1, 2, 2, 2), {}, "expected floating .1 or 1, rows"),
        (torch.rand(2, 4, 4, 3), torch.rand(1, 2, 2, 2), {}, "expected floating .1 or 1, rows"),
        (torch.rand(1, 0, 4, 3), torch.rand(1, 2, 2, 2), {}, "at least one texel"),
        (torch.rand(1, 4, 4, 3), torch.rand(1, 2, 2, 3), {}, "expected floating .B, H, W, 2"),
        (torch.rand(1, 4, 4, 3), torch.rand(1, 2, 2, 2), {"derivatives": torch.rand(1, 2, 2, 2)}, "derivatives have"),
        (torch.rand(1, 4, 4, 3), torch.rand(1, 2, 2, 2), {"wrap": "mirror"}, "expected one of repeat, clamp, zero"),
        (torch.rand(1, 4, 4, 3), torch.rand(1, 2, 2, 2).to("meta"), {}, "expected one device"),
    ],
)
def test_wrong_arguments(image: Tensor, uv: Tensor, more: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RASTERIZER.texture(image, uv, **more)
