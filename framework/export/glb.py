"""Meshes as one binary glTF 2.0 file, written directly: one node per mesh, one primitive per material.

trimesh's writer stores vertex colours in 8 bits without the linear light that glTF asks for, and no material, which
viewers show as dark metal. Here colours are float32 and linear and the material is a matt dielectric, so the file looks
the same in Blender and web viewers as in our previews, and reading it back loses nothing.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image

from framework.geometry.appearance import Material, uniform_appearance
from framework.geometry.mesh import Mesh
from framework.renderers.shading import linear_from_srgb

_FLOAT, _UNSIGNED_INT, _UNSIGNED_BYTE = 5126, 5125, 5121  # component types
_COMPONENTS = {"float32": _FLOAT, "uint32": _UNSIGNED_INT, "uint8": _UNSIGNED_BYTE}
_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963  # buffer targets
_REPEAT, _LINEAR, _LINEAR_MIPMAP_LINEAR = 10497, 9729, 9987  # how textures are read
_JSON_CHUNK, _BINARY_CHUNK = 0x4E4F534A, 0x004E4942


def glb_bytes(parts: Mapping[str, Mesh], small_colors: bool = False) -> bytes:
    """The file's content: a node for each of the named `parts`, +Y up, with normals, colours and materials if any.

    small_colors: vertex colours in 8 bits instead of float32, as some programs expect them.
    """
    document = _Document(small_colors)
    for name, mesh in parts.items():
        document.add(name, mesh)
    return document.content()


class _Document:
    """The JSON and the binary chunk under construction."""

    def __init__(self, small_colors: bool) -> None:
        self.small_colors = small_colors
        self.blocks: list[bytes] = []
        self.length = 0
        self.pictures: dict[int, int] = {}  # identity of an array -> texture: parts may share pictures
        self.lists: dict[str, list[Any]] = {
            name: [] for name in ("nodes", "meshes", "materials", "accessors", "bufferViews", "images", "textures")
        }

    def add(self, name: str, mesh: Mesh) -> None:
        """Append `mesh` as a node."""
        appearance = mesh.appearance or uniform_appearance(Material(), len(mesh.faces))
        primitives = []
        for number in np.unique(appearance.face_material):
            material = appearance.materials[number]
            chosen = appearance.face_material == number
            part = mesh if chosen.all() and not _is_textured(material) else _with_own_vertices(mesh, chosen, material)
            primitives.append(self._primitive(part, material, self._material(material, part, mesh)))
        self._append("nodes", {"mesh": self._append("meshes", {"name": name, "primitives": primitives}), "name": name})

    def _primitive(self, mesh: Mesh, material: Material, number: int) -> dict[str, Any]:
        attributes = {"POSITION": self._rows(mesh.vertices, with_range=True)}
        if mesh.vertex_normals is not None:
            attributes["NORMAL"] = self._rows(_unit_normals(mesh.vertex_normals))
        if _is_textured(material) and mesh.appearance is not None:
            attributes["TEXCOORD_0"] = self._rows(_downward(mesh.appearance.uv))
        if mesh.vertex_colors is not None and material.base_color_picture is None:
            attributes["COLOR_0"] = self._rows(_linear_colors(mesh.vertex_colors, self.small_colors))
        return {"attributes": attributes, "indices": self._rows(mesh.faces.astype(np.uint32)), "material": number}

    def _material(self, material: Material, part: Mesh, whole: Mesh) -> int:
        surface: dict[str, Any] = {"metallicFactor": material.metallic, "roughnessFactor": material.roughness}
        if material.base_color != (1.0, 1.0, 1.0, 1.0):
            surface["baseColorFactor"] = list(material.base_color)
        entry: dict[str, Any] = {"name": material.name, "pbrMetallicRoughness": surface}
        if material.base_color_picture is not None:
            surface["baseColorTexture"] = self._texture(material.base_color_picture)
        if material.metallic_roughness_picture is not None:
            surface["metallicRoughnessTexture"] = self._texture(material.metallic_roughness_picture)
        if material.normal_picture is not None:
            entry["normalTexture"] = self._texture(material.normal_picture)
        if material.double_sided or (material.double_sided is None and not whole.is_watertight):
            entry["doubleSided"] = True
        alpha = material.alpha.upper()
        if alpha == "OPAQUE" and _has_clear_vertices(part) and material.base_color_picture is None:
            alpha = "BLEND"
        if alpha != "OPAQUE":
            entry["alphaMode"] = alpha
        return self._append("materials", entry)

    def _texture(self, picture: np.ndarray) -> dict[str, int]:
        if id(picture) not in self.pictures:
            file = io.BytesIO()
            Image.fromarray(picture).save(file, "PNG", compress_level=3)
            view = self._block(file.getvalue(), None)
            image = self._append("images", {"bufferView": view, "mimeType": "image/png"})
            self.pictures[id(picture)] = self._append("textures", {"source": image, "sampler": 0})
        return {"index": self.pictures[id(picture)]}

    def _rows(self, array: np.ndarray, with_range: bool = False) -> int:
        """Append float32 or uint8 rows, or uint32 face corners, and return the accessor's number."""
        is_index = array.dtype == np.uint32
        target = _ELEMENT_ARRAY_BUFFER if is_index else _ARRAY_BUFFER
        accessor: dict[str, Any] = {
            "bufferView": self._block(np.ascontiguousarray(array).tobytes(), target),
            "componentType": _COMPONENTS[array.dtype.name],
            "count": array.size if is_index else len(array),
            "type": "SCALAR" if is_index else f"VEC{array.shape[1]}",
        }
        if array.dtype == np.uint8:
            accessor["normalized"] = True
        if with_range:
            accessor |= {"min": array.min(axis=0).tolist(), "max": array.max(axis=0).tolist()}
        return self._append("accessors", accessor)

    def _block(self, block: bytes, target: int | None) -> int:
        view: dict[str, int] = {"buffer": 0, "byteOffset": self.length, "byteLength": len(block)}
        if target is not None:
            view["target"] = target
        self.blocks.append(block + bytes(-len(block) % 4))  # every block begins at a multiple of four
        self.length += len(self.blocks[-1])
        return self._append("bufferViews", view)

    def _append(self, kind: str, entry: Any) -> int:
        self.lists[kind].append(entry)
        return len(self.lists[kind]) - 1

    def content(self) -> bytes:
        """The two chunks of a GLB file; the JSON is padded to four bytes with spaces as the standard asks."""
        header: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": "Atelier3D"},
            "scene": 0,
            "scenes": [{"nodes": list(range(len(self.lists["nodes"])))}],
            **{kind: entries for kind, entries in self.lists.items() if entries},
            "buffers": [{"byteLength": self.length}],
        }
        if self.lists["textures"]:
            both = {"wrapS": _REPEAT, "wrapT": _REPEAT}
            header["samplers"] = [{"magFilter": _LINEAR, "minFilter": _LINEAR_MIPMAP_LINEAR, **both}]
        text = json.dumps(header, separators=(",", ":")).encode()
        chunks = [(_JSON_CHUNK, text + b" " * (-len(text) % 4)), (_BINARY_CHUNK, b"".join(self.blocks))]
        body = b"".join(struct.pack("<II", len(data), kind) + data for kind, data in chunks)
        return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def _is_textured(material: Material) -> bool:
    pictures = (material.base_color_picture, material.metallic_roughness_picture, material.normal_picture)
    return any(picture is not None for picture in pictures)


