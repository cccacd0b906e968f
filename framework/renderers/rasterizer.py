"""The rasterizer contract: which triangle does each pixel see, and where inside that triangle.

Everything that makes pictures (shading, views, texture baking, losses on renderings) talks to this protocol, so that
a faster rasterizer can take the place of the plain-torch one without anything else changing.

Dimension letters: B pictures, V vertices, F faces, H rows, W columns, C channels.
"""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Fragments:
    """What each pixel centre sees. Row 0 is the top of the picture."""

    face_index: Tensor
    """(B, H, W) int64 index of the nearest face, -1 where there is none."""

    barycentric: Tensor
    """(B, H, W, 3) perspective-correct weights of the face's corners, summing to 1; 0 where there is no face.
    Differentiable with respect to the clip positions."""

    depth: Tensor
    """(B, H, W) NDC z in [-1, 1], -1 at the near plane; 1 where there is no face. Differentiable like `barycentric`."""

    @property
    def mask(self) -> Tensor:
        """(B, H, W) bool, true where a face is seen."""
        return self.face_index >= 0


class Rasterizer(Protocol):
    """Implemented by every entry of the registry's kind `renderer`."""

    def rasterize(self, clip_positions: Tensor, faces: Tensor, resolution: tuple[int, int]) -> Fragments:
        """Find the nearest face behind every pixel centre.

        clip_positions: (B, V, 4) homogeneous positions after projection (OpenGL clip space). faces: (F, 3) int64.
        resolution: (H, W) pixels.
        """
        ...

    def interpolate(self, attributes: Tensor, fragments: Fragments, faces: Tensor) -> Tensor:
        """Return (B, H, W, C) values of vertex `attributes` (B or 1, V, C) at the fragments, 0 where there is none.

        `faces` (F, 3) may differ from the rasterized ones: attributes may have an indexing of their own.
        """
        ...
