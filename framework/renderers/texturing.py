"""Pictures on surfaces: bilinear and trilinear samples of a texture, and how fast its coordinates run over the screen.

Texture coordinates are those of glTF: (0, 0) is the upper left corner of the texture, (1, 1) the lower right one, and
centres of texels lie half a texel inside. A texture that is seen small is read from a pyramid of averaged copies
(Williams, "Pyramidal parametrics", SIGGRAPH 1983), at the level where one texel is as large as the longer axis of the
pixel's footprint.

Dimension letters: B pictures, H rows, W columns, C channels, A attributes; T, S rows and columns of a texture, L
levels, N texels of all levels, M samples.
"""

from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from framework.renderers.arguments import check_attributes, check_faces
from framework.renderers.rasterizer import Fragments, Wrap

_WRAPS = get_args(Wrap)


def texture(image: Tensor, uv: Tensor, derivatives: Tensor | None = None, wrap: Wrap = "repeat") -> Tensor:
    """Return (B, H, W, C) samples of `image` (1 or B, T, S, C) at `uv` (B, H, W, 2); see `Rasterizer.texture`."""
    _check(image, uv, derivatives, wrap)
    return sample_levels([image] if derivatives is None else pyramid(image), uv, derivatives, wrap)


def sample_levels(levels: list[Tensor], uv: Tensor, derivatives: Tensor | None = None, wrap: Wrap = "repeat") -> Tensor:
    """The same from a pyramid that was made before, whose first level is the texture itself."""
    image = levels[0]
    table = _Table(levels, uv.shape, wrap)
    flat = uv.reshape(-1, 2)
    if derivatives is None:
        return table.read(flat, torch.zeros_like(flat[:, 0], dtype=torch.int64)).view(*uv.shape[:3], image.shape[3])
    level = _level(derivatives.reshape(-1, 2, 2), image.shape[1:3], len(levels))
    lower = level.detach().floor().long()
    share = (level - lower)[:, None].to(image.dtype)
    fine, coarse = table.read(flat, lower), table.read(flat, (lower + 1).clamp(max=len(levels) - 1))
    return (fine + share * (coarse - fine)).view(*uv.shape[:3], image.shape[3])


