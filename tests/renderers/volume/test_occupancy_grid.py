from __future__ import annotations

import pytest
import torch
from torch import Tensor

from framework.geometry.camera import Camera, orbit
from framework.renderers.volume.occupancy_grid import (
    OccupancyGrid,
    all_cells,
    cell_centres,
    chosen_cells,
    from_morton_order,
    in_morton_order,
    mean_density,
    morton_codes,
    new_grid,
    packed_bits,
    unpacked_bits,
    updated,
    with_unseen,
)


def ball(points: Tensor) -> Tensor:
    return torch.where(points.norm(dim=-1) < 0.5, 20.0, 0.0)


def middle_of(cells: Tensor) -> Tensor:
    return torch.full((len(cells), 3), 0.5)


def test_one_look_finds_the_cells_with_matter() -> None:
    grid = new_grid(16)
    grid = updated(grid, ball, middle_of(all_cells(grid)))
    centres = cell_centres(all_cells(grid), 16)
    assert torch.equal(grid.occupied.reshape(-1), centres.norm(dim=-1) < 0.5)


def test_places_stay_in_their_cells() -> None:
    places: list[Tensor] = []

    def query(points: Tensor) -> Tensor:
        places.append(points)
        return points[:, 0].clamp(min=0)

    cells = all_cells(new_grid(4))
    for share in (0.0, 0.25, 1.0):
        updated(new_grid(4), query, torch.full((64, 3), share))
    low, middle, high = places
    torch.testing.assert_close(low, -1 + cells * 0.5)
    torch.testing.assert_close(middle, low + 0.125)
    torch.testing.assert_close(high, low + 0.5)


def test_densities_decay_but_for_what_is_seen_again() -> None:
    cells = all_cells(new_grid(2))
    first = updated(new_grid(2), lambda points: points[:, 0] + 1, middle_of(cells))
    second = updated(first, lambda points: torch.ones(len(points)), middle_of(cells), decay=0.5)
    assert first.density[:, 0, 0].tolist() == [0.5, 1.5]
    assert second.density[:, 0, 0].tolist() == [1.0, 1.0]
    third = updated(second, lambda points: torch.zeros(len(points)), middle_of(cells[:1]), cells[:1], decay=0.5)
    assert third.density.flatten().tolist() == [0.5] + [1.0] * 7


def test_the_threshold_is_the_mean_or_the_given_most() -> None:
    cells = all_cells(new_grid(2))
    values = torch.arange(8.0)
    by_mean = updated(new_grid(2), lambda points: values, middle_of(cells))
    assert mean_density(by_mean).item() == 3.5
    assert by_mean.occupied.flatten().tolist() == [False] * 4 + [True] * 4
    by_most = updated(new_grid(2), lambda points: values, middle_of(cells), most=1.5)
    assert by_most.occupied.flatten().tolist() == [False] * 2 + [True] * 6


def test_cells_outside_every_picture_stay_empty() -> None:
    camera = Camera.perspective(orbit([0.0], 0.0, 3.0), 0.3)
    grid = with_unseen(new_grid(16), camera)
    unseen = grid.density == -1
    assert 0 < unseen.sum() < unseen.numel()
    assert not unseen[7:9, 7:9].any()  # the line of sight, from front to back
    assert unseen[0].all() and unseen[-1].all()  # the sides
    full = updated(grid, lambda points: torch.ones(len(points)), middle_of(all_cells(grid)))
    assert bool((full.density[unseen] == -1).all()) and not bool(full.occupied[unseen].any())
    behind = Camera.perspective(orbit([0.0], 0.0, 3.0) @ torch.diag(torch.tensor([-1.0, 1.0, -1.0, 1.0])), 0.3)
    assert bool((with_unseen(new_grid(4), behind).density == -1).all())
    with pytest.raises(ValueError, match="perspective"):
        with_unseen(grid, Camera.orthographic(orbit([0.0], 0.0, 3.0), 1.0))


def test_cheap_updates_choose_some_cells_and_those_with_density() -> None:
    generator = torch.Generator().manual_seed(0)
    nothing = new_grid(8)
    cells = chosen_cells(nothing, generator)
    assert 60 < len(cells) <= 128
    density = torch.zeros(8, 8, 8)
    density[1, 2, 3] = 5.0
    some = chosen_cells(OccupancyGrid(density, density > 1), generator)
    assert [1, 2, 3] in some.tolist()
    assert len(some.unique(dim=0)) == len(some)
    updated(nothing, ball, middle_of(cells), cells)


def test_morton_codes_interleave_bits() -> None:
    assert morton_codes(torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [2, 0, 0], [3, 3, 3]])).tolist() == [
        1,
        2,
        4,
        8,
        63,
    ]
    assert morton_codes(torch.tensor([2**20 - 1] * 3)).item() == 2**60 - 1


def test_orders_and_bits_go_back_and_forth() -> None:
    values = torch.arange(512.0).view(8, 8, 8)
    ordered = in_morton_order(values)
    assert ordered[:3].tolist() == [0.0, 64.0, 8.0]  # x, then y
    assert torch.equal(from_morton_order(ordered), values)
    occupied = torch.rand(8, 8, 8, generator=torch.Generator().manual_seed(0)) > 0.6
    assert torch.equal(unpacked_bits(packed_bits(occupied)), occupied)
    one = torch.zeros(2, 2, 2, dtype=torch.bool)
    one[0, 1, 0] = True
    assert packed_bits(one).tolist() == [4]


def test_what_makes_no_sense_is_an_error() -> None:
    grid = new_grid(4)
    noise = middle_of(all_cells(grid))
    for call, message in (
        (lambda: new_grid(0), "at least 1"),
        (lambda: OccupancyGrid(torch.zeros(2, 2, 3), torch.zeros(2, 2, 3, dtype=torch.bool)), r"\(G, G, G\)"),
        (lambda: OccupancyGrid(torch.zeros(2, 2, 2), torch.zeros(2, 2, 2)), "must be bool"),
        (lambda: updated(grid, ball, noise[:5]), "noise of shape"),
        (lambda: updated(grid, lambda points: points, noise), "expected"),
        (lambda: updated(grid, lambda points: points[:, 0] * torch.nan, noise), "NaN"),
        (lambda: in_morton_order(torch.zeros(3, 3, 3)), "2\\^k cells"),
        (lambda: from_morton_order(torch.zeros(9)), "no cube"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
