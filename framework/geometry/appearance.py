"""What a surface looks like beyond a colour per vertex: materials with pictures that lie on it by texture coordinates.

Texture coordinates have an indexing of their own, so that a seam of the texture is no seam of the surface. The meaning
of every value is glTF's (version 2.0, section 3.9), except that v runs upwards: (0, 0) is the lower left of a picture.

Legend: F faces, T texture coordinates, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from framework.geometry.checks import MeshError, checked_faces, checked_rows


@dataclass(frozen=True, eq=False)
class Material:
    """How a part of a surface reflects light, the same everywhere or told by pictures (row 0 at the top)."""

    name: str = "surface"

    base_color: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    """Linear RGBA in [0, 1], times the picture if there is one, else times the mesh's vertex colours."""

    metallic: float = 0.0
    """In [0, 1], times the blue channel of `metallic_roughness_picture`."""

    roughness: float = 0.8
    """In [0, 1], times the green channel of `metallic_roughness_picture`."""

    base_color_picture: UInt8[np.ndarray, "H W C"] | None = None
    """sRGB, or with straight alpha."""

    metallic_roughness_picture: UInt8[np.ndarray, "H W 3"] | None = None

    normal_picture: UInt8[np.ndarray, "H W 3"] | None = None
    """Normals in tangent space, x to the right and y up in the picture."""

    alpha: Literal["opaque", "mask", "blend"] = "opaque"
    """What the alpha of the colour means: nothing, a hole where it is below one half, or transparency."""

    double_sided: bool | None = None
    """Whether the inner side is drawn; none: where the mesh is open."""

    def __post_init__(self) -> None:
        values = np.array([*self.base_color, self.metallic, self.roughness], dtype=np.float64)
        if values.shape != (6,) or not ((values >= 0) & (values <= 1)).all():
            raise MeshError(f"material '{self.name}': base_color (4 values), metallic and roughness must lie in [0, 1]")
        for name, channels in _PICTURES.items():
            _check_picture(getattr(self, name), f"material '{self.name}': {name}", channels)


_PICTURES = {"base_color_picture": (3, 4), "metallic_roughness_picture": (3,), "normal_picture": (3,)}


@dataclass(frozen=True, eq=False)
class Appearance:
    """The materials of a mesh, which face has which, and where the faces lie in the materials' pictures."""

    materials: Sequence[Material]
    """At least one."""

    face_material: Int[np.ndarray, " F"]
    """Row of `materials`, int64."""

    uv: Float[np.ndarray, "T 2"] = field(default_factory=lambda: np.zeros((1, 2), np.float32))
    """u to the right, v up, float32; pictures repeat outside [0, 1]."""

    uv_faces: Int[np.ndarray, "F 3"] | None = None
    """Rows of `uv` at the corners of each face, int64; none: row 0 everywhere, for materials without pictures."""

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "materials", tuple(self.materials))
        face_material = np.ascontiguousarray(self.face_material, dtype=np.int64)
        if not self.materials or face_material.ndim != 1:
            raise MeshError("appearance: expected at least one material, and the number of one for each face (F,)")
        if face_material.size and not 0 <= face_material.min() <= face_material.max() < len(self.materials):
            raise MeshError(f"appearance: face_material names materials outside 0..{len(self.materials) - 1}")
        set_field(self, "face_material", face_material)
        set_field(self, "uv", checked_rows(self.uv, "uv", (2,)))
        corners = np.zeros((len(face_material), 3), np.int64) if self.uv_faces is None else self.uv_faces
        set_field(self, "uv_faces", checked_faces(corners, len(self.uv), "uv_faces"))
        if len(self.corners) != len(face_material):
            raise MeshError(
                f"appearance: uv_faces for {len(self.corners)} faces, face_material for {len(face_material)}"
            )

    @property
    def corners(self) -> Int[np.ndarray, "F 3"]:
        """`uv_faces`, which is always there once an appearance is made."""
        assert self.uv_faces is not None
        return self.uv_faces

    def subset(self, keep: Bool[np.ndarray, " F"]) -> Appearance:
        """The appearance of the faces in `keep`, without what none of them uses."""
        used, corners = np.unique(self.corners[keep], return_inverse=True)
        kept, face_material = np.unique(self.face_material[keep], return_inverse=True)
        materials = [self.materials[number] for number in kept]
        return Appearance(materials, face_material.reshape(-1), self.uv[used], corners.reshape(-1, 3))

    def flipped(self) -> Appearance:
        """The appearance of the faces with their corners in the opposite order."""
        return replace(self, uv_faces=self.corners[:, ::-1])


def uniform_appearance(material: Material, faces: int) -> Appearance:
    """One `material` on all of `faces` faces, without texture coordinates."""
    return Appearance([material], np.zeros(faces, np.int64))


def joined_appearances(parts: Sequence[tuple[Appearance | None, int]]) -> Appearance | None:
    """The appearance of several meshes in a row, given as (appearance, faces); None if none of them has one."""
    if all(appearance is None for appearance, _ in parts):
        return None
    plain = Material()
    whole = [appearance or uniform_appearance(plain, faces) for appearance, faces in parts]
    # Materials are told apart by identity: parts of one file share theirs, with their pictures.
    number: dict[int, int] = {}
    for material in (material for part in whole for material in part.materials):
        number.setdefault(id(material), len(number))
    by_number = {number[id(material)]: material for part in whole for material in part.materials}
    rows = [np.array([number[id(material)] for material in part.materials]) for part in whole]
    coordinates = np.cumsum([0, *(len(part.uv) for part in whole)])
    return Appearance(
        [by_number[row] for row in range(len(number))],
        np.concatenate([row[part.face_material] for part, row in zip(whole, rows, strict=True)]),
        np.concatenate([part.uv for part in whole]),
        np.concatenate([part.corners + start for part, start in zip(whole, coordinates[:-1], strict=True)]),
    )


def _check_picture(picture: np.ndarray | None, name: str, channels: tuple[int, ...]) -> None:
    if picture is None:
        return
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in channels or not picture.size:
        wanted = " or ".join(map(str, channels))
        raise MeshError(f"{name}: expected uint8 of shape (H, W, {wanted}), got {picture.dtype} of {picture.shape}")
