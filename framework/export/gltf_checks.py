"""What a glTF file promises, checked before anything believes it.

A few bytes of JSON can ask for gigabytes: by counts without data, by overlapping views of one buffer, by pictures that
decode to much more than they weigh, by nodes in a circle or in a chain of thousands. Legend: one tree is the JSON of a
file; a view is a piece of a buffer.
"""

from __future__ import annotations

import base64
import io
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from framework.artifacts.picture_files import UNREADABLE, TooManyPixels, opened_picture
from framework.artifacts.reading import LARGEST, parse_json, read_json
from framework.export.nearby_files import NearbyFiles
from framework.geometry.mesh import MeshError

MAX_NODES = 50_000
MAX_ENTRIES = {"accessors": 5 * MAX_NODES, "bufferViews": 5 * MAX_NODES, "images": MAX_NODES // 5}
"""Of these lists; of all others, and of parts of meshes, as many as of nodes."""
DEEPEST = 100
"""Nodes inside nodes."""
PICTURES = ("PNG", "JPEG", "WEBP")
CONVERTED = "KHR_materials_pbrSpecularGlossiness"
"""Materials whose pictures trimesh turns into others, as floats and all at once."""
MAX_CONVERTED_PIXELS = 128_000_000

_INLINE = "base64,"
_MAGIC, _JSON, _BINARY = b"glTF", 0x4E4F534A, 0x004E4942
_COMPONENT_BYTES = {5120: 1, 5121: 1, 5122: 2, 5123: 2, 5125: 4, 5126: 4}
_COMPONENTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}


def check_gltf(path: Path, max_bytes: int) -> None:
    """Raise MeshError unless the .glb or .gltf at `path` promises no more than `max_bytes`, in a sensible tree."""
    try:
        tree, binary = _read_glb(path) if path.suffix.lower() == ".glb" else (read_json(path), b"")
        nearby = NearbyFiles(path, max_bytes)
        _check_lengths(tree)
        _check_sizes(tree, max_bytes)
        _check_nodes(_list(tree, "nodes"))
        _check_buffers(tree, nearby)
        _check_pictures(tree, binary, nearby)
    except MeshError as error:
        raise MeshError(f"{path}: {error}") from error
    except (ValueError, TypeError, LookupError, OSError, RecursionError, struct.error) as error:
        reason = str(error) or type(error).__name__
        raise MeshError(f"{path}: damaged or not a {path.suffix} file ({reason}). Export it again") from error


