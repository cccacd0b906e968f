"""One picture: float32, channels last, straight (never premultiplied) alpha."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from framework.artifacts.atomic import atomic_file
from framework.artifacts.errors import ArtifactError
from framework.artifacts.picture_files import UNREADABLE, opened_picture

MAX_PIXELS = 32_000_000
"""Pixels of an artifact's file beyond which it is not read: as floats it would take half a gigabyte."""


@dataclass(frozen=True, eq=False)
class Image:
    """A picture that stages exchange; on disk an 8-bit PNG, so values come back rounded to 1/255."""

    pixels: NDArray[np.float32]
    """(H, W, 3) RGB or (H, W, 4) RGBA, float32, sRGB values in [0, 1], row 0 at the top, straight alpha."""

    def __post_init__(self) -> None:
        pixels = np.asarray(self.pixels)
        if pixels.ndim != 3 or pixels.shape[2] not in (3, 4) or 0 in pixels.shape:
            raise ArtifactError(f"Image: pixels have shape {pixels.shape}, expected (H, W, 3) or (H, W, 4)")
        if not np.issubdtype(pixels.dtype, np.floating):
            raise ArtifactError(f"Image: pixels are {pixels.dtype}, expected float32 in [0, 1] (divide by 255?)")
        low, high = float(pixels.min()), float(pixels.max())
        # A resize may overshoot by rounding; anything further out (or NaN, which fails both comparisons) is a mistake.
        if not (low >= -1e-3 and high <= 1 + 1e-3):
            raise ArtifactError(f"Image: values lie in [{low:.4g}, {high:.4g}], expected [0, 1]")
        object.__setattr__(self, "pixels", np.clip(pixels, 0, 1).astype(np.float32, copy=False))

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    @property
    def rgb(self) -> NDArray[np.float32]:
        """(H, W, 3) colours as stored, alpha dropped (see `over` to composite)."""
        return self.pixels[..., :3]

    @property
    def alpha(self) -> NDArray[np.float32] | None:
        """(H, W) opacity, or None for an RGB picture."""
        return self.pixels[..., 3] if self.pixels.shape[2] == 4 else None

    def over(self, colour: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> "Image":
        """Return the RGB picture over a plain background `colour` (RGB in [0, 1])."""
        if self.alpha is None:
            return self
        opacity = self.alpha[..., None]
        return Image(self.rgb * opacity + np.asarray(colour, np.float32) * (1 - opacity))

    def with_alpha(self) -> "Image":
        """Return the picture as RGBA; an RGB one becomes solid."""
        if self.alpha is not None:
            return self
        return Image(np.concatenate([self.pixels, np.ones_like(self.pixels[..., :1])], axis=2))

    def resized(self, size: int | tuple[int, int]) -> "Image":
        """Return the picture at `size` pixels (one number for a square, or (height, width)), anti-aliased (Lanczos).

        Colours are weighted by opacity, so what lies behind transparent pixels does not bleed into the rim.
        """
        height, width = (size, size) if isinstance(size, int) else size
        if (height, width) == (self.height, self.width):
            return self
        weights = np.ones((*self.pixels.shape[:2], 1), np.float32) if self.alpha is None else self.alpha[..., None]
        small = _resample(self.rgb * weights, height, width)
        opacity = _resample(weights, height, width)
        colours = np.where(opacity > 0.5 / 255, small / np.maximum(opacity, 1e-4), 0).clip(0, 1)
        return Image(colours if self.alpha is None else np.concatenate([colours, opacity.clip(0, 1)], axis=2))

    def to_uint8(self) -> NDArray[np.uint8]:
        """(H, W, 3|4) values 0..255, rounded."""
        return np.rint(self.pixels * 255).astype(np.uint8)

    def to_pil(self) -> PilImage.Image:
        """Return a Pillow picture of mode RGB or RGBA."""
        return PilImage.fromarray(self.to_uint8())

    @staticmethod
    def from_uint8(values: NDArray[np.uint8]) -> "Image":
        """Make an Image of (H, W, 3|4) values 0..255."""
        pixels = values.astype(np.float32)
        return Image(np.divide(pixels, np.float32(255), out=pixels))

    @staticmethod
    def from_pil(picture: PilImage.Image) -> "Image":
        """Make an Image of a Pillow picture of any 8-bit mode; transparency becomes alpha."""
        mode = "RGBA" if picture.has_transparency_data else "RGB"
        return Image.from_uint8(np.asarray(picture.convert(mode)))

    def save(self, path: Path) -> Path:
        """Write a PNG to `path`, whole or not at all, and return `path`."""
        with atomic_file(path) as temporary:
            self.to_pil().save(temporary, format="PNG")
        return path

    @staticmethod
    def load(path: Path) -> "Image":
        """Read an artifact picture. For pictures of users use `framework.data.pictures.read_picture`.

        Raises ArtifactError when the file is missing or not a whole picture.
        """
        try:
            with opened_picture(path, max_pixels=MAX_PIXELS) as picture:
                picture.load()
                return Image.from_pil(picture)
        except UNREADABLE as error:
            raise ArtifactError(f"{path}: can't be read as a picture ({error})") from error


def _resample(values: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """(height, width, C) of (H, W, C), channel by channel: Pillow resamples floats in single planes only."""
    planes = [PilImage.fromarray(np.ascontiguousarray(values[..., i])) for i in range(values.shape[2])]
    resized = [np.asarray(plane.resize((width, height), PilImage.Resampling.LANCZOS)) for plane in planes]
    return np.stack(resized, axis=-1)
