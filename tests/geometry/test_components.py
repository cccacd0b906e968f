"""Connected parts."""

import numpy as np

from framework.geometry.components import component_labels, largest_component
from framework.geometry.mesh import Mesh, concatenate

SINGLE = Mesh(np.array([[5, 5, 5], [9, 5, 5], [5, 9, 5]]), np.array([[0, 1, 2]]))
STRIP = Mesh(
    np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 2, 0]]),
    np.array([[0, 1, 2], [1, 3, 2], [2, 3, 4]]),
    vertex_colors=np.linspace(0, 1, 15).reshape(5, 3),
)


def test_the_part_with_most_faces_stays_with_its_colours() -> None:
    both = concatenate([SINGLE, STRIP])
    assert component_labels(both).tolist() == [0, 1, 1, 1]
    part = largest_component(both)
    np.testing.assert_array_equal(part.triangles, STRIP.triangles)
    assert part.vertex_colors is not None
    assert STRIP.vertex_colors is not None
    np.testing.assert_allclose(part.vertex_colors[:, :3], STRIP.vertex_colors)


def test_seams_do_not_separate() -> None:
    soup = Mesh(STRIP.triangles.reshape(-1, 3), np.arange(9).reshape(3, 3))
    assert len(largest_component(soup).faces) == 3


def test_a_single_part_is_kept_whole() -> None:
    assert len(largest_component(STRIP).faces) == 3
