"""Hostile glTF, given to `prepare`."""

from __future__ import annotations

import base64
import json
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.hostile.meshes import mesh_case
from tests.hostile.pictures import png, zlib_bomb
from tests.hostile.sandbox import Hostile

Tree = dict[str, Any]
POINTS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], "<f4").tobytes()
FACES = np.array([0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3], "<u4").tobytes()
BINARY = POINTS + FACES


def tree() -> Tree:
    """A tetrahedron."""
    return {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5125, "count": 12, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": len(POINTS)},
            {"buffer": 0, "byteOffset": len(POINTS), "byteLength": len(FACES)},
        ],
        "buffers": [{"byteLength": len(BINARY)}],
    }


def glb(content: Tree | bytes, binary: bytes = BINARY) -> bytes:
    """The tree, or whatever stands in its place, as a GLB file."""
    header = content if isinstance(content, bytes) else json.dumps(content).encode()
    header += b" " * (-len(header) % 4)
    binary += b"\0" * (-len(binary) % 4)
    body = b"".join(
        struct.pack("<II", len(part), kind) + part for part, kind in ((header, 0x4E4F534A), (binary, 0x004E4942))
    )
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def gltf() -> Iterator[Hostile]:
    """All of them, the same ones each time."""
    for name, change in _CHANGES.items():
        changed = tree()
        change(changed)
        yield mesh_case(f"gltf-{name}", ".glb", glb(changed))
    for name, content in _containers():
        yield mesh_case(f"glb-{name}", ".glb", content)
    for name, text in _texts():
        yield mesh_case(f"gltf-{name}", ".gltf", text)
    for number, uri in enumerate(_URIS):
        yield mesh_case(f"gltf-uri{number}", ".gltf", _with_buffer(uri))
    for name, content, may_load in _pictured():
        yield mesh_case(f"gltf-picture-{name}", ".glb", content, may_load=may_load)


def _set(*path: str | int, value: Any) -> Callable[[Tree], None]:
    """A change that puts `value` at a place of the tree."""

    def change(changed: Tree) -> None:
        node: Any = changed
        for part in path[:-1]:
            node = node[part]
        node[path[-1]] = value

    return change


def _drop(*path: str | int) -> Callable[[Tree], None]:
    def change(changed: Tree) -> None:
        node: Any = changed
        for part in path[:-1]:
            node = node[part]
        del node[path[-1]]

    return change


def _without_view(count: int) -> Callable[[Tree], None]:
    """Numbers that nothing is said about: they are all zero, however many."""

    def change(changed: Tree) -> None:
        for accessor in changed["accessors"]:
            del accessor["bufferView"]
            accessor["count"] = count

    return change


def _copies(changed: Tree) -> None:
    """One mesh of 40,000 triangles in 40,000 places."""
    changed["accessors"][1] |= {"count": 120_000, "bufferView": 2}
    changed["bufferViews"].append({"buffer": 1, "byteLength": 480_000})
    data = base64.b64encode(np.resize(np.frombuffer(FACES, "<u4"), 120_000).tobytes()).decode()
    changed["buffers"].append({"byteLength": 480_000, "uri": f"data:;base64,{data}"})
    changed["nodes"] = [{"mesh": 0, "translation": [number, 0, 0]} for number in range(40_000)]
    changed["scenes"][0]["nodes"] = list(range(40_000))


def _chain(changed: Tree) -> None:
    changed["nodes"] = [{"mesh": 0, "children": [number + 1]} for number in range(5_000)] + [{"mesh": 0}]


def _circle(changed: Tree) -> None:
    changed["nodes"] = [{"mesh": 0, "children": [1]}, {"mesh": 0, "children": [2]}, {"mesh": 0, "children": [0]}]


def _many_nodes(changed: Tree) -> None:
    changed["nodes"] = [{"mesh": 0}] * 500_000
    changed["scenes"][0]["nodes"] = list(range(500_000))


def _overlapping(changed: Tree) -> None:
    """A buffer of 16 MiB, asked for ten thousand times."""
    data = base64.b64encode(bytes(2**24)).decode()
    changed["buffers"].append({"byteLength": 2**24, "uri": f"data:;base64,{data}"})
    changed["bufferViews"] += [{"buffer": 1, "byteLength": 2**24}] * 10_000


def _strided(changed: Tree) -> None:
    """Each byte of a buffer begins twelve numbers."""
    data = base64.b64encode(bytes(2**24)).decode()
    changed["buffers"].append({"byteLength": 2**24, "uri": f"data:;base64,{data}"})
    changed["bufferViews"].append({"buffer": 1, "byteLength": 2**24, "byteStride": 1})
    accessor = {"bufferView": 2, "componentType": 5126, "count": 2**24 - 64, "type": "MAT4"}
    changed["accessors"] += [dict(accessor) for _ in range(20)]


