"""Hostile PLY, STL, OBJ and OFF files, given to `prepare`."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import trimesh

from tests.hostile.files import cuts, damaged, odd_places, put
from tests.hostile.pictures import png, zlib_bomb
from tests.hostile.sandbox import Hostile

SMALL = ("surface_samples=64", "volume_samples=64", "near_samples=0", "view_groups=0", "workers=1")
COMMAND = ("prepare", "data=shapes", *(f"data.prepare.{option}" for option in SMALL), "output=out")
TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"
BOX = trimesh.creation.box((1, 1, 1))


def meshes() -> Iterator[Hostile]:
    """All of them, the same ones each time."""
    random = np.random.default_rng(2)
    whole = {
        ".glb": BOX.export(file_type="glb"),
        ".ply": BOX.export(file_type="ply"),
        ".stl": BOX.export(file_type="stl"),
        ".off": BOX.export(file_type="off").encode(),
        ".obj": BOX.export(file_type="obj").encode(),
    }
    for suffix, content in whole.items():
        for name, part in cuts(content):
            # A text that ends between two lines is a smaller mesh.
            yield mesh_case(f"{suffix[1:]}-{name}", suffix, part, may_load=suffix in (".obj", ".off"))
        for name, changed in damaged(content, random, 4):
            yield mesh_case(f"{suffix[1:]}-{name}", suffix, changed, may_load=True)
    for name, write in odd_places():
        yield mesh_case(f"obj-{name}", ".obj", write)
        yield mesh_case(f"glb-{name}", ".glb", write)
    for suffix, cases in ((".ply", _ply()), (".stl", _stl()), (".obj", _obj()), (".off", _off())):
        for name, content in cases:
            yield mesh_case(f"{suffix[1:]}-{name}", suffix, content)
    yield from _materials()


def mesh_case(
    name: str, suffix: str, content: bytes | str | Callable[[Path], object], may_load: bool = False
) -> Hostile:
    """A mesh file of that content, or whatever `content` writes at its path."""
    file = f"trap{suffix}"

    def write(folder: Path) -> object:
        if isinstance(content, str):
            return (folder / file).write_text(content)
        return put(folder / file, content)

    return Hostile(f"mesh-{name}", write, (*COMMAND, f"source={{folder}}/{file}"), says=file, may_load=may_load)


def _ply_header(
    vertices: object, faces: object, kind: str = "ascii", list_type: str = "uchar", more: str = ""
) -> bytes:
    lines = (
        *("ply", f"format {kind} 1.0", more, f"element vertex {vertices}"),
        *(f"property float {axis}" for axis in "xyz"),
        *(f"element face {faces}", f"property list {list_type} int vertex_indices", "end_header\n"),
    )
    return "\n".join(filter(None, lines)).encode()


def _ply() -> Iterator[tuple[str, bytes]]:
    binary = "binary_little_endian"
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "<f4").tobytes()
    face = b"\x03" + np.array([0, 1, 2], "<i4").tobytes()
    text = b"0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
    for count in (2**40, 2**63, -1, 10**30, "nan", ""):
        yield f"vertices-{count}-text", _ply_header(count, 1) + text
        yield f"vertices-{count}", _ply_header(count, 1, binary) + points + face
    yield "faces-many-text", _ply_header(3, 2**40) + text
    yield "faces-many", _ply_header(3, 2**40, binary) + points + face
    yield "faces-none", _ply_header(3, 0, binary) + points
    yield "corners-many", _ply_header(3, 1, binary, "uint") + points + b"\xff\xff\xff\xff" + face[1:]
    yield "corners-negative", _ply_header(3, 1, binary, "int") + points + b"\xff\xff\xff\xff" + face[1:]
    yield "corners-none", _ply_header(3, 1, binary) + points + b"\0"
    yield "corners-many-text", _ply_header(3, 1) + b"0 0 0\n1 0 0\n0 1 0\n4000000000 0 1 2\n"
    yield "index-outside", _ply_header(3, 1) + b"0 0 0\n1 0 0\n0 1 0\n3 0 1 999999999\n"
    yield "nan", _ply_header(3, 1) + b"nan 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
    yield "infinite", _ply_header(3, 1) + b"inf 0 0\n1e39 0 0\n0 1 0\n3 0 1 2\n"
    yield "header-endless", b"ply\nformat ascii 1.0\n" + b"element vertex 3\n" * 1000
    yield "header-one-line", b"ply\nformat ascii 1.0\ncomment " + b"a" * 10_000_000
    yield "type-unknown", _ply_header(3, 1).replace(b"float x", b"quark x") + text
    yield "property-first", b"ply\nformat ascii 1.0\nproperty float x\nend_header\n"
    yield "no-properties", b"ply\nformat " + binary.encode() + b" 1.0\nelement vertex 9000000000\nend_header\n"


def _stl() -> Iterator[tuple[str, bytes]]:
    triangle = struct.pack("<12fH", 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0)
    for count in (0, 2, 2**32 - 1):
        yield f"triangles-{count}", bytes(80) + struct.pack("<I", count) + triangle
    yield "nan", bytes(80) + struct.pack("<I", 1) + struct.pack("<12fH", *[float("nan")] * 12, 0)
    yield "infinite", bytes(80) + struct.pack("<I", 1) + struct.pack("<12fH", *[float("inf")] * 12, 0)
    yield "solid-without-end", b"solid a\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\n" * 50
    yield "solid-of-two", b"solid a\nvertex 0 0 0\nvertex 1 0 0\nendsolid a\n"
    yield "solid-backwards", b"endsolid a\nsolid a\nvertex 0 0 0\n"
    yield "solid-nan", b"solid a\nvertex nan 0 0\nvertex 1 0 0\nvertex 0 1 0\nendsolid a\n"
    yield "solid-words", b"solid a\nvertex a b c\nvertex d e f\nvertex g h i\nendsolid a\n"


def _obj() -> Iterator[tuple[str, bytes]]:
    for index in (10**9, 10**18, 10**30, -(10**9), 0, 4):
        yield f"index-{index}", f"{TRIANGLE}f 1 2 {index}\n".encode()
    yield "index-of-texture", f"{TRIANGLE}vt 0 0\nf 1/999999999 2/1 3/1\n".encode()
    yield "nan", b"v nan nan nan\n" * 3 + b"f 1 2 3\n"
    yield "infinite", b"v 1e999 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
    yield "words", b"v a b c\nv d e f\nv g h i\nf 1 2 3\n"
    yield "two-numbers", b"v 0 0\nv 1 0\nv 0 1\nf 1 2 3\n"
    yield "one-corner", TRIANGLE.encode() + b"f 1\n"
    yield "no-corners", TRIANGLE.encode() + b"f\nf \nf 1\n"
    yield "faces-first", b"f 1 2 3\n" * 100
    yield "one-point", b"v 1 1 1\n" * 3 + b"f 1 2 3\n" * 1000
    yield "far-away", b"v 1e30 0 0\nv 1e30 1 0\nv 1e30 0 1\nf 1 2 3\n"
    yield "zeros", bytes(1_000_000)
    yield "bytes", bytes(range(256)) * 4000
    yield "binary-after-faces", TRIANGLE.encode() + b"f 1 2 \xff\xfe\n"


def _off() -> Iterator[tuple[str, bytes]]:
    for head in (f"{2**40} 1 0", "3 1099511627776 0", "-3 1 0", "3 -1 0", "a b c", ""):
        yield f"counts-{head.replace(' ', '_')}", f"OFF\n{head}\n0 0 0\n1 0 0\n0 1 0\n3 0 1 99\n".encode()
    yield "index-outside", b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 999999999\n"
    yield "corners-many", b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n999999999 0 1 2\n"
    yield "nan", b"OFF\n3 1 0\nnan 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
    yield "no-header", b"3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"


def _materials() -> Iterator[Hostile]:
    """Meshes whose materials and pictures lead elsewhere, block, or do not fit into memory."""
    text = "{library}v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl paint\n" + "".join(
        f"f {a}/1 {b}/2 {c}/3\n" for a, b, c in ((1, 3, 2), (1, 2, 4), (1, 4, 3), (2, 3, 4))
    )
    secrets = (
        "../../secret/secret.txt",
        "{root}/secret/secret.txt",
        "link.mtl",
        "http://localhost:9/a.mtl",
        "pipe",
        ".",
    )
    for number, library in enumerate((*secrets, "/dev/zero", "a" * 5000)):

        def write(path: Path, library: str = library) -> None:
            _traps(path.parent)
            root = str(path.parents[2])
            path.write_text(text.format(library=f"mtllib {library.replace('{root}', root)}\n"))

        yield mesh_case(f"obj-library{number}", ".obj", write, may_load=True)
    big = png(30_000, 30_000, depth=1, colour=0, data=zlib_bomb(108))
    large = png(13_000, 13_000, depth=8, colour=0, data=zlib_bomb(162))
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90 90\n%%EndComments\n(%pipe%touch owned) (w) file\n%%EOF\n"
    pictures = {"bomb": big, "large": large, "script": script, "cut": png(64, 64, data=b"\x78\x9c"), "text": b"nothing"}
    for name, content in pictures.items():

        def write_painted(path: Path, content: bytes = content) -> None:
            path.with_name("paint.mtl").write_text("newmtl paint\nmap_Kd picture.png\n")
            path.with_name("picture.png").write_bytes(content)
            path.write_text(text.format(library="mtllib paint.mtl\n"))

        # trimesh leaves out what it can't open.
        yield mesh_case(f"obj-picture-{name}", ".obj", write_painted, may_load=name in ("bomb", "text", "script"))
    for number, picture in enumerate(("../../secret/secret.txt", "pipe", "/dev/zero", ".")):

        def write_picture(path: Path, picture: str = picture) -> None:
            _traps(path.parent)
            path.with_name("paint.mtl").write_text(f"newmtl paint\nmap_Kd {picture}\n")
            path.write_text(text.format(library="mtllib paint.mtl\n"))

        yield mesh_case(f"obj-map{number}", ".obj", write_picture, may_load=True)


def _traps(folder: Path) -> None:
    """Things that a file name can lead to: a pipe, and a link to the secret."""
    import os

    os.mkfifo(folder / "pipe")
    (folder / "link.mtl").symlink_to(folder.parents[1] / "secret" / "secret.txt")
