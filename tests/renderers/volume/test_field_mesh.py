from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from framework.geometry.isosurface import EmptySurface
from framework.renderers.volume.field_mesh import field_mesh
from framework.renderers.volume.fields import FieldSamples
from tests.renderers.volume.fields_for_tests import Ball


class Gas:
    """Dense inside a ball, coloured by where it is looked at from."""

    def query(self, points: Tensor, directions: Tensor) -> FieldSamples:
        return FieldSamples(density=20.0 * (1.0 - points.norm(dim=-1)), colour=0.5 - 0.5 * directions)


def test_the_surface_of_signed_distances() -> None:
    mesh = field_mesh(Ball(0.5), 64)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 0.5**3, rel=0.01)
    np.testing.assert_allclose(mesh.vertex_colors, 0.5 + 0.5 * mesh.vertices, atol=1e-6)


def test_the_surface_of_densities_is_seen_from_outside() -> None:
    mesh = field_mesh(Gas(), 48, level=10.0, method="dense")
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 0.5**3, rel=0.01)  # positive: faces outwards
    outward = mesh.vertices / np.linalg.norm(mesh.vertices, axis=1, keepdims=True)
    np.testing.assert_allclose(mesh.vertex_colors, 0.5 + 0.5 * outward, atol=0.05)


def test_chunks_and_missing_colours() -> None:
    class Plain:
        def query(self, points: Tensor, directions: Tensor) -> FieldSamples:
            assert torch.allclose(directions.norm(dim=-1), torch.ones(len(points)))
            return FieldSamples(sdf=points.norm(dim=-1) - 0.5)

    assert field_mesh(Plain(), 16).vertex_colors is None
    whole, parts = field_mesh(Ball(), 16), field_mesh(Ball(), 16, chunk=100)
    np.testing.assert_array_equal(whole.vertices, parts.vertices)
    np.testing.assert_array_equal(whole.vertex_colors, parts.vertex_colors)


def test_nothing_to_see_is_an_error() -> None:
    with pytest.raises(EmptySurface):
        field_mesh(Ball(-1.0), 16)
