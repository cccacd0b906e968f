"""Random numbers follow from an item's place in the training, whatever the batch it comes in."""

from __future__ import annotations

import torch

from framework.systems.draws import Draws
from framework.testing.tiny import TinyConfig, TinySystem


def test_an_item_gets_its_numbers_in_any_company() -> None:
    together, alone = Draws(5, [3, 7, 8], step=1), Draws(5, [7])
    for _ in range(2):  # and so on, draw after draw
        assert torch.equal(together.normal(2, 3)[1], alone.normal(2, 3)[0])
        assert torch.equal(together.uniform()[1], alone.uniform()[0])


def test_items_seeds_and_draws_differ() -> None:
    draws = Draws(5, [3, 7])
    rows = [*draws.normal(8), *draws.normal(8), *Draws(6, [3, 7]).normal(8)]
    assert len(torch.stack(rows).unique(dim=0)) == 6


def test_uniform_and_normal_numbers_are_what_they_are_called() -> None:
    draws = Draws(0, range(200))
    uniform, normal = draws.uniform(50), draws.normal(50)
    assert uniform.shape == normal.shape == (200, 50)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert abs(float(uniform.mean()) - 0.5) < 0.02
    assert abs(float(normal.mean())) < 0.05
    assert abs(float(normal.std()) - 1) < 0.05
    assert abs(float(uniform[:, 0].mean()) - 0.5) < 0.1  # also over the items


def test_what_is_shared_follows_from_the_step() -> None:
    first, second, later = (
        torch.rand(4, generator=Draws(5, items, step=step).shared) for items, step in (([1], 2), ([4], 2), ([1], 3))
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, later)


def test_the_pieces_of_a_batch_draw_what_the_batch_draws() -> None:
    system = TinySystem(TinyConfig())
    system.begin_batch(seed=1, number=3, step=3)
    whole = system.draws(4).normal(5)
    pieces = []
    for number in (6, 7):
        system.begin_batch(seed=1, number=number, step=3)
        pieces.append(system.draws(2).normal(5))
    assert torch.equal(torch.cat(pieces), whole)


def test_outside_of_a_training_torch_decides() -> None:
    system = TinySystem(TinyConfig())
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(system.draws(2).normal(3))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
