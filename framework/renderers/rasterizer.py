"""The rasterizer contract: which triangle does each pixel see, and where inside that triangle.

Everything that makes pictures (shading, views, texture baking, losses on renderings) talks to this protocol, so that
a faster rasterizer can take the place of the plain-torch one without anything else changing.

Dimension letters: B pictures, V vertices, F faces, H rows, W columns, C channels.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

Wrap = Literal["repeat", "clamp", "zero"]
"""What lies beyond a texture: itself again, its outermost texels, or 0."""


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

    name: str
    """What `renderer=` calls it; the manifest of a run records it."""

    def rasterize(self, clip_positions: Tensor, faces: Tensor, resolution: tuple[int, int]) -> Fragments:
        """Find the nearest face behind every pixel centre.

        clip_positions: (B, V, 4) homogeneous positions after projection (OpenGL clip space). faces: (F, 3) int64.
        resolution: (H, W) pixels.
        """
        ...

    def peel(self, clip_positions: Tensor, faces: Tensor, front: Fragments) -> Fragments:
        """Find the nearest face behind those of `front` at every pixel centre: the next layer of the scene.

        Arguments like `rasterize`. A face counts as behind when its depth is larger by more than rounding. Pixels that
        are empty in `front` stay empty.
        """
        ...

    def interpolate(self, attributes: Tensor, fragments: Fragments, faces: Tensor) -> Tensor:
        """Return (B, H, W, C) values of vertex `attributes` (B or 1, V, C) at the fragments, 0 where there is none.

        `faces` (F, 3) may differ from the rasterized ones: attributes may have an indexing of their own.
        """
        ...

    def antialias(self, image: Tensor, fragments: Fragments, clip_positions: Tensor, faces: Tensor) -> Tensor:
        """Return `image` (B, H, W, C) with colours blended across silhouettes, by how far they reach into a pixel.

        `image` is what was drawn from the fragments of these positions (B, V, 4) and faces (F, 3). Differentiable with
        respect to the image and, on silhouettes, the positions: this is what lets a loss on pictures move outlines.
        Silhouettes are borders, and edges whose two faces lie on one side of them; faces must share vertices for that.
        """
        ...

    def texture(self, image: Tensor, uv: Tensor, derivatives: Tensor | None = None, wrap: Wrap = "repeat") -> Tensor:
        """Return (B, H, W, C) samples of a texture `image` (1 or B, T, S, C) at `uv` (B, H, W, 2).

        (0, 0) is the upper left corner of the texture, (1, 1) the lower right one, as in glTF. derivatives: (B, H, W,
        2, 2) from `framework.renderers.texturing.screen_derivatives`; with them samples are trilinear from averaged
        copies (no aliasing where the texture is seen small), without them bilinear. wrap: what lies beyond the
        texture: itself again, its outermost texels, or 0. Differentiable with respect to all three.
        """
        ...
