"""Materials and texture coordinates: checked on construction, kept by what meshes go through."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from framework.geometry.appearance import Appearance, Material, uniform_appearance
from framework.geometry.mesh import Mesh, MeshError, concatenate

PICTURE = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
PAINTED, PLAIN = Material("painted", base_color_picture=PICTURE), Material("plain", metallic=1.0)
LOOKS = Appearance(
    [PAINTED, PLAIN],
    np.array([0, 0, 1, 0]),
    np.random.default_rng(0).random((6, 2)),
    np.array([[0, 1, 2], [2, 3, 4], [0, 0, 0], [5, 1, 4]]),
)
MESH = Mesh(
    np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]]),
    np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
    appearance=LOOKS,
)


def corner_table(mesh: Mesh) -> list[tuple[Any, ...]]:
    """What lies at each face, whatever the numbering and the order of corners within it."""
    looks = mesh.appearance
    assert looks is not None
    table = []
    for face, corners, material in zip(mesh.faces, looks.corners, looks.face_material, strict=True):
        pairs = [(*mesh.vertices[v].tolist(), *looks.uv[t].tolist()) for v, t in zip(face, corners, strict=True)]
        table.append((looks.materials[material].name, *sorted(pairs)))
    return table


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"materials": []}, "at least one material"),
        ({"face_material": np.array([0, 0, 2, 0])}, r"outside 0\.\.1"),
        ({"face_material": np.array([0, -1, 1, 0])}, r"outside 0\.\.1"),
        ({"uv": np.full((6, 2), np.nan)}, "NaN"),
        ({"uv": np.zeros((6, 3))}, r"expected shape \(N, 2\)"),
        ({"uv_faces": LOOKS.corners + 3}, "don't fit the 6"),
        ({"uv_faces": LOOKS.corners[:3]}, "for 3 faces"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MeshError, match=message):
        replace(LOOKS, **changes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"roughness": 1.5}, r"must lie in \[0, 1\]"),
        ({"base_color": (1.0, 0.0, float("nan"), 1.0)}, r"must lie in \[0, 1\]"),
        ({"base_color_picture": PICTURE / 255}, "base_color_picture: expected uint8"),
        ({"normal_picture": np.zeros((2, 2, 4), np.uint8)}, r"\(H, W, 3\)"),
        ({"base_color_picture": np.zeros((0, 2, 3), np.uint8)}, "expected uint8"),
    ],
)
def test_materials_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MeshError, match=message):
        Material("bad", **options)


def test_a_mesh_refuses_the_appearance_of_another() -> None:
    with pytest.raises(MeshError, match="tells of 2 faces, the mesh has 4"):
        replace(MESH, appearance=uniform_appearance(PLAIN, 2))


def test_texture_coordinates_stay_with_their_corners() -> None:
    expected = corner_table(MESH)
    assert corner_table(MESH.flipped()) == expected
    mirrored = MESH.transformed(np.diag([-1.0, 1, 1, 1])).transformed(np.diag([-1.0, 1, 1, 1]))
    assert corner_table(mirrored) == expected
    doubled = replace(MESH, vertices=MESH.triangles.reshape(-1, 3), faces=np.arange(12).reshape(4, 3))
    assert sorted(corner_table(doubled.welded())) == sorted(expected)
    assert len(doubled.welded().vertices) == 4


def test_a_subset_drops_what_it_does_not_use() -> None:
    part = MESH.subset(np.array([True, False, False, True]))
    assert corner_table(part) == [corner_table(MESH)[0], corner_table(MESH)[3]]
    assert part.appearance is not None
    assert part.appearance.materials == (PAINTED,)
    assert len(part.appearance.uv) == 5


def test_joined_meshes_share_their_materials() -> None:
    bare = Mesh(MESH.vertices, MESH.faces)
    both = concatenate([MESH, bare, MESH])
    assert both.appearance is not None
    assert [material.name for material in both.appearance.materials] == ["painted", "plain", "surface"]
    table = corner_table(both)
    assert table[:4] == table[8:] == corner_table(MESH)
    assert [row[0] for row in table[4:8]] == ["surface"] * 4
    assert concatenate([bare, bare]).appearance is None


def test_welded_faces_name_vertices_of_the_mesh() -> None:
    doubled = Mesh(MESH.triangles.reshape(-1, 3), np.arange(12).reshape(4, 3))
    joined = doubled.welded_faces()
    np.testing.assert_array_equal(doubled.vertices[joined], doubled.triangles)
    assert len(np.unique(joined)) == 4
