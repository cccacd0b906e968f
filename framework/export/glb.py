"""A mesh as one binary glTF 2.0 file, written directly.

trimesh's writer stores vertex colours in 8 bits without the linear light that glTF asks for, and no material, which
viewers show as dark metal. Here colours are float32 and linear and the material is a matt dielectric, so the file looks
the same in Blender and web viewers as in our previews, and reading it back loses nothing.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import torch

from framework.geometry.mesh import Mesh
from framework.renderers.shading import linear_from_srgb

_FLOAT, _UNSIGNED_INT = 5126, 5125  # component types
_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963  # buffer targets
_JSON_CHUNK, _BINARY_CHUNK = 0x4E4F534A, 0x004E4942


def glb_bytes(mesh: Mesh, name: str = "mesh") -> bytes:
    """The file's content: one node called `name`, +Y up, normals and colours if the mesh has them."""
    arrays = _Arrays()
    attributes = {"POSITION": arrays.add(mesh.vertices, with_range=True)}
    if mesh.vertex_normals is not None:
        attributes["NORMAL"] = arrays.add(_unit_normals(mesh.vertex_normals))
    if mesh.vertex_colors is not None:
        attributes["COLOR_0"] = arrays.add(_linear_colors(mesh.vertex_colors))
    indices = arrays.add(mesh.faces.astype(np.uint32))
    header = {
        "asset": {"version": "2.0", "generator": "Atelier3D"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": name}],
        "meshes": [{"name": name, "primitives": [{"attributes": attributes, "indices": indices, "material": 0}]}],
        "materials": [_material(mesh)],
        "accessors": arrays.accessors,
        "bufferViews": arrays.views,
        "buffers": [{"byteLength": arrays.length}],
    }
    return _container(json.dumps(header, separators=(",", ":")).encode(), b"".join(arrays.blocks))


class _Arrays:
    """The binary chunk under construction and the JSON entries that describe it."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = []
        self.views: list[dict[str, int]] = []
        self.accessors: list[dict[str, Any]] = []
        self.length = 0

    def add(self, array: np.ndarray, with_range: bool = False) -> int:
        """Append float32 rows or uint32 face corners (both four-byte aligned) and return the accessor's number."""
        is_index = array.dtype == np.uint32
        block = np.ascontiguousarray(array).tobytes()
        target = _ELEMENT_ARRAY_BUFFER if is_index else _ARRAY_BUFFER
        self.views.append({"buffer": 0, "byteOffset": self.length, "byteLength": len(block), "target": target})
        accessor: dict[str, Any] = {
            "bufferView": len(self.views) - 1,
            "componentType": _UNSIGNED_INT if is_index else _FLOAT,
            "count": array.size if is_index else len(array),
            "type": "SCALAR" if is_index else f"VEC{array.shape[1]}",
        }
        if with_range:
            accessor |= {"min": array.min(axis=0).tolist(), "max": array.max(axis=0).tolist()}
        self.blocks.append(block)
        self.accessors.append(accessor)
        self.length += len(block)
        return len(self.accessors) - 1


def _container(header: bytes, binary: bytes) -> bytes:
    """The two chunks of a GLB file; the JSON is padded to four bytes with spaces as the standard asks."""
    header += b" " * (-len(header) % 4)
    chunks = [(_JSON_CHUNK, header), (_BINARY_CHUNK, binary)]
    body = b"".join(struct.pack("<II", len(data), kind) + data for kind, data in chunks)
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def _material(mesh: Mesh) -> dict[str, Any]:
    material: dict[str, Any] = {
        "name": "surface",
        "pbrMetallicRoughness": {"metallicFactor": 0, "roughnessFactor": 0.8},
    }
    if not mesh.is_watertight:
        material["doubleSided"] = True
    if mesh.vertex_colors is not None and mesh.vertex_colors.shape[1] == 4 and mesh.vertex_colors[:, 3].min() < 1.0:
        material["alphaMode"] = "BLEND"
    return material


def _unit_normals(normals: np.ndarray) -> np.ndarray:
    """Unit length, which the standard demands; undefined (zero) normals point up."""
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    up = np.array([0.0, 1.0, 0.0], dtype=np.float32)
    return np.where(lengths > 0.0, normals / np.maximum(lengths, 1e-20), up).astype(np.float32)


def _linear_colors(colors: np.ndarray) -> np.ndarray:
    return np.concatenate([linear_from_srgb(torch.from_numpy(colors[:, :3])).numpy(), colors[:, 3:]], axis=1)
