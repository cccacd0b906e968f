"""Meshes as GLB, OBJ, PLY and STL files, written whole or not at all and read with errors that name the file.

| suffix | written | read |
| --- | --- | --- |
| .glb | positions, normals, colours (float), materials with textures; several named parts | the same; also .gltf |
| .obj | text; positions, normals, RGB in 8 bits | the same, materials and textures |
| .ply | binary; positions, normals, RGBA in 8 bits | the same |
| .stl | binary; positions only | the same |

Meshes with textures have them at their vertices too, for the formats that write no textures.
All keep our frame: +Y up, front +Z. Normals of files are not read: compute them with `mesh.smooth_normals`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from framework.artifacts.atomic import atomic_file
from framework.artifacts.layered_mesh import LayeredMesh
from framework.artifacts.picture_files import UNREADABLE
from framework.export.glb import glb_bytes
from framework.export.gltf_checks import check_gltf
from framework.export.mesh_colors import check_textures, colored_faces
from framework.export.mesh_materials import Known, appearance_of
from framework.export.nearby_files import NearbyFiles
from framework.geometry.appearance import Appearance
from framework.geometry.mesh import Mesh, MeshError, concatenate

WRITTEN = (".glb", ".obj", ".ply", ".stl")
READ = (".glb", ".gltf", ".obj", ".ply", ".stl", ".off")
MAX_BYTES = 512 * 2**20
MAX_FACES = 20_000_000
FAR_AWAY = 1e5  # distance from the origin in sizes of the mesh from which float32 positions lose the shape

# What trimesh's readers raise for damaged files: they index and unpack what the bytes say.
_READ_ERRORS = (*UNREADABLE, AssertionError, NameError)


def save_mesh(mesh: Mesh, path: Path | str) -> Path:
    """Write `mesh` in the format of the suffix, making folders as needed, and return the path.

    MeshError for an unknown suffix, OSError when the disk refuses; then nothing is left behind.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in WRITTEN:
        raise MeshError(f"{path}: can't write '{suffix}'. Use one of {' '.join(WRITTEN)}")
    return _write(glb_bytes({path.stem: mesh}) if suffix == ".glb" else _trimesh_bytes(mesh, path), path)


def save_layers(layers: LayeredMesh, path: Path | str) -> Path:
    """Write `layers` as one GLB file with a node for each part, and return the path; errors as `save_mesh`."""
    path = Path(path)
    if path.suffix.lower() != ".glb":
        raise MeshError(f"{path}: parts with names go into .glb files only, not '{path.suffix}'")
    return _write(glb_bytes(layers.parts), path)


def load_mesh(path: Path | str, max_bytes: int = MAX_BYTES) -> Mesh:
    """Read a mesh file: all parts of a scene in place, merged, with the materials and colours that the file has.

    MeshError, naming the file and what to do, for a file that is missing, unreadable, empty, larger than `max_bytes` or
    damaged, and for a mesh without faces, with NaN, without size, or too far from the origin for single precision.
    """
    return load_layers(path, max_bytes).merged()


def load_layers(path: Path | str, max_bytes: int = MAX_BYTES) -> LayeredMesh:
    """Read a mesh file as parts named like the nodes of its scene (nodes of one name are merged); else `load_mesh`."""
    path = Path(path)
    _check_file(path, max_bytes)
    parts = [(name, part) for name, part in _read_parts(path, max_bytes) if len(part.faces)]
    if not parts:
        raise MeshError(f"{path}: no triangles found. The file is empty, cut off, or holds only points or lines")
    try:
        _check_span(np.concatenate([part.vertices for _, part in parts]))
        meshes = [(name, Mesh(*part)) for name, part in parts]
    except MeshError as error:
        raise MeshError(f"{path}: {error}") from error
    together: dict[str, list[Mesh]] = {}
    for name, mesh in meshes:
        together.setdefault(name, []).append(mesh)
    return LayeredMesh({name: concatenate(several) for name, several in together.items()})


def _write(content: bytes, path: Path) -> Path:
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)
    return path


def _check_file(path: Path, max_bytes: int) -> None:
    if path.suffix.lower() not in READ:
        raise MeshError(f"{path}: can't read '{path.suffix}'. Expected one of {' '.join(READ)}")
    try:
        size = path.stat().st_size if path.is_file() else None
    except OSError as error:
        raise MeshError(f"{path}: {error.strerror}") from error
    if size is None:
        raise MeshError(f"{path}: no such file")
    if size == 0:
        raise MeshError(f"{path}: the file is empty. Export it again")
    if size > max_bytes:
        limit = f"{max_bytes / 2**20:.0f} MiB"
        raise MeshError(f"{path}: {size / 2**20:.0f} MiB is more than the limit of {limit}. Simplify the mesh first")


