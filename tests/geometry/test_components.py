"""Connected parts."""

import numpy as np
import pytest

from framework.geometry.components import component_labels, large_components, largest_component
from framework.geometry.mesh import Mesh, MeshError, concatenate

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


def test_parts_with_few_vertices_go() -> None:
    both = concatenate([SINGLE, STRIP])
    assert len(large_components(both, 3).faces) == 4
    np.testing.assert_array_equal(large_components(both, 4).triangles, STRIP.triangles)
    soup = Mesh(STRIP.triangles.reshape(-1, 3), np.arange(9).reshape(3, 3))
    assert len(large_components(soup, 5).faces) == 3
    with pytest.raises(MeshError, match="the largest of 2 parts has 5 vertices, fewer than the 6"):
        large_components(both, 6)
