"""Augmentation: nothing where it is not taken, known changes, second derivatives, and the rule of its strength."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from framework.config.errors import ConfigError
from framework.systems.draws import Draws
from methods.stylesdf.augmentation import CUT, NUMBERS, WHOLE_SHIFT, augment, moves, next_strength, tints
from methods.stylesdf.config import AugmentConfig

ALL = AugmentConfig(target=0.6)
GATES = {"whole": 0, "move": 3, "size": 6, "turn": 8, "cut": 10, "bright": 13, "contrast": 15, "vivid": 17, "hue": 19}
"""Column of the number that decides whether a transformation is taken."""


def pictures(count: int = 3, height: int = 16, width: int = 16, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return 2 * torch.rand(count, 3, height, width, generator=generator, dtype=dtype) - 1


def drawn(count: int = 3, first: int = 0) -> Tensor:
    return Draws(0, range(first, first + count)).uniform(NUMBERS)


def only(*names: str, count: int = 3, **columns: float) -> Tensor:
    """Numbers that take the named transformations at strength 0.5, with the middle of every range but `c<column>`."""
    numbers = torch.full((count, NUMBERS), 0.5)
    for name, column in GATES.items():
        numbers[:, column] = 0.1 if name in names else 0.9
    for column, value in columns.items():
        numbers[:, int(column[1:])] = value
    return numbers


def test_at_strength_zero_pictures_stay_as_they_are() -> None:
    images = pictures()
    assert torch.equal(augment(images, torch.zeros(3, NUMBERS), 0.0, ALL), images)


def test_what_is_not_taken_changes_nothing() -> None:
    images, numbers = pictures(64), drawn(64)
    changed = augment(images, numbers, 0.05, ALL)
    untouched = (numbers[:, list(GATES.values())] >= 0.05).all(dim=1)
    assert 0 < untouched.sum() < 64
    assert torch.equal(changed[untouched], images[untouched])
    taken = (numbers[:, list(GATES.values())[1:]] < 0.05).any(dim=1)  # a move by whole pixels may be one by none
    assert all(not torch.equal(one, other) for one, other in zip(changed[taken], images[taken], strict=True))


@pytest.mark.parametrize("name", GATES)
def test_the_middle_of_a_range_is_no_change(name: str) -> None:
    """Each transformation by itself; a square that is cut out has no middle."""
    images = pictures()
    changed = augment(images, only(name), 0.5, ALL)
    if name == "cut":
        expected = images.clone()
        expected[..., 4:12, 4:12] = 0.0
        assert torch.equal(changed, expected)
    else:
        torch.testing.assert_close(changed, images, rtol=0, atol=1e-6)


def test_the_share_of_pictures_follows_from_the_strength() -> None:
    numbers = drawn(4000)
    for strength in (0.1, 0.7):
        for change in (moves(numbers, strength, (8, 8)), tints(numbers, strength)):
            assert float(change.taken.float().mean()) == pytest.approx(1 - (1 - strength) ** 4, abs=0.03)


def test_moves_by_whole_pixels_are_exact_and_mirror_the_border() -> None:
    images = pictures(height=32, width=64)
    right, down = round(WHOLE_SHIFT * 64), round(WHOLE_SHIFT * 32)
    changed = augment(images, only("whole", c1=0.0, c2=1.0), 0.5, ALL)  # the result shows what lies left and below
    expected = torch.cat([images[..., :right].flip(3), images[..., :-right]], dim=3)
    expected = torch.cat([expected[:, :, down:], expected[:, :, -down:].flip(2)], dim=2)
    assert torch.equal(changed, expected)


def test_a_ramp_is_moved_scaled_and_turned_as_said() -> None:
    """Its values say where each pixel came from."""
    side = 33
    line = torch.arange(side, dtype=torch.float32) - 16
    ramps = torch.stack([line.expand(side, side), line[:, None].expand(side, side), torch.zeros(side, side)])[None]
    numbers = only("move", "size", "turn", count=1, c4=0.8, c5=0.3, c7=0.9, c9=0.95)
    change = moves(numbers, 0.5, (side, side))
    changed = augment(ramps, numbers, 0.5, ALL)[0, :2]
    for row, column in ((16, 16), (12, 20), (20, 11)):
        expected = change.turn[0] @ torch.tensor([column - 16.0, row - 16.0]) + change.shift[0]
        torch.testing.assert_close(changed[:, row, column], expected, rtol=1e-4, atol=1e-4)
    assert float(torch.linalg.det(change.turn[0])) == pytest.approx(2 ** (2 * 0.8 * 0.35), rel=1e-5)


def test_colours() -> None:
    grey = torch.full((1, 3, 4, 4), 0.2)
    red = torch.tensor([0.8, -0.1, -0.1]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    vivid = augment(grey, only("vivid", "hue", count=1, c18=0.9, c20=0.8), 0.5, ALL)
    torch.testing.assert_close(vivid, grey)
    third = augment(red, only("hue", count=1, c20=0.5 + 1 / 3), 0.5, ALL)
    torch.testing.assert_close(third[0, :, 0, 0], torch.tensor([-0.1, 0.8, -0.1]))
    pale = augment(red, only("vivid", count=1, c18=0.0), 0.5, ALL)
    torch.testing.assert_close(pale.mean(dim=1), red.mean(dim=1))
    assert pale.std(dim=1).max() < 0.5 * red.std(dim=1).max()
    strong = augment(red, only("contrast", "bright", count=1, c16=1.0, c14=1.0), 0.5, ALL)
    torch.testing.assert_close(strong, red * 2**0.85 + 0.35)


def test_a_cut_at_a_corner_is_a_quarter() -> None:
    changed = augment(torch.ones(1, 3, 8, 8), only("cut", count=1, c11=0.0, c12=1.0), 0.5, ALL)
    reach = round(8 * CUT / 2)
    assert torch.equal(changed[0, 0] == 0, torch.arange(8)[:, None].ge(8 - reach) & torch.arange(8)[None].lt(reach))


def test_groups_can_be_turned_off() -> None:
    images, numbers = pictures(), torch.full((3, NUMBERS), 0.2)
    assert torch.equal(augment(images, numbers, 1.0, AugmentConfig(color=False, geometry=False)), images)
    tinted = augment(images, numbers, 1.0, AugmentConfig(geometry=False))
    change = tints(numbers, 1.0)
    expected = torch.einsum("bij,bjhw->bihw", change.matrix, images) + change.offset[:, None, None, None]
    torch.testing.assert_close(tinted, expected)
    assert (augment(images, numbers, 1.0, AugmentConfig(color=False)) == 0).any()


def test_pictures_do_not_depend_on_their_neighbours() -> None:
    images, numbers = pictures(6), drawn(6)
    whole = augment(images, numbers, 0.8, ALL)
    torch.testing.assert_close(augment(images[2:4], numbers[2:4], 0.8, ALL), whole[2:4])


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_gradients_of_gradients(strength: float) -> None:
    images = pictures(2, 6, 5, torch.float64).requires_grad_()
    numbers = drawn(2, first=7)

    def squared(given: Tensor) -> Tensor:
        return augment(given, numbers, strength, ALL).square().sum(dim=(2, 3))

    assert torch.autograd.gradcheck(squared, images)
    assert torch.autograd.gradgradcheck(squared, images)


def test_a_gradient_penalty_goes_through() -> None:
    """As R1 does: the squared gradient at the pictures before augmentation, differentiated for the weights."""
    images, numbers = pictures().requires_grad_(), drawn()
    network = torch.nn.Conv2d(3, 1, 3)
    score = network(augment(images, numbers, 0.9, ALL)).square().sum()
    (gradient,) = torch.autograd.grad(score, images, create_graph=True)
    gradient.square().sum().backward()
    assert network.weight.grad is not None and network.weight.grad.abs().sum() > 0


def test_numbers_of_another_count_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected numbers \(3, 21\), got \(2, 21\)"):
        augment(pictures(), drawn(2), 0.5, ALL)


@pytest.mark.parametrize(("options", "place"), [({"target": 1.0}, "target"), ({"images": 0}, "images")])
def test_options_out_of_range_are_refused(options: dict[str, float], place: str) -> None:
    with pytest.raises(ConfigError, match=f"^{place}: is"):
        AugmentConfig(**options)  # type: ignore[arg-type]


def test_the_strength_goes_towards_the_target() -> None:
    config = AugmentConfig(target=0.6, images=1000)
    assert next_strength(0.3, 0.9, 10, config) == pytest.approx(0.31)
    assert next_strength(0.3, 0.1, 10, config) == pytest.approx(0.29)
    assert next_strength(0.3, 0.6, 10, config) == 0.3
    assert next_strength(0.995, 1.0, 10, config) == 1.0
    assert next_strength(0.005, -1.0, 10, config) == 0.0
    assert next_strength(0.3, 0.9, 10, AugmentConfig(target=0.0)) == 0.0
