"""The materials of a loaded trimesh geometry as ours, with their pictures and texture coordinates.

Legend: V vertices, F faces.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int

from framework.export.mesh_colors import gltf_vertex_colors, material_tint, texture_of
from framework.geometry.appearance import Appearance, Material

_ALPHA = {"MASK": "mask", "BLEND": "blend"}


Known = dict[tuple[int, bool], Material | None]
"""Materials of a file that were read already, by the identity of trimesh's."""


def appearance_of(
    geometry: Any, vertex_index: Int[np.ndarray, " V"], faces: Int[np.ndarray, "F 3"], known: Known
) -> Appearance | None:
    """What a `trimesh.Trimesh` looks like, or None where vertex colours tell all of it.

    vertex_index: the geometry's vertex that each of ours is; faces: over ours. A picture times vertex colours is left
    to the vertex colours, which `colored_faces` gives: no material of ours says both. `known` is read and added to, so
    that parts of a file share their materials.
    """
    visual = geometry.visual
    if not visual.defined or visual.kind != "texture":
        return None
    count = len(geometry.vertices)
    tints = gltf_vertex_colors(visual, count)
    with_pictures = visual.uv is not None and len(visual.uv) == count and (tints is None or bool((tints == 1.0).all()))
    key = id(visual.material), with_pictures
    if key not in known:
        known[key] = _material(visual.material, with_pictures)
    material = known[key]
    if material is None:
        return None
    face_material = np.zeros(len(faces), np.int64)
    if not with_pictures:
        return Appearance([material], face_material)
    uv = np.nan_to_num(np.asarray(visual.uv, dtype=np.float32), posinf=0.0, neginf=0.0)
    return Appearance([material], face_material, uv[vertex_index], faces)


def _material(source: Any, with_pictures: bool) -> Material | None:
    """Our material, or None if it says no more than every mesh's own."""
    color = texture_of(source) if with_pictures else None
    tint = material_tint(source, True) if color is not None else None
    factors = {
        "metallic": getattr(source, "metallicFactor", None),
        "roughness": getattr(source, "roughnessFactor", None),
    }
    known = {name: float(np.clip(value, 0.0, 1.0)) for name, value in factors.items() if value is not None}
    roughness, normal = (
        _pixels(getattr(source, name, None), "RGB") if with_pictures else None
        for name in ("metallicRoughnessTexture", "normalTexture")
    )
    plain = Material()
    told = [color, roughness, normal, *(value for name, value in known.items() if value != getattr(plain, name))]
    if all(value is None for value in told):
        return None
    return Material(
        name=str(getattr(source, "name", None) or plain.name),
        base_color=(1.0, 1.0, 1.0, 1.0) if tint is None else tuple(tint[0].tolist()),
        base_color_picture=None if color is None else _pixels(color, "RGBA" if _has_alpha(color) else "RGB"),
        metallic_roughness_picture=roughness,
        normal_picture=normal,
        alpha=_ALPHA.get(getattr(source, "alphaMode", None) or "", "opaque"),  # type: ignore[arg-type]
        double_sided=getattr(source, "doubleSided", None),
        **known,
    )


def _has_alpha(picture: Any) -> bool:
    return "A" in picture.getbands() or "transparency" in picture.info


def _pixels(picture: Any, mode: str) -> np.ndarray | None:
    return None if picture is None else np.array(picture.convert(mode))
