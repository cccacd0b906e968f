"""Runner of the mesh files of both stages: they are written by our writers and read back."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from framework.export.glb import glb_bytes
from framework.export.mesh_files import load_mesh, save_mesh
from framework.geometry.appearance import Material, uniform_appearance
from framework.geometry.mesh import Mesh
from tests.parity.fixture import Fixture, FixtureError

_EXPORT_FROM_FIELD = np.array([[0.0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
_HALF_TURN = np.diag([-1.0, 1.0, -1.0, 1.0])
_MIRROR = np.diag([1.0, 1.0, -1.0, 1.0])
_TYPES = {5126: np.float32, 5125: np.uint32, 5123: np.uint16, 5121: np.uint8}
_COMPONENTS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}


def mesh_files(fixture: Fixture) -> dict[str, Any]:
    """Family mesh_files: OBJ (mirrored, as published) and GLB of the field's mesh, and the refined GLB's accessors.

    Inputs are `mesh_vertices`, `mesh_faces` and `colours` (an expression, or stored); `config.glb_material` is the
    refined file's material and `glb_color` the type of its colours.
    """
    colors = np.asarray(fixture.input("colours"), np.float32)
    field = Mesh(
        fixture.input("mesh_vertices"), fixture.input("mesh_faces"), vertex_colors=np.floor(colors * 255) / 255
    )
    shown = field.transformed(_EXPORT_FROM_FIELD)
    refined = Mesh(field.vertices, field.faces, vertex_colors=colors).transformed(_HALF_TURN)
    with TemporaryDirectory() as folder:
        obj = load_mesh(save_mesh(shown.transformed(_MIRROR), Path(folder) / "a.obj"))
        glb = load_mesh(save_mesh(shown.transformed(_HALF_TURN), Path(folder) / "a.glb"))
    return _refined(fixture, refined) | {
        "obj_positions": obj.vertices,
        "obj_faces": obj.faces,
        "obj_colors": _bytes(obj),
        "glb_positions": glb.vertices,
        "glb_faces": glb.faces,
        "glb_colors": _bytes(glb),
    }


def _refined(fixture: Fixture, mesh: Mesh) -> dict[str, Any]:
    """Positions, colours and indices as they lie in the file; FixtureError where its material is another."""
    used = mesh.subset(np.ones(len(mesh.faces), dtype=bool))
    stated = fixture.config.get("glb_material") or {}
    material = Material(
        metallic=stated.get("metallicFactor", 0.0),
        roughness=stated.get("roughnessFactor", 1.0),
        base_color=tuple(map(float, stated.get("baseColorFactor", (1, 1, 1, 1)))),
        double_sided=stated.get("doubleSided", True),
    )
    looks = uniform_appearance(material, len(used.faces))
    small = (fixture.config.get("glb_color") or {}).get("dtype", "uint8") == "uint8"
    content = glb_bytes({"mesh": Mesh(used.vertices, used.faces, used.vertex_colors, appearance=looks)}, small)
    header, binary = _chunks(content)
    _check_material(header["materials"][0], stated)
    primitive = header["meshes"][0]["primitives"][0]
    numbers = primitive["attributes"]["POSITION"], primitive["attributes"]["COLOR_0"], primitive["indices"]
    names = ("refined_positions", "refined_colors", "refined_indices")
    return {name: _rows(header, binary, number) for name, number in zip(names, numbers, strict=True)}


def _chunks(content: bytes) -> tuple[dict[str, Any], bytes]:
    length = struct.unpack("<I", content[12:16])[0]
    return json.loads(content[20 : 20 + length]), content[28 + length :]


def _rows(header: dict[str, Any], binary: bytes, number: int) -> np.ndarray:
    accessor = header["accessors"][number]
    view = header["bufferViews"][accessor["bufferView"]]
    block = binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
    rows = np.frombuffer(block, _TYPES[accessor["componentType"]])
    return rows.reshape(accessor["count"], _COMPONENTS[accessor["type"]])


def _check_material(written: dict[str, Any], stated: dict[str, Any]) -> None:
    """Compare with the standard's values for what a file leaves out."""
    surface = {"baseColorFactor": [1, 1, 1, 1], "metallicFactor": 1, "roughnessFactor": 1}
    surface |= written["pbrMetallicRoughness"]
    rest = {"emissiveFactor": [0, 0, 0], "doubleSided": False} | written
    for name, value in stated.items():
        found = surface.get(name, rest.get(name))
        if found != value:
            raise FixtureError(f"the material's {name} is written as {found}, expected {value}")


def _bytes(mesh: Mesh) -> np.ndarray:
    assert mesh.vertex_colors is not None
    rgba = np.ones((len(mesh.vertices), 4), np.float32)
    rgba[:, : mesh.vertex_colors.shape[1]] = mesh.vertex_colors
    return np.round(rgba * 255).astype(np.int64)
