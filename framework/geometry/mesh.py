"""The triangle mesh that every stage, exporter and metric passes around: checked once, on construction.

Legend: V vertices, F faces, C colour channels (3 or 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from framework.geometry.appearance import Appearance, joined_appearances
from framework.geometry.checks import MeshError, checked_faces, checked_rows

__all__ = ["Mesh", "MeshError", "concatenate", "normalize", "smooth_normals", "unit_rows"]

COLOR_ROUNDING = 1e-4  # how far outside [0, 1] a colour may lie and still count as rounding


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles with counter-clockwise corners seen from outside; +Y up and front +Z by convention.

    Arrays are converted to the types below and checked; MeshError names the first thing that is wrong.
    Use `dataclasses.replace` to change a part.
    """

    vertices: Float[np.ndarray, "V 3"]
    """Positions, float32, finite."""

    faces: Int[np.ndarray, "F 3"]
    """Vertex indices, int64, at least one face."""

    vertex_colors: Float[np.ndarray, "V C"] | None = None
    """RGB or straight-alpha RGBA in [0, 1], float32."""

    vertex_normals: Float[np.ndarray, "V 3"] | None = None
    """Normals, float32, unit length by convention (zero where undefined)."""

    appearance: Appearance | None = None
    """Materials and texture coordinates. A face whose material has a picture shows that instead of its vertex colours,
    which then stand in wherever pictures are not read."""

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "vertices", checked_rows(self.vertices, "vertices", (3,)))
        set_field(self, "faces", checked_faces(self.faces, len(self.vertices)))
        if self.vertex_colors is not None:
            set_field(self, "vertex_colors", _checked_colors(self.vertex_colors, len(self.vertices)))
        if self.vertex_normals is not None:
            normals = checked_rows(self.vertex_normals, "vertex_normals", (3,))
            _check_count(normals, "vertex_normals", len(self.vertices))
            set_field(self, "vertex_normals", normals)
        if self.appearance is not None and len(self.appearance.face_material) != len(self.faces):
            told = len(self.appearance.face_material)
            raise MeshError(f"appearance: tells of {told} faces, the mesh has {len(self.faces)}")

    @property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        """Lowest and highest corner of the box around the vertices that faces use."""
        used = self.vertices[np.unique(self.faces)]
        return np.stack([used.min(axis=0), used.max(axis=0)])

    @property
    def triangles(self) -> Float[np.ndarray, "F 3 3"]:
        """Corner positions of each face."""
        return self.vertices[self.faces]

    @cached_property
    def area_vectors(self) -> Float[np.ndarray, "F 3"]:
        """Face normals scaled by face areas, in float64 because sums over many small faces follow."""
        a, b, c = np.moveaxis(self.triangles.astype(np.float64), 1, 0)
        return 0.5 * np.cross(b - a, c - a)

    @property
    def face_areas(self) -> Float[np.ndarray, " F"]:
        """Area of each face, float64."""
        return np.linalg.norm(self.area_vectors, axis=1)

    @property
    def area(self) -> float:
        """Sum of the face areas."""
        return float(self.face_areas.sum())

    @property
    def volume(self) -> float:
        """Signed volume: positive for a closed mesh whose faces look outwards; meaningless for an open one."""
        # Divergence theorem with the field x/3; centring keeps the terms small for meshes far from the origin.
        centroids = self.triangles.astype(np.float64).mean(axis=1)
        return float(((centroids - centroids.mean(axis=0)) * self.area_vectors).sum() / 3.0)

    @cached_property
    def is_watertight(self) -> bool:
        """Whether every edge belongs to exactly two faces (by vertex index: seams with doubled vertices are open)."""
        edges = np.sort(self.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        _, uses = np.unique(edges[:, 0] * len(self.vertices) + edges[:, 1], return_counts=True)
        return bool((uses == 2).all())

    def face_normals(self) -> Float[np.ndarray, "F 3"]:
        """Unit normals by the right-hand rule, float32; zero for faces without area."""
        return unit_rows(self.area_vectors).astype(np.float32)

    def welded_faces(self) -> Int[np.ndarray, "F 3"]:
        """Faces in which the first vertex at each position stands for all of them, for questions of topology.

        Seams where a file doubles vertices for texture coordinates or hard edges are closed this way.
        """
        # Adding zero turns -0 into 0: they are one position but differ in their bytes.
        _, first, index = np.unique(self.vertices + np.float32(0.0), axis=0, return_index=True, return_inverse=True)
        return first[index.reshape(-1)][self.faces].astype(np.int64)

    def welded(self) -> Mesh:
        """The mesh with one vertex per position (with the colour and normal of one of them).

        Faces that lose their area by this are dropped, unless none would be left: then the mesh comes back as it is.
        """
        faces = self.welded_faces()
        solid = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
        if not solid.any():
            return self
        _, corner, joined = np.unique(faces, return_index=True, return_inverse=True)
        source = self.faces.reshape(-1)[corner]
        return Mesh(
            vertices=self.vertices[source],
            faces=joined.reshape(-1, 3)[solid],
            vertex_colors=None if self.vertex_colors is None else self.vertex_colors[source],
            vertex_normals=None if self.vertex_normals is None else self.vertex_normals[source],
            appearance=None if self.appearance is None else self.appearance.subset(solid),
        )

    def transformed(self, matrix: ArrayLike) -> Mesh:
        """The mesh under the affine `matrix` (4, 4) on column vectors; a mirroring one also flips the faces."""
        transform = np.asarray(matrix, dtype=np.float64)
        if transform.shape != (4, 4) or not np.isfinite(transform).all():
            raise MeshError(f"transform: expected a finite (4, 4) matrix, got shape {transform.shape}")
        linear = transform[:3, :3]
        determinant = np.linalg.det(linear)
        if determinant == 0.0:
            raise MeshError("transform: the matrix is singular, it would flatten the mesh")
        normals = self.vertex_normals
        if normals is not None:
            normals = unit_rows(normals @ np.linalg.inv(linear))
        moved = replace(self, vertices=self.vertices @ linear.T + transform[:3, 3], vertex_normals=normals)
        return moved if determinant > 0 else moved._with_turned_faces()

    def flipped(self) -> Mesh:
        """The mesh inside out: faces and normals turned to the other side."""
        normals = None if self.vertex_normals is None else -self.vertex_normals
        return replace(self._with_turned_faces(), vertex_normals=normals)

    def _with_turned_faces(self) -> Mesh:
        appearance = None if self.appearance is None else self.appearance.flipped()
        return replace(self, faces=self.faces[:, ::-1], appearance=appearance)

    def subset(self, keep: Bool[np.ndarray, " F"]) -> Mesh:
        """The mesh of the faces in `keep`, without the vertices that no face uses any more."""
        used, faces = np.unique(self.faces[keep], return_inverse=True)
        return Mesh(
            vertices=self.vertices[used],
            faces=faces.reshape(-1, 3),
            vertex_colors=None if self.vertex_colors is None else self.vertex_colors[used],
            vertex_normals=None if self.vertex_normals is None else self.vertex_normals[used],
            appearance=None if self.appearance is None else self.appearance.subset(keep),
        )


def concatenate(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of all `meshes`, vertices in order.

    Colours are RGBA, white where a part has none, and None if no part has any; normals are kept if every part has them.
    """
    if not meshes:
        raise MeshError("concatenate: no mesh given")
    offsets = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    colored = any(mesh.vertex_colors is not None for mesh in meshes)
    normals = [mesh.vertex_normals for mesh in meshes if mesh.vertex_normals is not None]
    return Mesh(
        vertices=np.concatenate([mesh.vertices for mesh in meshes]),
        faces=np.concatenate([mesh.faces + offset for mesh, offset in zip(meshes, offsets, strict=True)]),
        vertex_colors=np.concatenate([_rgba(mesh) for mesh in meshes]) if colored else None,
        vertex_normals=np.concatenate(normals) if len(normals) == len(meshes) else None,
        appearance=joined_appearances([(mesh.appearance, len(mesh.faces)) for mesh in meshes]),
    )


def smooth_normals(mesh: Mesh) -> Float[np.ndarray, "V 3"]:
    """Unit vertex normals, float32: the area-weighted mean of the faces around each position, zero where there is none.

    Vertices at the same position share their normal, so seams do not show.
    """
    faces = mesh.welded_faces()
    size = len(mesh.vertices)
    sums = [np.bincount(faces.reshape(-1), np.repeat(column, 3), size) for column in mesh.area_vectors.T]
    normals = np.zeros((size, 3), dtype=np.float32)
    normals[mesh.faces.reshape(-1)] = unit_rows(np.stack(sums, axis=1))[faces.reshape(-1)]
    return normals


def normalize(mesh: Mesh, half_extent: float = 0.9) -> tuple[Mesh, float, Float[np.ndarray, " 3"]]:
    """Move the centre of the mesh's box to the origin and scale its longest side to 2 * `half_extent`.

    Returns (mesh, scale, offset) with new = old * scale + offset. MeshError when the box is a point.
    """
    low, high = mesh.bounds.astype(np.float64)
    longest = float((high - low).max())
    if longest <= 0.0:
        raise MeshError("normalize: all vertices lie at one point, the mesh has no size")
    scale = 2.0 * half_extent / longest
    offset = -0.5 * (low + high) * scale
    return replace(mesh, vertices=mesh.vertices * scale + offset), scale, offset


def unit_rows(vectors: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
    """Rows scaled to length one; zero rows stay zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


def _rgba(mesh: Mesh) -> Float[np.ndarray, "V 4"]:
    rgba = np.ones((len(mesh.vertices), 4), dtype=np.float32)
    if mesh.vertex_colors is not None:
        rgba[:, : mesh.vertex_colors.shape[1]] = mesh.vertex_colors
    return rgba


def _checked_colors(value: ArrayLike, vertex_count: int) -> Float[np.ndarray, "V C"]:
    if np.issubdtype(np.asarray(value).dtype, np.integer):
        raise MeshError("vertex_colors: expected floats in [0, 1], got integers. Divide 8-bit colours by 255")
    colors = checked_rows(value, "vertex_colors", (3, 4))
    _check_count(colors, "vertex_colors", vertex_count)
    low, high = (float(colors.min()), float(colors.max())) if colors.size else (0.0, 1.0)
    if low < -COLOR_ROUNDING or high > 1.0 + COLOR_ROUNDING:
        raise MeshError(f"vertex_colors: expected values in [0, 1], got {low:.4g} to {high:.4g}")
    return colors.clip(0.0, 1.0)


def _check_count(rows: np.ndarray, name: str, vertex_count: int) -> None:
    if len(rows) != vertex_count:
        raise MeshError(f"{name}: {len(rows)} rows for {vertex_count} vertices")
