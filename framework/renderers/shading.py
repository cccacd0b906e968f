"""Light for people: a small photo studio (key, fill and rim light, sky above, a mild highlight) around soft clay.

The studio's lights hang on the camera, so every view of an object is lit from its upper left. Its sums are done in
linear light; `srgb_from_linear` makes the values that pictures hold. Beside it stand the two classical models that
papers use, with one lamp that is fixed in the world.

Dimension letters: N surface points.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

CLAY = (0.90, 0.82, 0.74)
"""sRGB colour of meshes that have none: a warm, light clay that leaves room for both highlights and shadows."""

# Directions towards the lights in camera space (x right, y up, z towards the viewer), and linear RGB intensities.
_KEY = ((-0.52, 0.70, 0.49), (1.00, 0.965, 0.905))
_FILL = ((0.80, 0.05, 0.60), (0.11, 0.125, 0.155))
_RIM = ((0.45, 0.50, -0.74), (0.55, 0.60, 0.68))
_SKY, _GROUND = (0.24, 0.25, 0.265), (0.105, 0.09, 0.08)
_WRAP = 0.15
_GLOSS, _GLOSS_EXPONENT = 0.08, 30.0


def studio_light(normals: Tensor, upward: Tensor, albedo: Tensor, exposure: Tensor | None = None) -> Tensor:
    """Return (N, 3) linear RGB, at least 0, of matt points seen by the camera.

    normals: (N, 3) unit, in camera space, towards the viewer. upward: (N,) the normals' world y. albedo: (N, 3) linear
    RGB in [0, 1]. exposure: (N,) share of the sky that reaches the point, 1 in the open (none: 1 everywhere).
    """
    sky, ground = normals.new_tensor(_SKY), normals.new_tensor(_GROUND)
    ambient = ground + (sky - ground) * (upward[:, None] * 0.5 + 0.5)
    # Light that is nearly hidden by the surroundings fades too, though less than the sky's.
    open_sky = 1.0 if exposure is None else exposure[:, None]
    direct = 1.0 if exposure is None else 0.35 + 0.65 * exposure[:, None]
    light = ambient * open_sky + direct * (_lambert(normals, _KEY, _WRAP) + _lambert(normals, _FILL, _WRAP))
    edge = (1 - normals[:, 2:].clamp(0, 1)) ** 2
    light = light + _lambert(normals, _RIM, 0.1) * edge * open_sky
    return albedo * light + _highlight(normals) * direct


def _lambert(normals: Tensor, light: tuple[tuple[float, ...], tuple[float, ...]], wrap: float) -> Tensor:
    """Diffuse light of a large lamp, which reaches `wrap` beyond the horizon (0: a point light)."""
    direction, colour = (normals.new_tensor(values) for values in light)
    cosine = normals @ normalize(direction, dim=0)
    return ((cosine + wrap) / (1 + wrap)).clamp(min=0)[:, None] * colour


def _highlight(normals: Tensor) -> Tensor:
    """Mirror image of the key light (Blinn, "Models of light reflection", SIGGRAPH 1977)."""
    direction, colour = (normals.new_tensor(values) for values in _KEY)
    half = normalize(normalize(direction, dim=0) + normals.new_tensor((0.0, 0.0, 1.0)), dim=0)
    return _GLOSS * (normals @ half).clamp(min=0)[:, None] ** _GLOSS_EXPONENT * colour


@dataclass(frozen=True)
class PointLight:
    """A lamp that is fixed in the world, and how much of its light a surface gives back in each way."""

    position: tuple[float, float, float] = (0.0, 1.0, 5.0)
    """In world units; of a lamp far away only its direction matters."""

    ambient: float = 0.1
    """Light that is everywhere."""

    diffuse: float = 0.65
    """Light that leaves the surface in all directions alike."""

    specular: float = 0.2
    """Light that is mirrored; 0 for matt surfaces."""

    shininess: float = 64.0
    """How sharp the mirrored lamp is."""


def lambert(points: Tensor, normals: Tensor, albedo: Tensor, light: PointLight) -> Tensor:
    """Return (N, 3) colours of matt `points` (N, 3) with unit `normals` (N, 3) and `albedo` (N, 3) in [0, 1].

    albedo * (ambient + diffuse * max(0, n . l)), with l from the point to the lamp; back sides get ambient light only.
    """
    cosine = (normals * _towards(points, light)).sum(1, keepdim=True)
    return albedo * (light.ambient + light.diffuse * cosine.clamp(min=0))


def phong(points: Tensor, normals: Tensor, viewers: Tensor, albedo: Tensor, light: PointLight) -> Tensor:
    """Return (N, 3) colours like `lambert`, and specular * max(0, v . r)^shininess where the lamp shines (Phong 1975).

    viewers: (N, 3) unit directions v from the points to the eye; r is the direction to the lamp mirrored at the normal.
    """
    to_lamp = _towards(points, light)
    cosine = (normals * to_lamp).sum(1, keepdim=True)
    mirrored = (viewers * (2 * cosine * normals - to_lamp)).sum(1, keepdim=True).clamp(min=0)
    highlight = torch.where(cosine > 0, mirrored**light.shininess, 0)
    return lambert(points, normals, albedo, light) + light.specular * highlight


def _towards(points: Tensor, light: PointLight) -> Tensor:
    return normalize(points.new_tensor(light.position) - points, dim=1)


def linear_from_srgb(values: Tensor) -> Tensor:
    """Turn sRGB picture values in [0, 1] into linear light (IEC 61966-2-1)."""
    return torch.where(values <= 0.04045, values / 12.92, ((values.clamp(min=0) + 0.055) / 1.055) ** 2.4)


def srgb_from_linear(values: Tensor) -> Tensor:
    """Turn linear light into sRGB picture values in [0, 1]; brighter values are cut to 1."""
    values = values.clamp(0, 1)
    return torch.where(values <= 0.0031308, values * 12.92, 1.055 * values.clamp(min=1e-8) ** (1 / 2.4) - 0.055)
