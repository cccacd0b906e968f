import hashlib
import json

import numpy as np
import pytest
import torch
from torch import Tensor

from framework.geometry.flexicubes.cubes import lattice_points, surface_cubes
from framework.geometry.flexicubes.surface import ExtractedSurface, extract_surface, sign_disagreement
from framework.geometry.flexicubes.tables import CASES, ambiguities, edge_groups
from framework.geometry.flexicubes.weights import activated_weights
from framework.geometry.isosurface import FieldError
from framework.geometry.mesh import Mesh


def extracted(values: Tensor, raw: Tensor | None = None, centred: bool = False) -> ExtractedSurface:
    """The surface of `values` (B, X, Y, Z) on the unit lattice, with weights (all cubes, 21) if given."""
    points = lattice_points([size - 1 for size in values.shape[1:]]).to(values.dtype)
    cubes = surface_cubes(values)
    weights = None if raw is None else activated_weights(raw[cubes.cube])
    return extract_surface(cubes, points, values, weights, centred)


def ball(cubes: int, radius: float = 0.35, centre: float = 0.013) -> Tensor:
    return (lattice_points((cubes,) * 3) - centre).norm(dim=-1)[None] - radius


def euler(mesh: Mesh) -> int:
    sides = np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    return len(np.unique(mesh.faces)) - len(np.unique(sides, axis=0)) + len(mesh.faces)


def digest(table: object) -> str:
    return hashlib.sha256(json.dumps(table, separators=(",", ":")).encode()).hexdigest()


def test_derived_tables_are_the_published_ones() -> None:
    groups = [sorted(map(list, edge_groups(case))) for case in range(CASES)]
    assert digest(groups) == "b9a2e177ea64c1ea3f478c33077f79f755e966373e04df21fe121004f623f698"
    inverted = [[ambiguity.case, *ambiguity.direction, ambiguity.inverse] for ambiguity in ambiguities()]
    assert digest(inverted) == "f0ade63756a974aeaa125477f559274173285c82932487b460e5eb4560a9b955"


@pytest.mark.parametrize("centred", [False, True])
def test_a_ball_is_closed_and_looks_outwards(centred: bool) -> None:
    surface = extracted(ball(32), centred=centred)
    mesh = Mesh(surface.vertices, surface.faces)
    assert mesh.is_watertight
    assert euler(mesh) == 2
    outwards = mesh.vertices[mesh.faces].mean(axis=1) - 0.013
    assert ((mesh.face_normals() * outwards).sum(axis=1) > 0).all()
    assert np.abs(np.linalg.norm(mesh.vertices - 0.013, axis=1) - 0.35).max() < 0.5 / 32
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 0.35**3, rel=0.01)


def test_a_torus_has_a_hole() -> None:
    x, y, z = lattice_points((30, 20, 30)).unbind(-1)
    surface = extracted((((x**2 + z**2).sqrt() - 0.3) ** 2 + y**2).sqrt()[None] - 0.1)
    mesh = Mesh(surface.vertices, surface.faces)
    assert mesh.is_watertight
    assert euler(mesh) == 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("centred", [False, True])
def test_noise_gives_a_closed_manifold(seed: int, centred: bool) -> None:
    """Every case and every pair of neighbouring cases: ambiguous faces must be joined the same way on both sides."""
    values = torch.randn(1, 14, 13, 12, generator=torch.Generator().manual_seed(seed)) - 0.3
    values[:, [0, -1]] = values[:, :, [0, -1]] = values[..., [0, -1]] = 1.0
    surface = extracted(values, centred=centred)
    mesh = Mesh(surface.vertices, surface.faces)
    assert mesh.is_watertight
    # Both neighbours of an edge run through it in opposite directions.
    sides = mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    assert len(np.unique(sides, axis=0)) == len(sides)


