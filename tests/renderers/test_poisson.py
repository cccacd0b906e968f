"""Blending by differences."""

import numpy as np
import pytest

from framework.renderers.poisson import poisson_blend

RANDOM = np.random.default_rng(0)


def test_a_constant_offset_vanishes() -> None:
    target = RANDOM.random((12, 9, 2))
    np.testing.assert_allclose(poisson_blend(target + 5.0, target, np.ones((12, 9), bool)), target, atol=1e-12)


def test_details_come_from_the_source_and_the_rest_from_the_target() -> None:
    source, target = RANDOM.random((16, 16, 1)), RANDOM.random((16, 16, 1))
    mask = np.zeros((16, 16), bool)
    mask[4:11, 0:9] = True
    result = poisson_blend(source, target, mask)
    inside = mask.copy()
    inside[:, 0] = False  # the picture's border counts as outside
    np.testing.assert_array_equal(result[~inside], target[~inside])

    def laplacian(picture: np.ndarray) -> np.ndarray:
        return 4 * picture[1:-1, 1:-1] - picture[:-2, 1:-1] - picture[2:, 1:-1] - picture[1:-1, :-2] - picture[1:-1, 2:]

    here = inside[1:-1, 1:-1]
    np.testing.assert_allclose(laplacian(result)[here], laplacian(source)[here], atol=1e-12)


def test_an_empty_mask_changes_nothing() -> None:
    target = RANDOM.random((5, 5, 3)).astype(np.float32)
    np.testing.assert_array_equal(poisson_blend(target + 1, target, np.zeros((5, 5), bool)), target.astype(float))


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="shapes"):
        poisson_blend(np.zeros((4, 4, 3)), np.zeros((4, 5, 3)), np.ones((4, 4), bool))
