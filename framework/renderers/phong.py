"""A point light on a shiny surface, per pixel (Phong, "Illumination for computer generated pictures", 1975).

Dimension letters: ... any axes of surface points.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import normalize


@dataclass(frozen=True, kw_only=True)
class PointLight:
    """A lamp fixed in the world and the material that it shines on; intensities are grey values."""

    position: tuple[float, float, float]
    """World position."""

    ambient: float
    """Light that is everywhere."""

    diffuse: float
    """Matt reflection of light that falls on at a right angle."""

    specular: float
    """Reflection in the mirror direction."""

    shininess: float
    """Exponent of the highlight."""


def phong(points: Tensor, normals: Tensor, eye: Tensor, light: PointLight) -> Tensor:
    """(...) grey values of surface `points` (..., 3) with `normals` (..., 3) seen from `eye` (3,) or (..., 3).

    Normals need not be unit and are not turned: what looks away from the lamp gets ambient light only.
    """
    normal = normalize(normals, dim=-1)
    to_light = normalize(points.new_tensor(light.position) - points, dim=-1)
    to_eye = normalize(eye - points, dim=-1)
    cosine = (normal * to_light).sum(dim=-1)
    mirrored = 2.0 * cosine[..., None] * normal - to_light
    highlight = (to_eye * mirrored).sum(dim=-1).clamp(min=0.0) * (cosine > 0)
    return light.ambient + light.diffuse * cosine.clamp(min=0.0) + light.specular * highlight**light.shininess