def _downward(uv: np.ndarray) -> np.ndarray:
    """Texture coordinates with v from the top, as glTF has them."""
    return np.stack([uv[:, 0], 1.0 - uv[:, 1]], axis=1)


def _with_own_vertices(mesh: Mesh, chosen: np.ndarray, material: Material) -> Mesh:
    """The chosen faces, with one vertex per pair of vertex and texture coordinate where the material has pictures."""
    part = mesh.subset(chosen)
    appearance = part.appearance
    if appearance is None or not _is_textured(material):
        return part
    pairs = part.faces * len(appearance.uv) + appearance.corners
    used, corners = np.unique(pairs, return_inverse=True)
    vertex, coordinate = np.divmod(used, len(appearance.uv))
    faces = corners.reshape(-1, 3)
    return Mesh(
        part.vertices[vertex],
        faces,
        vertex_colors=None if part.vertex_colors is None else part.vertex_colors[vertex],
        vertex_normals=None if part.vertex_normals is None else part.vertex_normals[vertex],
        appearance=type(appearance)(appearance.materials, appearance.face_material, appearance.uv[coordinate], faces),
    )


def _has_clear_vertices(mesh: Mesh) -> bool:
    colors = mesh.vertex_colors
    return colors is not None and colors.shape[1] == 4 and bool(colors[:, 3].min() < 1.0)


def _unit_normals(normals: np.ndarray) -> np.ndarray:
    """Unit length, which the standard demands; undefined (zero) normals point up."""
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    up = np.array([0.0, 1.0, 0.0], dtype=np.float32)
    return np.where(lengths > 0.0, normals / np.maximum(lengths, 1e-20), up).astype(np.float32)


def _linear_colors(colors: np.ndarray, small: bool) -> np.ndarray:
    """Linear light; in 8 bits with alpha, because rows of a vertex buffer are four bytes aligned."""
    linear = np.concatenate([linear_from_srgb(torch.from_numpy(colors[:, :3])).numpy(), colors[:, 3:]], axis=1)
    if not small:
        return linear
    rgba = np.ones((len(linear), 4), np.float32)
    rgba[:, : linear.shape[1]] = linear
    return np.round(rgba * 255).astype(np.uint8)
