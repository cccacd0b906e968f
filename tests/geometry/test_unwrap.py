"""Surfaces laid flat."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from framework.geometry.mesh import Mesh, MeshError
from framework.geometry.unwrap import unwrap

SHAPE = trimesh.creation.annulus(0.4, 0.6, 1.0, sections=24)
MESH = Mesh(SHAPE.vertices, SHAPE.faces)


def uv_areas(mesh: Mesh) -> np.ndarray:
    assert mesh.appearance is not None
    a, b, c = np.moveaxis(mesh.appearance.uv[mesh.appearance.corners].astype(np.float64), 1, 0)
    (x, y), (z, w) = (b - a).T, (c - a).T
    return 0.5 * np.abs(x * w - y * z)


def test_every_face_gets_its_share_of_the_picture() -> None:
    pytest.importorskip("xatlas", reason="needs the extra 'mesh'")
    flat = unwrap(MESH, resolution=256)
    np.testing.assert_array_equal(flat.faces, MESH.faces)
    np.testing.assert_array_equal(flat.vertices, MESH.vertices)
    assert flat.is_watertight  # seams are seams of the coordinates only
    assert flat.appearance is not None
    assert 0 <= flat.appearance.uv.min() <= flat.appearance.uv.max() <= 1
    shares = uv_areas(flat) / MESH.face_areas
    assert shares.min() > 0.3 * shares.max()  # little is stretched
    assert 0.4 < uv_areas(flat).sum() < 1.0  # little is wasted


def test_doubled_vertices_are_no_seams() -> None:
    pytest.importorskip("xatlas", reason="needs the extra 'mesh'")
    soup = Mesh(MESH.triangles.reshape(-1, 3), np.arange(len(MESH.faces) * 3).reshape(-1, 3))
    flat, reference = unwrap(soup, 256), unwrap(MESH, 256)
    assert flat.appearance is not None and reference.appearance is not None
    assert len(flat.appearance.uv) == len(reference.appearance.uv) < len(soup.vertices) / 2
    np.testing.assert_allclose(uv_areas(flat), uv_areas(reference), rtol=0.05, atol=1e-6)


def test_faces_without_area_do_no_harm() -> None:
    pytest.importorskip("xatlas", reason="needs the extra 'mesh'")
    line = np.array([[0, 0, 1], [2, 2, 2]])
    flat = unwrap(replace(MESH, faces=np.concatenate([MESH.faces, line])), 256)
    assert flat.appearance is not None
    assert len(flat.appearance.corners) == len(MESH.faces) + 2
    with pytest.raises(MeshError, match="no area"):
        unwrap(replace(MESH, faces=line))
