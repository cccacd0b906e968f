"""Refitting changes the apparent size, recolouring the colours, jitter the place, and nothing else."""

from __future__ import annotations

import torch

from framework.systems.draws import Draws
from methods.craftsman.view_sets import jittered, recolored, refitted


def boxes(*sides: int, size: int = 64) -> torch.Tensor:
    views = torch.zeros(1, len(sides), 4, size, size)
    for row, side in enumerate(sides):
        low = (size - side) // 2
        views[0, row, :, low : low + side, low : low + side] = torch.tensor([0.2, 0.5, 0.9, 1.0])[:, None, None]
    return views


def side_of(view: torch.Tensor) -> float:
    return (view[3] > 0.5).sum().sqrt().item()


def test_a_small_object_grows_to_the_wanted_share() -> None:
    result = refitted(boxes(16), 0.75)
    assert abs(side_of(result[0, 0]) - 48) <= 1
    inside = result[0, 0, :3, 20:44, 20:44]
    torch.testing.assert_close(inside, torch.tensor([0.2, 0.5, 0.9])[:, None, None].expand_as(inside))


def test_the_largest_view_decides_for_all() -> None:
    result = refitted(boxes(16, 32), 0.75)
    assert abs(side_of(result[0, 1]) - 48) <= 1
    assert abs(side_of(result[0, 0]) - 24) <= 1


def test_a_fitting_or_empty_view_stays() -> None:
    torch.testing.assert_close(refitted(boxes(48), 0.75), boxes(48), atol=1e-5, rtol=0)
    assert refitted(torch.zeros(2, 3, 4, 16, 16), 0.75).abs().sum() == 0


def test_recolouring_permutes_and_scales_the_channels_of_an_item_alike() -> None:
    views = boxes(16, 32).expand(8, -1, -1, -1, -1)
    result = recolored(views, 0.2, Draws(3, range(8)))
    assert torch.equal(result[:, :, 3], views[:, :, 3])
    assert torch.equal(result[:, 0, :3, 32, 32], result[:, 1, :3, 32, 32])
    colours, before = result[:, 0, :3, 32, 32].sort(dim=1).values, torch.tensor([0.2, 0.5, 0.9])
    assert ((colours - before).abs() <= 0.2 * before + 1e-6).all() and result.max() <= 1.0
    assert len(result[:, 0, :3, 32, 32].unique(dim=0)) == 8


def test_jitter_moves_each_view_a_little() -> None:
    views = boxes(20, 20).expand(6, -1, -1, -1, -1)
    result = jittered(views, 0.05, Draws(0, range(6)))
    places = torch.stack([(view[3] > 0.5).nonzero().float().mean(dim=0) for view in result.flatten(0, 1)])
    assert len(places.round().unique(dim=0)) > 6
    # Five hundredths of 64 pixels, and the same share of the distance from the middle.
    assert (places - 31.5).abs().max() <= 64 * 0.05 * 1.05 + 0.5
    assert all(abs(side_of(view) - 20) <= 2 for view in result.flatten(0, 1))
    assert torch.equal(jittered(boxes(0), 0.05, Draws(0, [0])), boxes(0))
