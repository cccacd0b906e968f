import numpy as np
import pytest
import torch
from torch import Tensor

from framework.geometry.icosphere import icosphere
from framework.geometry.mesh import Mesh, MeshError
from framework.geometry.remeshing.collapse import collapse_edges, random_picks
from framework.geometry.remeshing.connectivity import edges_of, neighbour_means, packed, sides_of_edges
from framework.geometry.remeshing.flip import flip_edges
from framework.geometry.remeshing.remesh import remesh
from framework.geometry.remeshing.split import split_edges
from tests.geometry.shapes import torus


def euler(faces: Tensor) -> int:
    vertices = int(faces.max()) + 1
    return len(faces.unique()) - len(edges_of(faces, vertices).low) + len(faces)


def is_closed_manifold(faces: Tensor) -> bool:
    """Whether two faces that agree on what is outside meet at each edge, and the faces at each vertex form one fan."""
    vertices = int(faces.max()) + 1
    edges = edges_of(faces, vertices)
    _, count = sides_of_edges(faces, edges)
    # In one fan a vertex has as many edges as faces; two cones that touch there have too, so fans are walked below.
    corners = torch.bincount(faces.view(-1), minlength=vertices)
    return bool((count == 1).all() and (corners == edges.degrees(vertices)).all() and _single_fans(faces, vertices))


def _single_fans(faces: Tensor, vertices: int) -> bool:
    follower: dict[tuple[int, int], int] = {}
    for a, b, c in faces.tolist():
        follower |= {(a, b): c, (b, c): a, (c, a): b}
    size = torch.bincount(faces.view(-1), minlength=vertices).tolist()
    first: dict[int, int] = {}
    for a, b in follower:
        first.setdefault(a, b)
    for vertex, start in first.items():
        steps, here = 1, follower[vertex, start]
        while here != start and steps < size[vertex]:
            steps, here = steps + 1, follower[vertex, here]
        if here != start or steps != size[vertex]:
            return False
    return True


def remeshed(positions: Tensor, faces: Tensor, shortest: float, longest: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    count = len(positions)
    picks = random_picks(len(faces), torch.Generator().manual_seed(seed))
    return remesh(positions, faces, torch.full((count,), shortest), torch.full((count,), longest), picks)


def test_edges_of_two_triangles() -> None:
    faces = torch.tensor([[0, 1, 2], [2, 1, 3]])
    edges = edges_of(faces, 4)
    assert edges.low.tolist() == [0, 0, 1, 1, 2]
    assert edges.high.tolist() == [1, 2, 2, 3, 3]
    assert edges.of_face.tolist() == [[0, 2, 1], [2, 3, 4]]
    assert edges.degrees(4).tolist() == [2, 3, 3, 2]
    sides, count = sides_of_edges(faces, edges)
    assert sides.tolist() == [[0, -1], [-1, 2], [1, 3], [4, -1], [-1, 5]]
    assert count.tolist() == [[1, 0], [0, 1], [1, 1], [1, 0], [0, 1]]


def test_neighbour_means_and_vertices_without_edges() -> None:
    means = neighbour_means(torch.tensor([[1.0], [2.0], [6.0], [9.0]]), edges_of(torch.tensor([[0, 1, 2]]), 4))
    assert means[:, 0].tolist() == [4.0, 3.5, 1.5, 0.0]


def test_packing_keeps_the_order() -> None:
    columns, faces = packed(torch.arange(5.0)[:, None], torch.tensor([[4, 1, 2]]))
    assert columns[:, 0].tolist() == [1.0, 2.0, 4.0]
    assert faces.tolist() == [[2, 0, 1]]


@pytest.mark.parametrize("chosen", [[True, False, False], [True, False, True], [True, True, True]])
def test_splitting_keeps_area_and_orientation(chosen: list[bool]) -> None:
    positions, faces = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), torch.tensor([[0, 1, 2]])
    new, pieces = split_edges(positions, faces, edges_of(faces, 3), torch.tensor(chosen))
    assert len(new) == 3 + sum(chosen) and len(pieces) == 1 + sum(chosen)
    a, b, c = new[pieces.t()]
    areas = torch.linalg.cross(b - a, c - a)[:, 2] / 2
    assert (areas > 0).all()
    assert areas.sum() == pytest.approx(0.5)


