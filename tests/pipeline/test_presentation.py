"""Layered meshes are shown and saved like meshes."""

from pathlib import Path

import numpy as np

from framework.artifacts.layered_mesh import LayeredMesh
from framework.export.mesh_files import load_layers, load_mesh
from framework.geometry.mesh import Mesh
from framework.pipeline.case import Case
from framework.pipeline.loading import Result
from framework.pipeline.presentation import PREVIEW_FILE, present
from framework.renderers.torch_rasterizer import TorchRasterizer

TETRA = Mesh(
    np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]]), np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
)
LAYERS = LayeredMesh({"hair": TETRA, "body": TETRA.transformed(np.diag([2.0, 2, 2, 1]))})


def test_a_case_that_ends_with_layers_is_shown(tmp_path: Path) -> None:
    case = Case("person", tmp_path / "person")
    case.write("layers", LAYERS)
    assert present(case, "layers", TorchRasterizer(), with_turntable=False) == [PREVIEW_FILE]
    assert (case.folder / PREVIEW_FILE).is_file()
    assert present(case, "mesh", TorchRasterizer()) == []


def test_the_result_of_a_method_with_layers(tmp_path: Path) -> None:
    result = Result({"layers": LAYERS}, "layers")
    assert len(result.mesh.faces) == 8
    assert list(load_layers(result.save(tmp_path / "a.glb")).parts) == ["hair", "body"]
    assert len(load_mesh(result.save(tmp_path / "a.obj")).faces) == 8
