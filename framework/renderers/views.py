"""Views of a mesh as tensors: shaded clay, plain colours, normals, depth, mask; for previews and for training data.

Dimension letters: B cameras, V vertices, F faces, H rows, W columns, M pixels that see a face.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import normalize

from framework.geometry.camera import Camera, homogeneous, orbit
from framework.geometry.mesh import Mesh
from framework.geometry.normals import area_normals
from framework.renderers.rasterizer import Fragments, Rasterizer
from framework.renderers.shading import (
    CLAY,
    PointLight,
    lambert,
    linear_from_srgb,
    phong,
    srgb_from_linear,
    studio_light,
)
from framework.renderers.surface import Surface, surface_of
from framework.renderers.texturing import screen_derivatives

Mode = Literal["shaded", "lambert", "phong", "color", "normal", "position", "depth", "label", "mask"]
MODES: tuple[Mode, ...] = get_args(Mode)
CANONICAL_VIEWS = ("front", "right", "back", "left")


def canonical_cameras(half_extent: float = 1.2) -> Camera:
    """Return the four orthographic cameras at azimuth 0, 90, 180, 270: front (at +Z), right (at +X), back, left."""
    return Camera.orthographic(orbit((0.0, 90.0, 180.0, 270.0), 0.0, 5.0), half_extent)


def render_mesh(
    mesh: Mesh,
    cameras: Camera,
    resolution: int | tuple[int, int],
    rasterizer: Rasterizer,
    modes: Sequence[Mode] = ("shaded",),
    supersample: int = 1,
    crease_degrees: float | None = None,
    light: PointLight | None = None,
) -> dict[Mode, Tensor]:
    """Return pictures (B, H, W, C) float32 of `mesh` from `cameras` (B), one entry for each mode, on their device.

    shaded, lambert, phong, color, normal: RGBA in [0, 1], straight alpha, colour 0 where alpha is 0. shaded: studio
    light, sRGB. lambert, phong: one lamp (`light`), computed in the colours' own values. color: textures or vertex
    colours (clay if there are none) without light, sRGB. normal: world-space normals as (n + 1) / 2, turned towards the
    viewer where a face is seen from behind. position: world positions and alpha. depth: (..., 1) distance from the
    camera plane in world units, 0 where nothing is seen. label: (..., 1) label of the nearest corner of the face seen,
    -1 where nothing is seen; never mixed, with supersampling that of one sample. mask: (..., 1) covered share of the
    pixel. resolution: pixels, one number for a square or (H, W). supersample: n draws n x n samples for each pixel.
    crease_degrees: see `surface_of`. Raises ValueError for an unknown mode.
    """
    surface = surface_of(mesh, crease_degrees, cameras.world_from_camera.device)
    return render_surface(surface, cameras, resolution, rasterizer, modes, supersample, light)


def render_surface(
    surface: Surface,
    cameras: Camera,
    resolution: int | tuple[int, int],
    rasterizer: Rasterizer,
    modes: Sequence[Mode] = ("shaded",),
    supersample: int = 1,
    light: PointLight | None = None,
) -> dict[Mode, Tensor]:
    """Like `render_mesh`, for a mesh that was made ready with `surface_of` and is drawn many times."""
    unknown = set(modes) - set(MODES)
    if unknown:
        raise ValueError(f"modes: {', '.join(sorted(unknown))} unknown. Choose from {', '.join(MODES)}")
    height, width = (resolution, resolution) if isinstance(resolution, int) else resolution
    clip = homogeneous(surface.positions) @ cameras.clip_from_world.transpose(1, 2)
    fragments = rasterizer.rasterize(clip, surface.faces, (height * supersample, width * supersample))
    drawn = _Drawing(surface, cameras, rasterizer, fragments, clip, light or PointLight())
    return {mode: drawn.picture(mode, supersample) for mode in MODES if mode in modes}


class _Drawing:
    """One rasterization; each mode turns it into a picture. Works on the M pixels that see a face only."""

    def __init__(
        self,
        surface: Surface,
        cameras: Camera,
        rasterizer: Rasterizer,
        fragments: Fragments,
        clip: Tensor,
        light: PointLight,
    ) -> None:
        self.surface, self.cameras, self.rasterizer, self.fragments = surface, cameras, rasterizer, fragments
        self.clip, self.light = clip, light
        self.pixel = fragments.mask.flatten().nonzero().squeeze(1)
        self.camera = self.pixel // fragments.face_index[0].numel()

    def picture(self, mode: Mode, supersample: int) -> Tensor:
        """The (B, H, W, C) picture of one mode, averaged over samples."""
        if mode == "mask":
            return _averaged(self.fragments.mask[..., None].float(), supersample)
        if mode == "label":
            return self._labels()[:, supersample // 2 :: supersample, supersample // 2 :: supersample]
        values = {
            "shaded": self._shaded,
            "lambert": lambda: lambert(self._points, self._raw_normals, self._colors(), self.light),
            "phong": self._phong,
            "color": self._colors,
            "normal": lambda: self._normals * 0.5 + 0.5,
            "position": lambda: self._points,
            "depth": self._depth,
        }
        averaged = self._average_covered(values[mode](), supersample)
        if mode == "shaded":
            averaged[..., :3] = srgb_from_linear(averaged[..., :3])
        return averaged[..., :1] if mode == "depth" else averaged

    def _average_covered(self, values: Tensor, supersample: int) -> Tensor:
        """(B, H, W, C + 1) mean of `values` (M, C) over the covered samples of a pixel, and the covered share."""
        covered = torch.cat([values, torch.ones_like(values[:, :1])], 1)
        shape = self.fragments.face_index.shape
        samples = values.new_zeros((shape.numel(), covered.shape[1])).index_copy_(0, self.pixel, covered)
        mean = _averaged(samples.view(*shape, -1), supersample)
        if supersample > 1:
            mean[..., :-1] /= mean[..., -1:].clamp(min=1e-6)
        return mean

    @cached_property
    def _corner_values(self) -> dict[str, Tensor]:
        """(M, C) of everything that the surface knows of its corners, interpolated in one go."""
        surface = self.surface
        exposure = None if surface.exposure is None else surface.exposure[:, None]
        known = {"normal": surface.normals, "color": surface.colors, "exposure": exposure}
        present = {name: values for name, values in known.items() if values is not None}
        stacked = torch.cat(list(present.values()), 1)
        picture = self.rasterizer.interpolate(stacked[None], self.fragments, surface.corner_faces)
        seen = picture.view(-1, stacked.shape[1]).index_select(0, self.pixel)
        return dict(zip(present, seen.split([values.shape[1] for values in present.values()], 1), strict=True))

    def _colors(self) -> Tensor:
        """(M, 3) sRGB."""
        colors, textures = self._corner_values.get("color"), self.surface.textures
        if textures is not None:
            picture = self.rasterizer.interpolate(textures.uv[None], self.fragments, textures.uv_faces)
            uv = picture.view(-1, 2).index_select(0, self.pixel)
            face = self.fragments.face_index.flatten().index_select(0, self.pixel)
            return textures.colors(uv, face, colors, self._texture_steps() if textures.has_pictures else None)
        return self.surface.positions.new_tensor(CLAY).expand(len(self.pixel), 3) if colors is None else colors

    def _texture_steps(self) -> Tensor:
        """(M, 2, 2) how texture coordinates change from a pixel to the next."""
        textures, faces = self.surface.textures, self.surface.faces
        assert textures is not None
        corners = torch.arange(faces.numel(), device=faces.device).view(-1, 3)
        uv, clip = textures.uv[textures.uv_faces.flatten()], self.clip[:, faces.flatten()]
        return screen_derivatives(uv[None], self.fragments, clip, corners).view(-1, 2, 2).index_select(0, self.pixel)

    def _labels(self) -> Tensor:
        """(B, H, W, 1) label of the corner with the largest weight, -1 where nothing is seen."""
        shape, surface = self.fragments.face_index.shape, self.surface
        face = self.fragments.face_index.flatten().index_select(0, self.pixel)
        nearest = self.fragments.barycentric.view(-1, 3).index_select(0, self.pixel).argmax(1)
        corner = surface.faces[face, nearest]
        labels = torch.zeros_like(corner) if surface.labels is None else surface.labels[corner]
        picture = surface.positions.new_full((shape.numel(),), -1)
        return picture.index_copy(0, self.pixel, labels.to(picture)).view(*shape, 1)

    @cached_property
    def _points(self) -> Tensor:
        """(M, 3) world positions."""
        picture = self.rasterizer.interpolate(self.surface.positions[None], self.fragments, self.surface.faces)
        return picture.view(-1, 3).index_select(0, self.pixel)

    def _phong(self) -> Tensor:
        """(M, 3) colours in the light of one lamp."""
        eye = _eyes(self.cameras)[self.camera]
        viewers = normalize(eye[:, :3] - eye[:, 3:] * self._points, dim=1)
        return phong(self._points, self._raw_normals, viewers, self._colors(), self.light)

    @cached_property
    def _raw_normals(self) -> Tensor:
        """(M, 3) unit world normals, outwards."""
        return normalize(self._corner_values["normal"], dim=1)

    @cached_property
    def _normals(self) -> Tensor:
        """(M, 3) unit world normals, towards the viewer."""
        face = self.fragments.face_index.flatten().index_select(0, self.pixel)
        turned = ~_faces_viewer(self.surface, self.cameras)[self.camera, face]
        return torch.where(turned[:, None], -self._raw_normals, self._raw_normals)

    def _shaded(self) -> Tensor:
        """(M, 3) linear light."""
        of_camera = self._normals.split(torch.bincount(self.camera, minlength=len(self.cameras)).tolist())
        poses = self.cameras.world_from_camera[:, :3, :3]
        in_camera = torch.cat([normals @ pose for normals, pose in zip(of_camera, poses, strict=True)])
        exposure = self._corner_values.get("exposure")
        albedo = linear_from_srgb(self._colors())
        return studio_light(in_camera, self._normals[:, 1], albedo, None if exposure is None else exposure[:, 0])

    def _depth(self) -> Tensor:
        """(M, 1) distance from the camera plane."""
        away = self._points - self.cameras.origins[self.camera]
        return (away * self.cameras.forward[self.camera]).sum(1, keepdim=True)


def _faces_viewer(surface: Surface, cameras: Camera) -> Tensor:
    """(B, F) whether the outer side of each face is seen."""
    eye = _eyes(cameras)
    towards = eye[:, None, :3] - eye[:, None, 3:] * surface.positions[surface.faces[:, 0]]
    return (towards * area_normals(surface.positions, surface.faces)).sum(2) > 0


def _eyes(cameras: Camera) -> Tensor:
    """(B, 4) homogeneous points that project to the clip vector (0, 0, -1, 0): eyes, or the way back to them."""
    return -torch.linalg.inv(cameras.clip_from_world)[:, :, 2]


def _averaged(samples: Tensor, supersample: int) -> Tensor:
    """Mean of supersample x supersample blocks of (B, H, W, C)."""
    if supersample == 1:
        return samples
    total = torch.zeros_like(samples[:, ::supersample, ::supersample])
    for row in range(supersample):
        for column in range(supersample):
            total += samples[:, row::supersample, column::supersample]
    return total / supersample**2