class _Part(NamedTuple):
    """What `Mesh` is made of, in its order, before it is checked."""

    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray | None
    normals: None
    appearance: Appearance | None


def _read_parts(path: Path, max_bytes: int) -> list[tuple[str, _Part]]:
    """The triangle geometries of a file in place, with the names of their nodes."""
    linear = path.suffix.lower() in (".glb", ".gltf")
    if linear:
        check_gltf(path, max_bytes)
    try:
        found = _geometries(path, max_bytes)
        check_textures(geometry for _, geometry, _ in found)
        known: Known = {}
        return [(name, _placed_part(geometry, matrix, linear, known)) for name, geometry, matrix in found]
    except MeshError as error:
        raise MeshError(f"{path}: {error}") from error
    except _READ_ERRORS as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MeshError(f"{path}: damaged or not a {path.suffix} file ({reason}). Export it again") from error


def _geometries(path: Path, max_bytes: int) -> list[tuple[str, Any, np.ndarray]]:
    """The triangle geometries of a file in its order: node names, geometries, world_from_part matrices."""
    import trimesh  # 0.5 s of import

    # process=False: merging vertices can open a closed surface, and would reorder what round trips.
    nearby: Any = NearbyFiles(path, max_bytes)
    scene = trimesh.load_scene(str(path.absolute()), process=False, resolver=nearby)
    placed = [(node, *scene.graph[node]) for node in scene.graph.nodes_geometry]
    in_file = {name: number for number, name in enumerate(scene.geometry)}
    placed.sort(key=lambda entry: in_file[entry[2]])
    found = [
        (_part_name(scene, node), scene.geometry[name], np.asarray(matrix, dtype=np.float64))
        for node, matrix, name in placed
        if isinstance(scene.geometry[name], trimesh.Trimesh)
    ]
    total = sum(len(geometry.faces) for _, geometry, _ in found)
    if total > MAX_FACES:
        raise MeshError(f"{total} triangles with all copies of its parts, more than {MAX_FACES}. Simplify it first")
    return found


def _part_name(scene: Any, node: str) -> str:
    """The node's name in the file: trimesh makes further nodes of a mesh with several materials."""
    parent = scene.graph.transforms.parents.get(node)
    return parent if parent and re.fullmatch(re.escape(str(parent)) + "_[0-9a-f]{6}", str(node)) else str(node)


def _placed_part(geometry: Any, matrix: np.ndarray, linear: bool, known: Known) -> _Part:
    """World vertices (float64), faces and looks of one geometry."""
    vertex_index, faces, colors = colored_faces(geometry, linear)
    vertices = np.asarray(geometry.vertices, dtype=np.float64)[vertex_index] @ matrix[:3, :3].T + matrix[:3, 3]
    appearance = appearance_of(geometry, vertex_index, faces, known) if len(faces) else None
    if np.linalg.det(matrix[:3, :3]) >= 0:
        return _Part(vertices, faces, colors, None, appearance)
    return _Part(vertices, faces[:, ::-1], colors, None, None if appearance is None else appearance.flipped())


def _check_span(vertices: np.ndarray) -> None:
    finite = vertices[np.isfinite(vertices).all(axis=1)]
    if len(finite) < len(vertices):
        return  # Mesh reports these
    size = float((finite.max(axis=0) - finite.min(axis=0)).max())
    if size == 0.0:
        raise MeshError("all vertices lie at one point, the mesh has no size")
    if float(np.abs(finite).max()) > FAR_AWAY * size:
        raise MeshError(f"the mesh lies more than {FAR_AWAY:g} times its size from the origin. Move it to the origin")


def _trimesh_bytes(mesh: Mesh, path: Path) -> bytes:
    import trimesh

    colors = None if mesh.vertex_colors is None else np.round(mesh.vertex_colors * 255.0).astype(np.uint8)
    source = trimesh.Trimesh(
        mesh.vertices, mesh.faces, vertex_colors=colors, vertex_normals=mesh.vertex_normals, process=False
    )
    has_normals = mesh.vertex_normals is not None
    if path.suffix.lower() == ".stl":
        return trimesh.exchange.stl.export_stl(source)
    if path.suffix.lower() == ".ply":
        return trimesh.exchange.ply.export_ply(source, vertex_normal=has_normals)
    return trimesh.exchange.obj.export_obj(source, include_normals=has_normals, header="Atelier3D").encode()
