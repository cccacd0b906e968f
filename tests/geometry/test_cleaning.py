import pytest
import torch

from framework.geometry.cleaning import smoothed, subdivided, without_tiny_faces
from framework.geometry.icosphere import icosphere
from framework.geometry.mesh import Mesh, MeshError


def mesh_of(positions: torch.Tensor, faces: torch.Tensor) -> Mesh:
    return Mesh(positions.numpy(), faces.numpy())


def test_smoothing_evens_out_noise() -> None:
    unit, faces = icosphere(3)
    noisy = unit + 0.03 * torch.randn(unit.shape, generator=torch.Generator().manual_seed(0))
    after = smoothed(noisy, faces, 2)
    assert after.norm(dim=1).std() < 0.4 * noisy.norm(dim=1).std()
    assert mesh_of(after, faces).volume == pytest.approx(mesh_of(unit, faces).volume, rel=0.06)


def test_borders_are_smoothed_along_themselves() -> None:
    # A square of four triangles around its centre, 4.
    positions = torch.tensor([[0.0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0], [1.5, 1, 3]])
    faces = torch.tensor([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])
    after = smoothed(positions, faces)
    # The corner: itself twice, both neighbours along the border once; the centre: all corners twice, itself once.
    torch.testing.assert_close(after[0], torch.tensor([0.5, 0.5, 0.0]))
    torch.testing.assert_close(after[4], torch.tensor([(2 * 4 + 1.5) / 9, 1.0, 3 / 9]))


def test_a_tiny_face_is_shrunk_to_its_centre() -> None:
    positions, faces = icosphere(2)
    middle = positions[faces[7]].mean(0)
    positions[faces[7]] = middle + 0.01 * (positions[faces[7]] - middle)
    after, left = without_tiny_faces(positions, faces, 1e-4)
    mesh = mesh_of(after, left)
    assert len(after) == len(positions) - 2 and len(left) == len(faces) - 4
    assert mesh.is_watertight
    assert (after - middle).norm(dim=1).min() < 1e-6


def test_nothing_is_tiny_below_no_area_and_all_is_above_a_large_one() -> None:
    positions, faces = icosphere(1)
    after, left = without_tiny_faces(positions, faces, 0.0)
    assert torch.equal(after, positions) and torch.equal(left, faces)
    after, left = without_tiny_faces(positions, faces, 10.0)
    assert after.shape == left.shape == (0, 3)


def test_subdividing_keeps_the_surface_and_means_what_vertices_carry() -> None:
    positions, faces = icosphere(1)
    columns, finer = subdivided(torch.cat([positions, positions[:, :1] * 7], 1), faces)
    before, after = mesh_of(positions, faces), mesh_of(columns[:, :3], finer)
    assert len(finer) == 4 * len(faces)
    assert after.is_watertight
    assert after.area == pytest.approx(before.area, rel=1e-5)
    assert after.volume == pytest.approx(before.volume, rel=1e-5)
    torch.testing.assert_close(columns[:, 3], columns[:, 0] * 7)


def test_empty_and_wrong_meshes() -> None:
    positions, faces = torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64)
    assert smoothed(positions, faces).shape == (0, 3)
    assert subdivided(positions, faces)[1].shape == (0, 3)
    assert without_tiny_faces(positions, faces, 1.0)[1].shape == (0, 3)
    with pytest.raises(MeshError, match="indices 0 to 2 don't fit the 2 vertices"):
        smoothed(torch.zeros(2, 3), torch.tensor([[0, 1, 2]]))
    with pytest.raises(MeshError, match="1 of 3 are NaN"):
        subdivided(torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, torch.inf, 0]]), torch.tensor([[0, 1, 2]]))
