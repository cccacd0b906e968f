"""Colours of views at vertices: what is seen, how views are weighed, what fills the rest."""

import numpy as np
import pytest
import torch
import trimesh

from framework.geometry.camera import Camera, orbit
from framework.renderers.projection import (
    Gathered,
    blended,
    completed,
    gather_views,
    grown,
    sample_picture,
    sample_views,
    visible_faces,
)
from framework.renderers.torch_rasterizer import TorchRasterizer

RASTERIZER = TorchRasterizer()
BALL = trimesh.creation.icosphere(subdivisions=3)
POSITIONS = torch.from_numpy(np.asarray(BALL.vertices)).float()
FACES = torch.from_numpy(np.asarray(BALL.faces)).long()
STRIP = torch.tensor([[0, 1, 2], [1, 3, 2], [2, 3, 4], [3, 5, 4], [6, 7, 8]])  # 0..5 in a row, and an island


def cameras(*azimuths: float) -> Camera:
    return Camera.orthographic(orbit(azimuths, 0.0, 5.0), 1.2)


def uniform_pictures(*colors: tuple[float, float, float, float]) -> torch.Tensor:
    return torch.tensor(colors)[:, None, None].expand(-1, 64, 64, -1)


def test_a_view_sees_its_half_of_a_ball() -> None:
    seen = visible_faces(POSITIONS, FACES, cameras(0, 90), (128, 128), RASTERIZER)
    centres = POSITIONS[FACES].mean(1)
    assert not seen[0, centres[:, 2] < -0.05].any()
    assert seen[0, centres[:, 2] > 0.2].all()
    assert seen[1, centres[:, 0] > 0.2].all()


def test_colours_are_sampled_where_the_vertices_lie() -> None:
    x, y = torch.meshgrid((torch.arange(64) + 0.5) / 64, (torch.arange(64) + 0.5) / 64, indexing="xy")
    picture = torch.stack([x, y, torch.zeros_like(x), torch.ones_like(x)], 2)[None]
    view = sample_views(POSITIONS, FACES, cameras(0), picture, RASTERIZER)[0]
    expected = POSITIONS[view.vertices, :2] * torch.tensor([1.0, -1.0]) / 1.2 * 0.5 + 0.5
    torch.testing.assert_close(view.colors[:, :2], expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(view.cosine, -POSITIONS[view.vertices, 2], atol=0.02, rtol=0)
    assert (view.vertices.diff() > 0).all()


def test_pictures_are_mirrored_at_their_rim() -> None:
    picture = torch.tensor([[[0.0], [1.0]]])
    torch.testing.assert_close(
        sample_picture(picture, torch.tensor([[-1.0, 0], [0, 0], [1, 0]]))[:, 0], torch.tensor([0.0, 0.5, 1])
    )


def test_views_are_weighed_by_cosine_weight_and_alpha() -> None:
    red, half_green = (1.0, 0, 0, 1.0), (0.0, 1, 0, 0.5)
    views = sample_views(POSITIONS, FACES, cameras(0, 90), uniform_pictures(red, half_green), RASTERIZER)
    gathered = gather_views(views, [2.0, 1.0], len(POSITIONS), power=1.0)
    vertex = int((POSITIONS @ torch.tensor([1.0, 0, 1])).argmax())  # 45 degrees from both
    cosines = POSITIONS[vertex, 2], POSITIONS[vertex, 0]
    assert float(gathered.weight[vertex]) == pytest.approx(float(2 * cosines[0] + 0.5 * cosines[1]), abs=0.01)
    color = gathered.sums[vertex] / gathered.weight[vertex]
    assert float(color[0]) == pytest.approx(0.8, abs=0.02)
    back = POSITIONS[:, 2] + POSITIONS[:, 0] < -1.2
    assert (gathered.weight[back] == 0).all()


def test_missing_weight_is_filled_with_the_initial_colours() -> None:
    gathered = Gathered(torch.tensor([[0.4, 0, 0], [0.05, 0, 0], [0, 0, 0]]), torch.tensor([0.5, 0.05, 0.0]))
    initial = torch.full((3, 3), 0.2)
    smooth = blended(gathered, initial, 0.1)
    torch.testing.assert_close(smooth[:, 0], torch.tensor([0.8, (0.2 * 0.05 + 0.05) / 0.1, 0.2]))
    torch.testing.assert_close(blended(gathered, initial, 0.1, "original")[:, 0], torch.tensor([0.8, 0.2, 0.2]))
    hidden = gathered.without(torch.tensor([True, False, False]))
    torch.testing.assert_close(blended(hidden, initial, 0.1)[0], initial[0])


def test_colours_flow_into_what_no_view_saw() -> None:
    colors = torch.zeros(9, 3)
    colors[0] = 1.0
    known = torch.tensor([True] + [False] * 4 + [True] + [False] * 3)
    filled = completed(colors, known, STRIP)
    assert filled[0, 0] == 1 and filled[5, 0] == 0  # what is known stays
    assert (filled[:, 0].diff()[:5] <= 0).all() and 0 < filled[3, 0] < filled[1, 0]  # and between them it falls
    torch.testing.assert_close(filled[6:], colors[6:])  # nothing reaches the island
    torch.testing.assert_close(completed(colors, torch.zeros(9, dtype=torch.bool), STRIP), colors)


def test_rings_around_vertices() -> None:
    start = torch.zeros(9, dtype=torch.bool)
    start[0] = True
    assert grown(start, STRIP, 0).nonzero().flatten().tolist() == [0]
    assert grown(start, STRIP, 1).nonzero().flatten().tolist() == [0, 1, 2]
    assert grown(start, STRIP, 9).nonzero().flatten().tolist() == [0, 1, 2, 3, 4, 5]


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"expected \(2, H, W, 4\)"):
        sample_views(POSITIONS, FACES, cameras(0, 90), torch.ones(2, 8, 8, 3), RASTERIZER)
    views = sample_views(POSITIONS, FACES, cameras(0), torch.ones(1, 8, 8, 4), RASTERIZER)
    with pytest.raises(ValueError, match="2 weights for 1 views"):
        gather_views(views, [1.0, 1.0], len(POSITIONS))
