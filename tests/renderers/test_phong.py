from __future__ import annotations

import pytest
import torch

from framework.renderers.phong import PointLight, phong

LIGHT = PointLight(position=(0.0, 0.0, 2.0), ambient=0.1, diffuse=0.6, specular=0.3, shininess=8.0)


def seen(normal: tuple[float, ...], eye: tuple[float, ...]) -> float:
    return phong(torch.zeros(1, 3), torch.tensor([normal]), torch.tensor(eye), LIGHT).item()


def test_in_the_mirror_direction_everything_adds_up() -> None:
    assert seen((0.0, 0.0, 5.0), (0.0, 0.0, 3.0)) == pytest.approx(0.1 + 0.6 + 0.3)


def test_from_the_side_the_highlight_fades() -> None:
    cosine = 0.8  # between the eye and the mirrored light
    expected = 0.1 + 0.6 + 0.3 * cosine**8
    assert seen((0.0, 0.0, 1.0), (0.6, 0.0, 0.8)) == pytest.approx(expected, rel=1e-5)


def test_away_from_the_light_only_the_ambient_part_is_left() -> None:
    assert seen((0.0, 0.0, -1.0), (0.0, 0.0, -3.0)) == pytest.approx(0.1)
    assert seen((1.0, 0.0, 0.0), (2.0, 0.0, 0.0)) == pytest.approx(0.1)


def test_gradients_reach_points_and_normals() -> None:
    points = torch.tensor([[0.1, 0.2, 0.0]], dtype=torch.float64, requires_grad=True)
    normals = torch.tensor([[0.1, -0.2, 1.0]], dtype=torch.float64, requires_grad=True)
    eye = torch.tensor([0.3, 0.0, 2.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p, n: phong(p, n, eye, LIGHT), (points, normals))
