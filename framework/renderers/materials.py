"""The materials of a mesh as tensors, and the colours that they give to points of its faces.

Texture coordinates are those of the mesh: u to the right, v up from the bottom row.

Dimension letters: P points, C channels, H rows, W columns, F faces, T texture coordinates, M materials.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from framework.geometry.appearance import Appearance, Material
from framework.renderers.shading import CLAY, linear_from_srgb, srgb_from_linear
from framework.renderers.texturing import pyramid, sample_levels


@dataclass(frozen=True, eq=False)
class Textures:
    """A mesh's materials as tensors on one device."""

    uv: Tensor
    """(T, 2) float32."""

    uv_faces: Tensor
    """(F, 3) int64 rows of `uv`."""

    face_material: Tensor
    """(F,) int64."""

    pictures: Sequence[Tensor | None]
    """(H, W, 3 or 4) sRGB in [0, 1] of each material; none: the mesh's own colours."""

    factors: Tensor
    """(M, 4) linear RGBA."""

    @property
    def has_pictures(self) -> bool:
        """Whether texture coordinates are needed at all."""
        return any(picture is not None for picture in self.pictures)

    @cached_property
    def _levels(self) -> list[list[Tensor]]:
        """The pictures and their averaged copies."""
        return [[] if picture is None else pyramid(picture[None, ..., :3]) for picture in self.pictures]

    def colors(self, uv: Tensor, face: Tensor, own: Tensor | None, steps: Tensor | None = None) -> Tensor:
        """(P, 3) sRGB at points with `uv` (P, 2) on the faces `face` (P,); `own` (P, 3): the mesh's vertex colours.

        `steps` (P, 2, 2): how `uv` changes from a pixel to the next, to the right and down; with it pictures that are
        seen small are read from averaged copies.
        """
        material = self.face_material[face]
        colors = uv.new_tensor(CLAY).repeat(len(uv), 1) if own is None else own.clone()
        for number, (picture, factor) in enumerate(zip(self.pictures, self.factors[:, :3], strict=True)):
            here = (material == number).nonzero().squeeze(1)
            tinted = bool((factor != 1).any())
            if picture is not None:
                levels = [picture[None, ..., :3]] if steps is None else self._levels[number]
                value = _sampled(levels, uv[here], None if steps is None else steps[here])
            elif tinted and own is None:
                value = torch.ones_like(colors[here])
            else:
                value = colors[here]
            colors[here] = srgb_from_linear(linear_from_srgb(value) * factor) if tinted else value
        return colors


def textures_of(appearance: Appearance, device: torch.device | str = "cpu") -> Textures:
    """The colours of an appearance, ready to be drawn on `device`."""
    return Textures(
        torch.from_numpy(appearance.uv).to(device),
        torch.from_numpy(appearance.corners).to(device),
        torch.from_numpy(appearance.face_material).to(device),
        [_picture(material, device) for material in appearance.materials],
        torch.tensor([material.base_color for material in appearance.materials], device=device),
    )


def sample_texture(picture: Tensor, uv: Tensor) -> Tensor:
    """(P, C) bilinear values of a picture (H, W, C) at `uv` (P, 2): u to the right, v up, both repeating.

    Differentiable in the picture and in the coordinates.
    """
    return _sampled([picture[None]], uv, None)


def _sampled(levels: list[Tensor], uv: Tensor, steps: Tensor | None) -> Tensor:
    """(P, C) samples of a pyramid, in whose coordinates v runs down."""
    downwards = torch.stack([uv[:, 0], 1.0 - uv[:, 1]], 1)
    return sample_levels(levels, downwards[None, None], None if steps is None else steps[None, None])[0, 0]


def _picture(material: Material, device: torch.device | str) -> Tensor | None:
    picture = material.base_color_picture
    return None if picture is None else torch.from_numpy(picture).to(device).float() / 255