def test_collapsing_merges_all_columns_and_drops_both_faces() -> None:
    positions, faces = icosphere(1)
    columns = torch.cat([positions, torch.arange(len(positions))[:, None]], 1)
    edges = edges_of(faces, len(positions))
    priorities = torch.zeros(len(edges.low)).index_fill(0, torch.tensor(7), 1.0)
    merged, left = collapse_edges(columns, faces, edges, priorities)
    low, high = int(edges.low[7]), int(edges.high[7])
    torch.testing.assert_close(merged[low], columns[[low, high]].mean(0))
    assert high not in left
    left = left[(left != left.roll(1, 1)).all(1)]
    assert len(left) == len(faces) - 2
    assert is_closed_manifold(left)


def test_an_edge_whose_ends_share_three_neighbours_is_not_collapsed() -> None:
    # Two vertices (0, 1) on a ring of three: a collapse of 2-3 would glue the faces of 4 together.
    faces = torch.tensor([[0, 2, 3], [0, 3, 4], [0, 4, 2], [1, 3, 2], [1, 4, 3], [1, 2, 4]])
    edges = edges_of(faces, 5)
    priorities = torch.zeros(len(edges.low))
    priorities[(edges.low == 2) & (edges.high == 3)] = 1.0
    _, left = collapse_edges(torch.rand(5, 3), faces, edges, priorities)
    assert torch.equal(left, faces)


def test_flips_even_out_degrees() -> None:
    positions, faces = icosphere(2)
    generator = torch.Generator().manual_seed(3)
    for _ in range(4):  # random splits leave vertices of very different degrees
        edges = edges_of(faces, len(positions))
        positions, faces = split_edges(positions, faces, edges, torch.rand(len(edges.low), generator=generator) < 0.2)
    before = edges_of(faces, len(positions)).degrees(len(positions)).float().var()
    flipped = faces
    for _ in range(8):
        flipped = flip_edges(positions, flipped)
    after = edges_of(flipped, len(positions)).degrees(len(positions)).float().var()
    assert after < 0.6 * before
    assert is_closed_manifold(flipped)
    volumes = [Mesh(positions, part).volume for part in (faces, flipped)]
    assert volumes[1] == pytest.approx(volumes[0], rel=0.02)


def test_borders_are_not_flipped() -> None:
    faces = torch.tensor([[0, 1, 2], [2, 1, 3]])
    positions = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
    assert torch.equal(flip_edges(positions, faces), faces)


@pytest.mark.parametrize(("name", "characteristic"), [("ball", 2), ("ring", 0)])
@pytest.mark.parametrize("length", [0.07, 0.2])
def test_edges_reach_the_wanted_length_on_the_same_manifold(name: str, characteristic: int, length: float) -> None:
    positions, faces = icosphere(3) if name == "ball" else torus(40, 16)
    volume = Mesh(positions, faces).volume
    for step in range(15):
        positions, faces = remeshed(positions, faces, 0.5 * length, 1.5 * length, step)
        if name == "ball":  # midpoints lie inside the sphere
            positions = torch.nn.functional.normalize(positions, dim=1)
    assert is_closed_manifold(faces)
    assert euler(faces) == characteristic
    lengths = edges_of(faces, len(positions)).lengths(positions)
    assert ((lengths > 0.45 * length) & (lengths < 1.55 * length)).float().mean() > 0.98
    assert Mesh(positions, faces).volume == pytest.approx(volume, rel=0.06)