def pyramid(image: Tensor) -> list[Tensor]:
    """Return `image` (B, T, S, C) and its averaged copies, each half as large (rounded down), down to one texel."""
    levels = [image]
    while max(levels[-1].shape[1:3]) > 1:
        height, width = (max(length // 2, 1) for length in levels[-1].shape[1:3])
        levels.append(adaptive_avg_pool2d(levels[-1].permute(0, 3, 1, 2), (height, width)).permute(0, 2, 3, 1))
    return levels


def screen_derivatives(attributes: Tensor, fragments: Fragments, clip_positions: Tensor, faces: Tensor) -> Tensor:
    """Return (B, H, W, A, 2) how much `attributes` (B or 1, V, A) change from a pixel to the next: to the right, down.

    Exact at the pixel's centre and within its face, perspective included; 0 where nothing is seen. For texture
    coordinates this is what `Rasterizer.texture` wants. `faces` (F, 3) index attributes and positions alike.
    """
    check_attributes(attributes, fragments, faces)
    check_faces(faces, clip_positions.shape[1], clip_positions.device)
    pictures, height, width = fragments.face_index.shape
    pixel = fragments.mask.flatten().nonzero().squeeze(1)
    picture = pixel // (height * width)
    corners = faces.t()[:, fragments.face_index.flatten()[pixel]]
    x, y, _, w = clip_positions.reshape(-1, 4)[corners + picture * clip_positions.shape[1]].unbind(2)
    centre_x = ((pixel % width).to(x.dtype) + 0.5) * (2 / width) - 1
    centre_y = 1 - ((pixel // width % height).to(x.dtype) + 0.5) * (2 / height)
    x, y = x - centre_x * w, y - centre_y * w
    after, before = [1, 2, 0], [2, 0, 1]
    total = (x[after] * y[before] - x[before] * y[after]).sum(0)
    to_right = (w[before] * y[after] - w[after] * y[before]) * (2 / width)
    downwards = (w[after] * x[before] - w[before] * x[after]) * (-2 / height)
    weights = fragments.barycentric.reshape(-1, 3)[pixel].t()
    values = attributes.reshape(-1, attributes.shape[2])
    values = values[corners + (picture * attributes.shape[1] if len(attributes) > 1 else 0)]
    changes = []
    for areas in (to_right, downwards):
        of_weights = (areas - weights * areas.sum(0)) / torch.where(total == 0, torch.inf, total)
        changes.append((of_weights[..., None].to(values.dtype) * values).sum(0))
    picture_of = values.new_zeros((pictures * height * width, attributes.shape[2], 2))
    return picture_of.index_copy(0, pixel, torch.stack(changes, 2)).view(pictures, height, width, *picture_of.shape[1:])


@dataclass(frozen=True, eq=False)
class _Axis:
    """The two neighbouring texels of each sample along one axis."""

    index: tuple[Tensor, Tensor]
    """(M,) int64 each, inside the level."""

    weight: tuple[Tensor, Tensor]
    """(M,) each; 0 outside for `zero`."""


class _Table:
    """All levels of a texture in one row of texels, so that every sample may read another level."""

    def __init__(self, levels: list[Tensor], shape: torch.Size, wrap: Wrap) -> None:
        device, self.wrap = levels[0].device, wrap
        self.texels = torch.cat([level.flatten(1, 2) for level in levels], 1)
        self.sizes = torch.tensor([level.shape[1:3] for level in levels], device=device)
        self.starts = self.sizes.prod(1).cumsum(0) - self.sizes.prod(1)
        samples = torch.arange(shape[:3].numel(), device=device)
        per_picture = max(shape[1] * shape[2], 1)
        self.picture = samples // per_picture * self.texels.shape[1] if len(self.texels) > 1 else samples * 0

    def read(self, uv: Tensor, level: Tensor) -> Tensor:
        """(M, C) bilinear samples at `uv` (M, 2) of level numbers (M,)."""
        size = self.sizes[level]
        across, down = (_neighbours(uv[:, axis], size[:, 1 - axis], self.wrap) for axis in (0, 1))
        texels, start = self.texels.flatten(0, 1), self.picture + self.starts[level]
        total = texels.new_zeros(())
        for row, of_row in zip(down.index, down.weight, strict=True):
            for column, of_column in zip(across.index, across.weight, strict=True):
                weight = (of_row * of_column).to(texels.dtype)
                total = total + texels.index_select(0, start + row * size[:, 1] + column) * weight[:, None]
        return total


def _neighbours(coordinate: Tensor, size: Tensor, wrap: Wrap) -> _Axis:
    # What is not a number reads the first texel; beyond a million repeats a float has no fraction anyway.
    place = (coordinate.nan_to_num(0, 0, 0).clamp(-1e6, 1e6)) * size - 0.5
    low = place.detach().floor()
    share = place - low
    first = low.long()
    indices, weights = (first, first + 1), (1 - share, share)
    if wrap == "repeat":
        return _Axis((first.remainder(size), (first + 1).remainder(size)), weights)
    if wrap == "zero":
        inside = tuple(((index >= 0) & (index < size)).to(share.dtype) for index in indices)
        weights = weights[0] * inside[0], weights[1] * inside[1]
    last = size - 1
    return _Axis((indices[0].clamp(min=0).minimum(last), indices[1].clamp(min=0).minimum(last)), weights)


def _level(derivatives: Tensor, size: torch.Size, levels: int) -> Tensor:
    """(M,) level of the pyramid, from 0 to `levels` - 1, of footprints (M, 2, 2): [u or v, to the right or down]."""
    rows, columns = size
    texels = derivatives * derivatives.new_tensor([columns, rows])[:, None]
    # The longer axis of the ellipse that a round pixel covers: the largest singular value, squared.
    a, b, c = (texels[:, 0] ** 2).sum(1), (texels[:, 0] * texels[:, 1]).sum(1), (texels[:, 1] ** 2).sum(1)
    spread = ((a - c) ** 2 / 4 + b**2).clamp(min=1e-30).sqrt()
    longest = ((a + c) / 2 + spread).nan_to_num(1.0, 1e30)
    return (0.5 * longest.clamp(min=1e-30).log2()).clamp(0, levels - 1)


def _check(image: Tensor, uv: Tensor, derivatives: Tensor | None, wrap: str) -> None:
    if uv.ndim != 4 or uv.shape[3] != 2 or not uv.is_floating_point():
        raise ValueError(f"uv is {uv.dtype} of shape {tuple(uv.shape)}, expected floating (B, H, W, 2)")
    if image.ndim != 4 or len(image) not in (1, len(uv)) or min(image.shape[1:3]) < 1 or not image.is_floating_point():
        expected = f"floating (1 or {len(uv)}, rows, columns, C) with at least one texel"
        raise ValueError(f"the texture is {image.dtype} of shape {tuple(image.shape)}, expected {expected}")
    if derivatives is not None and derivatives.shape != (*uv.shape, 2):
        raise ValueError(f"derivatives have shape {tuple(derivatives.shape)}, expected {(*uv.shape, 2)}")
    devices = {image.device, uv.device} | ({derivatives.device} if derivatives is not None else set())
    if len(devices) > 1:
        raise ValueError(f"texture and uv are on {', '.join(sorted(map(str, devices)))}, expected one device")
    if wrap not in _WRAPS:
        raise ValueError(f"wrap is '{wrap}', expected one of {', '.join(_WRAPS)}")