def test_objects_of_a_batch_are_what_they_are_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.cat(
        [ball(10), torch.ones(1, 11, 11, 11), torch.randn(1, 11, 11, 11, generator=generator), -ball(10)]
    )
    raw = torch.randn(4 * 1000, 21, generator=generator)
    for centred in (False, True):
        together = extracted(values, raw, centred)
        parts = together.split()
        assert len(parts) == 4
        for number, (vertices, faces) in enumerate(parts):
            alone = extracted(values[number : number + 1], raw[1000 * number : 1000 * (number + 1)], centred)
            torch.testing.assert_close(vertices, alone.vertices)
            torch.testing.assert_close(faces, alone.faces)


def test_gradients_agree_with_finite_differences() -> None:
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(1, 4, 4, 4, dtype=torch.float64, generator=generator)
    # Crossings stay away from the corners, where a step of finite differences would change a sign.
    values = values + 0.2 * values.sign()
    cubes = surface_cubes(values)
    count = len(cubes.cube)
    points = lattice_points((3, 3, 3)).double()[None] + 0.02 * torch.randn(1, 4, 4, 4, 3, generator=generator)
    raw = torch.randn(count, 21, dtype=torch.float64, generator=generator)
    pull = torch.randn(1000, 3, dtype=torch.float64, generator=generator)

    def loss(points: Tensor, values: Tensor, raw: Tensor) -> Tensor:
        surface = extract_surface(cubes, points, values, activated_weights(raw, 0.5), centred=True)
        return (surface.vertices * pull[: len(surface.vertices)]).sum() + surface.deviation.sum()

    leaves = [tensor.requires_grad_() for tensor in (points, values, raw)]
    assert torch.autograd.gradcheck(loss, leaves, rtol=1e-3, atol=1e-7)


def test_the_regulariser_is_zero_where_crossings_are_equally_far() -> None:
    values = torch.ones(1, 3, 3, 3)
    values[:, 1, 1, 1] = -1.0  # an octahedron: all crossings of a cube lie equally far from their mean
    assert extracted(values).deviation.max() < 1e-6
    values[:, 1, 1, 1] = -3.0
    values[:, 1, 1, 0] = 2.0
    assert extracted(values).deviation.mean() > 1e-3


def test_sign_disagreement_grows_with_the_step_across_the_surface() -> None:
    assert sign_disagreement(torch.ones(1, 3, 3, 3)) == 0.0
    assert sign_disagreement(5.0 * ball(8)) > sign_disagreement(ball(8)) > 0.0


@pytest.mark.parametrize("value", [1.0, -1.0, 0.0])
@pytest.mark.parametrize("centred", [False, True])
def test_without_a_crossing_the_surface_is_empty(value: float, centred: bool) -> None:
    values = torch.full((2, 3, 4, 5), value, requires_grad=True)
    surface = extracted(values, torch.zeros(2 * 2 * 3 * 4, 21), centred)
    assert surface.vertices.shape == surface.faces.shape == (0, 3)
    assert surface.vertex_count.tolist() == surface.face_count.tolist() == [0, 0]
    (surface.vertices.sum() + surface.deviation.sum()).backward()


def test_wrong_fields_and_shapes_are_named() -> None:
    with pytest.raises(FieldError, match="1 of 27 samples"):
        surface_cubes(torch.ones(1, 3, 3, 3).index_put_([torch.tensor(0)] * 4, torch.tensor(torch.nan)))
    with pytest.raises(FieldError, match=r"expected \(B, X, Y, Z\)"):
        surface_cubes(torch.ones(3, 3, 3))
    values = ball(4)
    cubes = surface_cubes(values)
    with pytest.raises(ValueError, match="positions have shape"):
        extract_surface(cubes, lattice_points((4, 4, 5)), values)
    with pytest.raises(ValueError, match="expected .surface cubes, 21."):
        activated_weights(torch.zeros(3, 20))
    with pytest.raises(ValueError, match="weights are of"):
        extract_surface(cubes, lattice_points((4, 4, 4)), values, activated_weights(torch.zeros(3, 21)))
    with pytest.raises(ValueError, match="number of cubes"):
        lattice_points((4, 0, 4))
