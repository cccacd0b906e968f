"""Vertex colours of a loaded trimesh geometry, whatever way the file stores its colours.

| the file has | colour of a vertex |
| --- | --- |
| vertex colours | those (glTF: converted from linear light) |
| face colours | those; a vertex between faces of different colours is doubled |
| a texture | the picture at the vertex's UV, bilinear and repeating, times the material's and the vertex's colour |
| a material without a texture | the material's colour |

Legend: V vertices, F faces.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from framework.artifacts.picture_files import check_pixels
from framework.geometry.mesh import MeshError
from framework.renderers.materials import sample_texture
from framework.renderers.shading import linear_from_srgb, srgb_from_linear

TEXTURES = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "TGA")
MAX_TEXTURE_PIXELS = 256_000_000
"""Of all textures of a file; decoded, they take four bytes each."""


class ColoredFaces(NamedTuple):
    """Which old vertex each new vertex is, faces over the new ones, and their colours."""

    vertex_index: Int[np.ndarray, " V"]
    faces: Int[np.ndarray, "F 3"]
    colors: Float[np.ndarray, "V 4"] | None


def colored_faces(geometry: Any, linear: bool) -> ColoredFaces:
    """The colours of a `trimesh.Trimesh`, RGBA in [0, 1] as displayed, or None if its file has none.

    `linear` says that the file's vertex colours are linear light, as glTF's are.
    """
    visual, faces = geometry.visual, np.asarray(geometry.faces, dtype=np.int64)
    everyone = np.arange(len(geometry.vertices))
    if not visual.defined:
        return ColoredFaces(everyone, faces, None)
    if visual.kind == "face":
        return _split_by_color(faces, np.asarray(visual.face_colors))
    if visual.kind == "vertex":
        colors = unit_range(visual.vertex_colors)
        return ColoredFaces(everyone, faces, _displayed(colors) if linear else colors)
    return ColoredFaces(everyone, faces, _material_colors(visual, len(everyone)))


def check_textures(geometries: Iterable[Any]) -> None:
    """Raise MeshError for pictures that would take too much memory, or that Pillow decodes with other programs.

    `geometries` are of trimesh, which opens pictures but decodes most of them only when they are used.
    """
    materials = [geometry.visual.material for geometry in geometries if geometry.visual.kind == "texture"]
    pictures = {id(picture): picture for material in materials if (picture := texture_of(material)) is not None}
    for picture in pictures.values():
        check_pixels(picture)
        if getattr(picture, "format", None) not in (None, *TEXTURES):
            raise MeshError(f"its texture is a {picture.format}, expected one of {', '.join(TEXTURES)}")
    total = sum(picture.width * picture.height for picture in pictures.values())
    if total > MAX_TEXTURE_PIXELS:
        raise MeshError(f"its textures have {total / 1e6:.0f} million pixels. Make them smaller")


def unit_range(colors: np.ndarray) -> Float[np.ndarray, "N 4"]:
    """RGB or RGBA rows of integers (full scale) or floats as RGBA floats in [0, 1]."""
    values = np.atleast_2d(np.asarray(colors))
    scale = np.iinfo(values.dtype).max if np.issubdtype(values.dtype, np.integer) else 1.0
    rgba = np.ones((len(values), 4), dtype=np.float64)
    rgba[:, : values.shape[1]] = values / scale
    return rgba.clip(0.0, 1.0)


def _split_by_color(faces: Int[np.ndarray, "F 3"], face_colors: np.ndarray) -> ColoredFaces:
    """One vertex per pair of old vertex and colour."""
    colors, color_index = np.unique(face_colors, axis=0, return_inverse=True)
    pairs = faces * len(colors) + color_index.reshape(-1, 1)
    used, new_faces = np.unique(pairs, return_inverse=True)
    return ColoredFaces(used // len(colors), new_faces.reshape(-1, 3), unit_range(colors)[used % len(colors)])


def _material_colors(visual: Any, count: int) -> Float[np.ndarray, "V 4"] | None:
    """Texture times material times vertex colour; the products are taken in linear light."""
    material = visual.material
    picture = texture_of(material)
    tints = [material_tint(material, picture is not None), gltf_vertex_colors(visual, count)]
    factors = [tint for tint in tints if tint is not None]
    if picture is not None and visual.uv is not None and len(visual.uv) == count:
        pixels = torch.from_numpy(np.asarray(picture.convert("RGBA"), dtype=np.float64) / 255.0)
        uv = torch.from_numpy(np.nan_to_num(np.asarray(visual.uv, dtype=np.float64), posinf=0.0, neginf=0.0))
        factors.append(_linear(sample_texture(pixels, uv).numpy()))
    if not factors:
        return None
    product = np.prod(np.stack([np.broadcast_to(factor, (count, 4)) for factor in factors]), axis=0)
    return _displayed(product)


def texture_of(material: Any) -> Any:
    """The material's colour picture (PIL), or None; trimesh makes up a grey 2x2 one for a missing material."""
    picture = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    if picture is not None and picture.size == (2, 2):
        from trimesh.visual.material import empty_material

        made_up = empty_material().image
        return None if picture.convert("RGBA").tobytes() == made_up.convert("RGBA").tobytes() else picture
    return picture


def material_tint(material: Any, textured: bool) -> Float[np.ndarray, "1 4"] | None:
    """The material's linear colour, or None where it changes nothing."""
    factor = getattr(material, "baseColorFactor", None)
    if factor is not None:
        tint = unit_range(factor)
        return None if (tint == 1.0).all() else tint
    diffuse = getattr(material, "diffuse", None)
    if textured or diffuse is None or _is_default(diffuse):  # OBJ: a texture replaces the diffuse colour
        return None
    return _linear(unit_range(diffuse))


def _is_default(diffuse: np.ndarray) -> bool:
    """Whether this is the grey that trimesh makes up for an OBJ with texture coordinates but no material."""
    from trimesh.visual.material import SimpleMaterial

    return tuple(diffuse) == tuple(SimpleMaterial().diffuse)


def gltf_vertex_colors(visual: Any, count: int) -> Float[np.ndarray, "V 4"] | None:
    """Linear colours that a glTF file has beside its texture coordinates, or None."""
    colors = visual.vertex_attributes.get("color")
    return None if colors is None or len(colors) != count else unit_range(colors)


def _linear(rgba: Float[np.ndarray, "V 4"]) -> Float[np.ndarray, "V 4"]:
    return np.concatenate([linear_from_srgb(torch.from_numpy(rgba[:, :3])).numpy(), rgba[:, 3:]], axis=1)


def _displayed(rgba: Float[np.ndarray, "V 4"]) -> Float[np.ndarray, "V 4"]:
    return np.concatenate([srgb_from_linear(torch.from_numpy(rgba[:, :3])).numpy(), rgba[:, 3:]], axis=1)