def _read_glb(path: Path) -> tuple[Any, bytes]:
    """JSON and binary chunk of a GLB file, whose lengths must be those of the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        magic, version, length = struct.unpack("<4sII", file.read(12))
        if magic != _MAGIC or version != 2 or length > size:
            raise ValueError(f"it should begin as a GLB of version 2 with {size} bytes: {magic!r} {version} {length}")
        chunks: dict[int, bytes] = {}
        while head := file.read(8):
            count, kind = struct.unpack("<II", head)
            if count > size - file.tell():
                raise ValueError(f"it is cut off: a chunk of {count} bytes does not fit into {size}")
            if kind == _JSON and count > LARGEST:
                raise MeshError(f"its header has {count} bytes, more than {LARGEST}")
            chunks.setdefault(kind, file.read(count))
    if _JSON not in chunks:
        raise ValueError("it has no header")
    return parse_json(chunks[_JSON].decode()), chunks.get(_BINARY, b"")


def _check_lengths(tree: Any) -> None:
    """Each part of a mesh costs as much time as a node does, and each picture more."""
    parts = [part for mesh in _list(tree, "meshes") for part in mesh.get("primitives", ())]
    for name, entries in [*tree.items(), ("parts of meshes", parts)]:
        most = MAX_ENTRIES.get(name, MAX_NODES)
        if isinstance(entries, list) and len(entries) > most:
            raise MeshError(f"it has {len(entries)} {name}, more than {most}. Join its parts first")


def _check_sizes(tree: Any, max_bytes: int) -> None:
    """All arrays together, and all pieces of buffers, must not be larger than a file may be."""
    arrays = sum(map(_array_bytes, _list(tree, "accessors")))
    views = sum(_natural(view, "byteLength") for view in _list(tree, "bufferViews"))
    if max(arrays, views) > max_bytes:
        raise MeshError(f"it promises {max(arrays, views)} bytes of arrays, more than {max_bytes}. Export it again")


def _array_bytes(accessor: Mapping[str, Any]) -> int:
    components = _COMPONENTS[accessor["type"]] * _COMPONENT_BYTES[accessor["componentType"]]
    return _natural(accessor, "count") * components


def _check_nodes(nodes: Sequence[Mapping[str, Any]]) -> None:
    """Each node has one parent at most, as glTF wants it, and no chain is endless."""
    parents: dict[int, int] = {}
    for number, node in enumerate(nodes):
        for child in node.get("children", []):
            if parents.setdefault(child, number) != number:
                raise ValueError(f"its node {child} has several parents")
    depths: dict[int, int] = {}
    for number in range(len(nodes)):
        chain = [number]
        while (parent := parents.get(chain[-1])) is not None and parent not in depths and len(chain) <= DEEPEST:
            chain.append(parent)
        depth = depths.get(parents.get(chain[-1], -1), 0)
        for below, member in enumerate(reversed(chain), start=1):
            depths[member] = depth + below
        if depths[number] > DEEPEST:
            raise MeshError(f"its nodes lie more than {DEEPEST} deep or in a circle. Join its parts first")


def _check_buffers(tree: Any, nearby: NearbyFiles) -> None:
    """Every buffer is in the file itself or in one beside it."""
    for uri in (buffer.get("uri") for buffer in _list(tree, "buffers")):
        if uri is not None and _INLINE not in uri and nearby.find(uri) is None:
            raise MeshError(f"its buffer '{uri[:80]}' is no file in its folder. Copy it there, or save as .glb")


def _check_pictures(tree: Any, binary: bytes, nearby: NearbyFiles) -> None:
    """Pictures that trimesh decodes at once must be of the kinds that glTF has, and not too large.

    The others are looked at when they are used (`framework.export.mesh_colors`).
    """
    if CONVERTED not in tree.get("extensionsUsed", []):
        return
    total = 0
    for number, image in enumerate(_list(tree, "images")):
        try:
            with opened_picture(io.BytesIO(_picture(image, tree, binary, nearby)), PICTURES) as picture:
                total += picture.width * picture.height
        except TooManyPixels as error:
            raise MeshError(f"its picture {number} {error}. Make it smaller") from error
        except UNREADABLE as error:
            raise MeshError(f"its picture {number} is no {', '.join(PICTURES)} beside or inside it") from error
    if total > MAX_CONVERTED_PIXELS:
        raise MeshError(f"its pictures have {total / 1e6:.0f} million pixels. Make them smaller")


def _picture(image: Mapping[str, Any], tree: Any, binary: bytes, nearby: NearbyFiles) -> bytes:
    """The bytes of a picture; MeshError when it is not there."""
    if "bufferView" not in image:
        return _content(image["uri"], nearby)
    view = _list(tree, "bufferViews")[image["bufferView"]]
    uri = _list(tree, "buffers")[view["buffer"]].get("uri")
    start = _natural(view, "byteOffset") if "byteOffset" in view else 0
    return (binary if uri is None else _content(uri, nearby))[start : start + _natural(view, "byteLength")]


def _content(uri: str, nearby: NearbyFiles) -> bytes:
    """What a URI stands for: data in it, or a file."""
    _, inline, data = uri.partition(_INLINE)
    return base64.b64decode(data) if inline else nearby.get(uri)


def _list(tree: Any, name: str) -> list[Any]:
    """A list of objects at the top of the tree; empty if there is none."""
    entries = tree.get(name, []) if isinstance(tree, Mapping) else None
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise ValueError(f"its header holds no list of {name}")
    return entries


def _natural(entry: Mapping[str, Any], name: str) -> int:
    """A whole number that is not negative."""
    value = entry[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{name} is {value!r}, expected a whole number")
    return value
