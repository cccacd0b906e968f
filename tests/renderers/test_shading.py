"""Transfer curves and the studio's light."""

import pytest
import torch

from framework.renderers.shading import linear_from_srgb, srgb_from_linear, studio_light


def test_srgb_known_values() -> None:
    """Reference values of IEC 61966-2-1."""
    linear = linear_from_srgb(torch.tensor([0.0, 0.04045, 0.5, 1.0]))
    torch.testing.assert_close(linear, torch.tensor([0.0, 0.0031308, 0.2140411, 1.0]), atol=1e-6, rtol=1e-5)


def test_srgb_there_and_back() -> None:
    values = torch.linspace(0, 1, 1001)
    torch.testing.assert_close(srgb_from_linear(linear_from_srgb(values)), values, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(srgb_from_linear(torch.tensor([-1.0, 7.0])), torch.tensor([0.0, 1.0]))


def test_less_exposure_is_never_brighter() -> None:
    normals = torch.nn.functional.normalize(torch.randn(500, 3, generator=torch.Generator().manual_seed(1)), dim=1)
    albedo = torch.full((500, 3), 0.5)
    full, half, open_sky = (
        studio_light(normals, normals[:, 1], albedo, exposure)
        for exposure in (torch.ones(500), torch.full((500,), 0.5), None)
    )
    assert (half <= full).all() and (half >= 0).all()
    torch.testing.assert_close(full, open_sky)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_black_stays_dark_and_dtype_stays(dtype: torch.dtype) -> None:
    normals = torch.tensor([[0.0, 0, 1]], dtype=dtype)
    light = studio_light(normals, normals[:, 1], torch.zeros(1, 3, dtype=dtype))
    assert light.dtype == dtype and light.max() < 0.1
