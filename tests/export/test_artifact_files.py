"""Artifacts under their plain names in a case folder."""

from pathlib import Path

import numpy as np
import pytest

from framework.artifacts.errors import ArtifactError
from framework.artifacts.image import Image
from framework.artifacts.latent_set import LatentSet
from framework.artifacts.layered_mesh import LayeredMesh
from framework.artifacts.multi_view import MultiView
from framework.artifacts.video import Video
from framework.export.artifact_files import find_artifact, load_artifact, save_artifact
from framework.geometry.mesh import Mesh

IMAGE = Image(np.zeros((2, 2, 3), np.float32))
TRIANGLE = Mesh(vertices=np.eye(3, dtype=np.float32), faces=np.array([[0, 1, 2]]))


@pytest.mark.parametrize(
    ("value", "file"),
    [
        (IMAGE, "thing.png"),
        (TRIANGLE, "thing.glb"),
        (LayeredMesh({"only": TRIANGLE}), "thing.layers.glb"),
        (LatentSet(np.zeros((2, 3))), "thing.safetensors"),
        (MultiView({"front": IMAGE}), "thing"),
        (Video(b"\0\0\0\x20ftypisom"), "thing.mp4"),
        (Video(b"GIF89a", ".gif"), "thing.gif"),
    ],
)
def test_type_and_file_belong_together(tmp_path: Path, value: object, file: str) -> None:
    assert find_artifact(tmp_path, "thing") is None
    assert save_artifact(value, tmp_path, "thing") == tmp_path / file
    assert find_artifact(tmp_path, "thing") == tmp_path / file
    assert type(load_artifact(tmp_path, "thing")) is type(value)


def test_a_mesh_keeps_its_shape_and_colours(tmp_path: Path) -> None:
    mesh = Mesh(vertices=TRIANGLE.vertices, faces=TRIANGLE.faces, vertex_colors=np.eye(3))
    save_artifact(mesh, tmp_path, "mesh")
    loaded = load_artifact(tmp_path, "mesh")
    assert np.array_equal(loaded.vertices, mesh.vertices)
    assert np.array_equal(loaded.faces, mesh.faces)
    assert np.allclose(loaded.vertex_colors[:, :3], mesh.vertex_colors, atol=1 / 255)


def test_unknown_types_and_missing_artifacts_are_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="'thing' is a dict"):
        save_artifact({}, tmp_path, "thing")
    with pytest.raises(ArtifactError, match="no artifact 'thing'"):
        load_artifact(tmp_path, "thing")
