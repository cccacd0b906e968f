"""Large files of very many small things: their size is no lie, but what they stand for takes a hundred times more."""

from __future__ import annotations

import functools
import io
import json
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from framework.artifacts.reading import MOST_VALUES
from framework.data.lmdb_store import LMDB_FILE, write_lmdb
from framework.optional import has
from framework.testing.tiny import register_tiny
from framework.testing.tiny_pipeline import register_tiny_stages
from tests.hostile import runs, shape_sets, sweeps, weights
from tests.hostile.files import Content
from tests.hostile.gltf import glb, tree
from tests.hostile.meshes import mesh_case
from tests.hostile.sandbox import Hostile

MANY = 20_000_000
ENTRIES = 600_000


def large() -> Iterator[Hostile]:
    """All of them, the same ones each time; their bytes are made when they are written."""
    register_tiny()
    register_tiny_stages()
    for name, content in (("lists", _made(_array, b"[]")), ("objects", _made(_array, b"{}"))):
        yield shape_sets.case(f"list-of-{name}", {"train.json": content}, says="train.json")
    tree = _made(_object)
    yield runs.training("manifest-many", "manifest.json", tree, runs.TRAIN)
    yield runs.training("best-many", "checkpoints/best.json", tree, runs.VALIDATE)
    yield runs.training("metrics-many", "metrics.csv", _made(_rows), runs.TRAIN, may_load=True)
    yield runs.training("metrics-line", "metrics.csv", _made(_line), runs.TRAIN)
    rerun = ("predict", "run=run", "stages=paint..")
    yield runs.prediction("record-many", "case/case.json", tree, rerun)
    yield runs.views("cameras-many", tree)
    yield sweeps.case("plan-many", {"sweep.json": tree}, says="sweep.json")
    yield weights.folder_case("description-many", {"config.json": tree})
    yield weights.folder_case("tensors-many", {"model.safetensors": _made(tensors)})
    yield weights.official_case("tensors-many", "trap.safetensors", _made(tensors))
    yield weights.official_case("members-many", "trap.ckpt", _made(_members))
    yield shape_sets.case("npz-members-many", {shape_sets.POINTS: _made(_members)})
    yield mesh_case("gltf-many", ".gltf", tree)
    yield mesh_case("glb-many", ".glb", lambda path: path.write_bytes(glb(_object())))
    for name, entry in _GLTF_LISTS.items():
        yield mesh_case(f"gltf-endless-{name}", ".glb", _made(_gltf_list, name, entry))
    if has("lmdb"):
        yield shape_sets.case("lmdb-value-tensors-many", {LMDB_FILE: _write_lmdb}, says=LMDB_FILE)


def _made(make: object, *arguments: object) -> Content:
    return functools.partial(_write, make=make, arguments=arguments)


def _write(path: Path, make: object, arguments: tuple[object, ...]) -> None:
    path.write_bytes(make(*arguments))  # type: ignore[operator]


def _write_lmdb(path: Path) -> None:
    write_lmdb(path, [(shape_sets.NAME, tensors())])


def _array(entry: bytes) -> bytes:
    return b"[" + (entry + b",") * MANY + entry + b"]"


def _object() -> bytes:
    return b'{"a":' + _array(b"{}") + b"}"


def _rows() -> bytes:
    return b"step\n" + b"1\n" * (MANY // 20)


def _line() -> bytes:
    return b"step,loss\n1," + b" " * (3 * MANY)


_GLTF_LISTS: dict[str, dict[str, Any]] = {
    "accessors": {"bufferView": 0, "componentType": 5121, "count": 1, "type": "SCALAR"},
    "bufferViews": {"buffer": 0, "byteLength": 1},
    "meshes": {"primitives": [{"attributes": {"POSITION": 0}}]},
    "materials": {},
    "textures": {"source": 0},
    "images": {"bufferView": 0, "mimeType": "image/png"},
    "animations": {},
}


def _gltf_list(name: str, entry: dict[str, Any]) -> bytes:
    """A tetrahedron with as many such entries as a JSON text may have."""
    changed = tree()
    text = json.dumps(entry).encode()
    changed[name] = [*changed.get(name, []), "LAST"]
    values = sum(text.count(mark) for mark in (b",", b"{", b"[")) + 1
    count = min((MOST_VALUES - 1000) // values, 60 * 2**20 // (len(text) + 1))
    return glb(json.dumps(changed).encode().replace(b'"LAST"', b",".join([text] * count)))


def tensors() -> bytes:
    """A safetensors file of very many empty tensors."""
    entries = (b'"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' % number for number in range(ENTRIES))
    header = b"{" + b",".join(entries) + b"}"
    return struct.pack("<Q", len(header)) + header


def _members() -> bytes:
    """A zip archive of very many empty members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(ENTRIES // 2):
            archive.writestr(f"archive/data/{number}.npy", b"")
    return buffer.getvalue()