@pytest.mark.parametrize("seed", range(3))
def test_a_trembling_mesh_stays_a_manifold(seed: int) -> None:
    """Vertices pushed about at random: faces fold, and remeshing has to tidy up."""
    generator = torch.Generator().manual_seed(seed)
    positions, faces = icosphere(2)
    for step in range(20):
        positions = positions + 0.03 * torch.randn(positions.shape, generator=generator)
        positions, faces = remeshed(positions, faces, 0.1, 0.3, step)
    assert is_closed_manifold(faces)
    assert torch.isfinite(positions).all()


def test_the_same_picks_give_the_same_mesh() -> None:
    positions, faces = icosphere(3)
    positions = positions + 0.05 * torch.randn(positions.shape, generator=torch.Generator().manual_seed(0))
    first, second = (remeshed(positions, faces, 0.1, 0.15, seed=5) for _ in range(2))
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])


def test_an_open_patch_keeps_edges_of_at_most_two_faces() -> None:
    positions, faces = torus(40, 16)
    faces = faces[(positions[faces][..., 0] > 0).all(1)]
    for step in range(10):
        positions, faces = remeshed(positions, faces, 0.05, 0.12, step)
    _, count = sides_of_edges(faces, edges_of(faces, len(positions)))
    assert (count <= 1).all()
    assert (count.sum(1) == 1).any()


def test_degenerate_input_is_tidied_up() -> None:
    positions, faces = icosphere(2)
    lone = torch.tensor([[5.0, 5.0, 5.0]])
    faces = torch.cat([faces, torch.tensor([[3, 3, 4], [9, 9, 9]])])
    # A sliver: one vertex pushed onto its neighbour.
    edges = edges_of(faces, 162)
    positions = torch.cat([positions, lone])
    positions[edges.high[60]] = positions[edges.low[60]]
    for step in range(6):
        positions, faces = remeshed(positions, faces, 0.1, 0.5, step)
    assert is_closed_manifold(faces)
    assert positions.abs().max() < 2
    a, b, c = positions[faces.t()]
    assert torch.linalg.cross(b - a, c - a).norm(dim=1).min() > 1e-4


def test_a_small_part_vanishes_and_an_empty_mesh_stays_empty() -> None:
    positions, faces = icosphere(0, radius=0.01)
    for step in range(60):
        positions, faces = remeshed(positions, faces, 0.5, 1.5, step)
    assert positions.shape == faces.shape == (0, 3)


def test_a_fan_of_three_faces_on_one_edge_is_survived() -> None:
    positions = torch.tensor([[0.0, 0, 0], [0, 0, 1], [1, 0, 0.5], [-1, 1, 0.5], [-1, -1, 0.5]])
    faces = torch.tensor([[0, 1, 2], [0, 1, 3], [0, 1, 4]])
    area = Mesh(positions, faces).area
    positions, faces = remeshed(positions, faces, 0.1, 0.3)
    assert len(faces) > 3
    assert Mesh(positions, faces).area == pytest.approx(area, rel=0.2)


@pytest.mark.parametrize(
    ("positions", "faces", "message"),
    [
        ([[0, 0, 0], [1, 0, 0], [torch.nan, 1, 0]], [[0, 1, 2]], "1 of 3 are NaN"),
        ([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 3]], "indices 0 to 3 don't fit the 3 vertices"),
        ([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, -1]], "indices -1 to 1"),
        ([[0, 0], [1, 0], [0, 1]], [[0, 1, 2]], r"expected shape \(V, 3\)"),
        ([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1]], r"int64 of shape \(F, 3\)"),
    ],
)
def test_wrong_meshes_are_named(positions: list[list[float]], faces: list[list[int]], message: str) -> None:
    with pytest.raises(MeshError, match=message):
        remeshed(torch.tensor(positions, dtype=torch.float32), torch.tensor(faces), 0.1, 0.3)


def test_picks_name_the_shortest_edge_in_eight_of_ten_cases() -> None:
    shares = np.bincount(random_picks(20_000, torch.Generator().manual_seed(0)).numpy()) / 20_000
    np.testing.assert_allclose(shares, [0.1, 0.1, 0.8], atol=0.01)