def _raw(values: list[float]) -> Callable[[Tree], None]:
    """Points that are no numbers, in a buffer of their own."""
    data = base64.b64encode(np.array(values * 3, "<f4").tobytes()).decode()

    def change(changed: Tree) -> None:
        changed["buffers"].append({"byteLength": 48, "uri": f"data:;base64,{data}"})
        changed["bufferViews"][0] = {"buffer": 1, "byteLength": 48}

    return change


_CHANGES: dict[str, Callable[[Tree], None]] = {
    "zeros": _without_view(1_000_000_000),
    "zeros-endless": _without_view(2**62),
    "count-huge": _set("accessors", 0, "count", value=2**40),
    "count-negative": _set("accessors", 0, "count", value=-4),
    "count-fraction": _set("accessors", 0, "count", value=4.5),
    "count-text": _set("accessors", 0, "count", value="4"),
    "count-infinite": _set("accessors", 0, "count", value=float("inf")),
    "type": _set("accessors", 0, "type", value="VEC99"),
    "component": _set("accessors", 0, "componentType", value=1),
    "view-outside": _set("accessors", 0, "bufferView", value=99),
    "view-negative": _set("accessors", 0, "bufferView", value=-99),
    "view-text": _set("accessors", 0, "bufferView", value={}),
    "offset-outside": _set("accessors", 0, "byteOffset", value=2**40),
    "length-huge": _set("bufferViews", 0, "byteLength", value=2**40),
    "length-negative": _set("bufferViews", 0, "byteLength", value=-1),
    "start-outside": _set("bufferViews", 0, "byteOffset", value=2**60),
    "buffer-outside": _set("bufferViews", 0, "buffer", value=7),
    "stride-huge": _set("bufferViews", 0, "byteStride", value=2**40),
    "stride-zero": _set("bufferViews", 0, "byteStride", value=0),
    "strided": _strided,
    "overlapping": _overlapping,
    "index-outside": _set(
        "accessors", 1, value={"bufferView": 0, "componentType": 5125, "count": 12, "type": "SCALAR"}
    ),
    "position-outside": _set("meshes", 0, "primitives", 0, "attributes", "POSITION", value=9),
    "position-missing": _drop("meshes", 0, "primitives", 0, "attributes", "POSITION"),
    "primitives-missing": _drop("meshes", 0, "primitives"),
    "mesh-outside": _set("nodes", 0, "mesh", value=9),
    "node-outside": _set("scenes", 0, "nodes", value=[9]),
    "child-outside": _set("nodes", 0, "children", value=[9]),
    "child-itself": _set("nodes", 0, "children", value=[0]),
    "children-text": _set("nodes", 0, "children", value="ab"),
    "circle": _circle,
    "chain": _chain,
    "many-nodes": _many_nodes,
    "many-parts": lambda changed: changed["meshes"][0].update(primitives=changed["meshes"][0]["primitives"] * 100_000),
    "many-images": lambda changed: changed.update(images=[{"bufferView": 0, "mimeType": "image/png"}] * 20_000),
    "parts-number": _set("meshes", 0, "primitives", value=7),
    "copies": _copies,
    "matrix-short": _set("nodes", 0, "matrix", value=[1, 2, 3]),
    "matrix-nan": _set("nodes", 0, "matrix", value=[float("nan")] * 16),
    "matrix-zero": _set("nodes", 0, "matrix", value=[0] * 16),
    "scale-huge": _set("nodes", 0, "scale", value=[1e308, 1e308, 1e308]),
    "rotation-words": _set("nodes", 0, "rotation", value=["a", "b", "c", "d"]),
    "nan": _raw([float("nan")] * 4),
    "infinite": _raw([float("inf"), 1, 2, 3]),
    "lists-are-numbers": _set("accessors", value=7),
    "entries-are-numbers": _set("accessors", value=[7, 8]),
    "scene-outside": _set("scene", value=12),
    "points-only": _set("meshes", 0, "primitives", 0, "mode", value=0),
}


def _containers() -> Iterator[tuple[str, bytes]]:
    """GLB files whose outer lengths lie."""
    whole = glb(tree())
    yield "length-huge", whole[:8] + struct.pack("<I", 2**32 - 1) + whole[12:]
    yield "header-huge", whole[:12] + struct.pack("<I", 2**32 - 1) + whole[16:]
    yield "header-empty", struct.pack("<4sIIII", b"glTF", 2, 20, 0, 0x4E4F534A)
    yield "binary-huge", whole[: -len(BINARY) - 8] + struct.pack("<I", 2**32 - 4) + whole[-len(BINARY) - 4 :]
    yield "version-huge", whole[:4] + struct.pack("<I", 2**31) + whole[8:]
    yield "no-header", struct.pack("<4sII", b"glTF", 2, 12 + 8 + 4) + struct.pack("<II", 4, 0x004E4942) + bytes(4)
    yield "header-nested", glb(b"[" * 100_000 + b"]" * 100_000)
    yield "header-nested-deep-inside", glb(b'{"extras":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    yield "header-text", glb(b'"glTF"')
    yield "header-null", glb(b"null")
    yield "header-binary", glb(bytes(range(256)))
    yield "header-number", glb(b"9" * 100_000)


def _texts() -> Iterator[tuple[str, str]]:
    yield "nested", "[" * 100_000 + "]" * 100_000
    yield "list", "[]"
    yield "number", "1e400"
    yield "cut", json.dumps(tree())[:200]
    yield "data-broken", _with_uri("data:application/octet-stream;base64,!!!!")
    yield "data-short", _with_uri("data:application/octet-stream;base64,AAAA")
    data = f"data:;base64,{base64.b64encode(BINARY).decode()}"
    for version in ("1.0", "two", [2]):
        yield f"version-{version[0]}", json.dumps(json.loads(_with_uri(data)) | {"asset": {"version": version}})
    yield "uri-number", json.dumps(tree() | {"buffers": [{"byteLength": 9, "uri": 7}]})


def _with_uri(uri: str) -> str:
    return json.dumps(tree() | {"buffers": [{"byteLength": len(BINARY), "uri": uri}]})


_URIS = (
    *("../../secret/secret.txt", "{root}/secret/secret.txt", "file://{root}/secret/secret.txt", "link.bin", "pipe"),
    *("http://localhost:9/a.bin", "https://localhost:9/a.bin", "//localhost/share/a.bin", "%2e%2e/%2e%2e/secret.txt"),
    *("/dev/zero", "/dev/stdin", "folder", "", ".", "..", "absent.bin", "a" * 5000, "a\0b", "~/secret"),
    *("C:\\secret.bin", "..\\..\\secret\\secret.txt"),
)


def _with_buffer(uri: str) -> Callable[[Path], None]:
    """Writes a .gltf that reads its numbers from `uri`, among traps."""

    def write(path: Path) -> None:
        os.mkfifo(path.with_name("pipe"))
        path.with_name("folder").mkdir()
        path.with_name("link.bin").symlink_to(path.parents[2] / "secret" / "secret.txt")
        path.write_text(_with_uri(uri.replace("{root}", str(path.parents[2]))))

    return write


def _pictured() -> Iterator[tuple[str, bytes, bool]]:
    """Textures that do not fit into memory, or that a program would have to draw."""
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90 90\n%%EndComments\n(%pipe%touch owned) (w) file\n%%EOF\n"
    pictures = {
        "bomb": png(30_000, 30_000, depth=1, colour=0, data=zlib_bomb(108)),
        "large": png(13_000, 13_000, depth=8, colour=0, data=zlib_bomb(162)),
        "script": script,
        "cut": png(64, 64, data=b"\x78\x9c"),
    }
    for name, content in pictures.items():
        for converted in (False, True):
            yield f"{name}{'-converted' * converted}", _textured(content, converted), name in ("bomb", "script", "cut")


def _textured(picture: bytes, converted: bool) -> bytes:
    """The tetrahedron with a picture; `converted` asks for materials that are turned into others when read."""
    changed = tree()
    corners = np.zeros((4, 2), "<f4").tobytes()
    start = len(BINARY)
    changed["bufferViews"] += [
        {"buffer": 0, "byteOffset": start, "byteLength": len(corners)},
        {"buffer": 0, "byteOffset": start + len(corners), "byteLength": len(picture)},
    ]
    changed["buffers"][0]["byteLength"] = start + len(corners) + len(picture)
    changed["accessors"].append({"bufferView": 2, "componentType": 5126, "count": 4, "type": "VEC2"})
    changed["meshes"][0]["primitives"][0]["attributes"]["TEXCOORD_0"] = 2
    changed["meshes"][0]["primitives"][0]["material"] = 0
    changed["images"], changed["textures"] = [{"bufferView": 3, "mimeType": "image/png"}], [{"source": 0}]
    changed["materials"] = [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}]
    if converted:
        name = "KHR_materials_pbrSpecularGlossiness"
        changed["extensionsUsed"] = [name]
        changed["materials"] = [{"extensions": {name: {"diffuseTexture": {"index": 0}}}}]
    return glb(changed, BINARY + corners + picture)
