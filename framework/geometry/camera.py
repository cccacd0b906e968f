"""The one camera of the framework: OpenGL/glTF convention, orthographic or perspective, batched.

World +Y up, right-handed. A camera looks along its own -Z with +Y up and +X to the right of the picture. Clip space
divides to NDC in [-1, 1]^3 with the near plane at -1; NDC +Y is up, so row 0 of a picture lies at NDC y = +1.
Other conventions are converted at their border by `framework.geometry.conventions`.

Legend: "..." any number of batch axes, P points, H rows, W columns. Matrices act on column vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Angle = float | Sequence[float] | Float[Tensor, "..."]
Point = Sequence[float] | Float[Tensor, "... 3"]


@dataclass(frozen=True, eq=False)
class Camera:
    """Where a camera stands and how it projects; both matrices share dtype, device and batch axes."""

    world_from_camera: Float[Tensor, "... 4 4"]
    """Rigid pose: columns are the camera's right, up, backward directions and its position."""

    clip_from_camera: Float[Tensor, "... 4 4"]
    """Projection."""

    def __post_init__(self) -> None:
        for name in ("world_from_camera", "clip_from_camera"):
            shape = tuple(getattr(self, name).shape)
            if shape[-2:] != (4, 4):
                raise ValueError(f"Camera.{name}: expected shape (..., 4, 4), got {shape}")

    @classmethod
    def orthographic(
        cls, world_from_camera: Float[Tensor, "... 4 4"], half_extent: float, near: float = 0.1, far: float = 10.0
    ) -> Camera:
        """Parallel rays; the picture covers [-half_extent, half_extent] in the camera's x and y (world units)."""
        _check_planes(near, far, positive=False)
        if half_extent <= 0:
            raise ValueError(f"Camera.orthographic: half_extent must be positive, got {half_extent}")
        projection = torch.zeros(4, 4)
        projection[0, 0] = projection[1, 1] = 1.0 / half_extent
        projection[2, 2] = -2.0 / (far - near)
        projection[2, 3] = -(far + near) / (far - near)
        projection[3, 3] = 1.0
        return cls(world_from_camera, projection.to(world_from_camera).expand_as(world_from_camera))

    @classmethod
    def perspective(
        cls,
        world_from_camera: Float[Tensor, "... 4 4"],
        fov_y_radians: float,
        aspect: float = 1.0,
        near: float = 0.1,
        far: float = 10.0,
    ) -> Camera:
        """A pinhole camera; `fov_y_radians` is the full vertical angle, `aspect` is width / height."""
        _check_planes(near, far, positive=True)
        if not 0.0 < fov_y_radians < torch.pi or aspect <= 0:
            raise ValueError(
                f"Camera.perspective: fov_y_radians {fov_y_radians} not in (0, pi) or aspect {aspect} <= 0"
            )
        focal = 1.0 / torch.tensor(0.5 * fov_y_radians, dtype=torch.float64).tan()
        projection = torch.zeros(4, 4, dtype=torch.float64)
        projection[0, 0], projection[1, 1] = focal / aspect, focal
        projection[2, 2] = (far + near) / (near - far)
        projection[2, 3] = 2.0 * far * near / (near - far)
        projection[3, 2] = -1.0
        return cls(world_from_camera, projection.to(world_from_camera).expand_as(world_from_camera))

    @property
    def camera_from_world(self) -> Float[Tensor, "... 4 4"]:
        """Inverse of the pose."""
        return torch.linalg.inv(self.world_from_camera)

    @property
    def clip_from_world(self) -> Float[Tensor, "... 4 4"]:
        """Projection after the inverse pose: what a rasterizer multiplies vertices with."""
        return self.clip_from_camera @ self.camera_from_world

    @property
    def origins(self) -> Float[Tensor, "... 3"]:
        """Camera positions in the world."""
        return self.world_from_camera[..., :3, 3]

    @property
    def forward(self) -> Float[Tensor, "... 3"]:
        """Unit viewing directions in the world."""
        return -self.world_from_camera[..., :3, 2]

    def project(self, points: Float[Tensor, "... P 3"]) -> Float[Tensor, "... P 3"]:
        """NDC of world `points` (batch axes broadcast); mirrored behind the camera plane, infinite on it."""
        clip = homogeneous(points) @ self.clip_from_world.transpose(-1, -2)
        return clip[..., :3] / clip[..., 3:]

    def rays(self, height: int, width: int) -> tuple[Float[Tensor, "... H W 3"], Float[Tensor, "... H W 3"]]:
        """World origins and unit directions through the pixel centres, row 0 at the top.

        Origins lie on the camera plane (for a perspective camera: all at the camera's position).
        """
        like = self.world_from_camera
        x = (torch.arange(width, dtype=like.dtype, device=like.device) + 0.5) / width * 2.0 - 1.0
        y = 1.0 - (torch.arange(height, dtype=like.dtype, device=like.device) + 0.5) / height * 2.0
        ndc_y, ndc_x = torch.meshgrid(y, x, indexing="ij")
        near, far = (self._camera_points(ndc_x, ndc_y, depth) for depth in (-1.0, 1.0))
        directions = torch.nn.functional.normalize(far - near, dim=-1)
        origins = near - directions * (near[..., 2:] / directions[..., 2:])  # back along the ray to z = 0
        return self._to_world(origins, 1.0), self._to_world(directions, 0.0)

    def _camera_points(self, x: Tensor, y: Tensor, depth: float) -> Float[Tensor, "... H W 3"]:
        """Camera-space positions of NDC (x, y) at NDC z = `depth`."""
        ndc = torch.stack([x, y, torch.full_like(x, depth), torch.ones_like(x)], dim=-1)
        camera_from_clip = torch.linalg.inv(self.clip_from_camera)
        points = torch.einsum("...ij,hwj->...hwi", camera_from_clip, ndc)
        return points[..., :3] / points[..., 3:]

    def _to_world(self, vectors: Float[Tensor, "... H W 3"], w: float) -> Float[Tensor, "... H W 3"]:
        """Camera-space positions (w = 1) or directions (w = 0) in the world."""
        rotated = torch.einsum("...ij,...hwj->...hwi", self.world_from_camera[..., :3, :3], vectors)
        return rotated + w * self.origins[..., None, None, :]

    def to(self, target: torch.device | torch.dtype | str) -> Camera:
        """The same cameras on another device or in another dtype."""
        return Camera(self.world_from_camera.to(target), self.clip_from_camera.to(target))

    def __len__(self) -> int:
        """Number of cameras along the first batch axis."""
        if self.world_from_camera.ndim < 3:
            raise TypeError("a single Camera without a batch axis has no length")
        return len(self.world_from_camera)

    def __getitem__(self, index: int | slice | Tensor) -> Camera:
        """A part of the first batch axis."""
        if self.world_from_camera.ndim < 3:
            raise TypeError("a single Camera without a batch axis can't be indexed")
        return Camera(self.world_from_camera[index], self.clip_from_camera[index])


def orbit(azimuth_degrees: Angle, elevation_degrees: Angle, radius: Angle) -> Float[Tensor, "... 4 4"]:
    """world_from_camera of cameras that look at the origin from a sphere; arguments broadcast to the batch axes.

    Azimuth 0 stands at +Z and sees the front, 90 stands at +X; elevation lifts the camera towards +Y and may be
    exactly +-90 (then the picture's up is -Z or +Z at azimuth 0).
    """
    azimuth, elevation, distance = torch.broadcast_tensors(
        *(torch.as_tensor(value, dtype=torch.float64) for value in (azimuth_degrees, elevation_degrees, radius))
    )
    sin_a, cos_a = azimuth.deg2rad().sin(), azimuth.deg2rad().cos()
    sin_e, cos_e = elevation.deg2rad().sin(), elevation.deg2rad().cos()
    right = torch.stack([cos_a, torch.zeros_like(cos_a), -sin_a], dim=-1)
    up = torch.stack([-sin_a * sin_e, cos_e, -cos_a * sin_e], dim=-1)
    backward = torch.stack([sin_a * cos_e, sin_e, cos_a * cos_e], dim=-1)
    return _pose(right, up, backward, distance[..., None] * backward).to(torch.float32)


def look_at(eye: Point, target: Point = (0.0, 0.0, 0.0), up: Point = (0.0, 1.0, 0.0)) -> Float[Tensor, "... 4 4"]:
    """world_from_camera of a camera at `eye` that looks at `target` with `up` upwards in the picture.

    ValueError when eye and target coincide or the direction between them is parallel to `up`.
    """
    position, goal, upwards = torch.broadcast_tensors(
        *(torch.as_tensor(value, dtype=torch.float64) for value in (eye, target, up))
    )
    backward = position - goal
    right = torch.linalg.cross(upwards, backward)
    sine = right.norm(dim=-1) / (upwards.norm(dim=-1) * backward.norm(dim=-1))
    if not bool((sine > 1e-6).all()):  # also catches the NaN of eye == target
        raise ValueError("look_at: eye must differ from target, and up must not be parallel to the viewing direction")
    right = torch.nn.functional.normalize(right, dim=-1)
    backward = torch.nn.functional.normalize(backward, dim=-1)
    return _pose(right, torch.linalg.cross(backward, right), backward, position).to(torch.float32)


def homogeneous(points: Float[Tensor, "... 3"]) -> Float[Tensor, "... 4"]:
    """Points with a fourth coordinate of one."""
    return torch.cat([points, torch.ones_like(points[..., :1])], dim=-1)


def _pose(right: Tensor, up: Tensor, backward: Tensor, position: Tensor) -> Float[Tensor, "... 4 4"]:
    upper = torch.stack([right, up, backward, position], dim=-1)
    last = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=upper.dtype, device=upper.device)
    return torch.cat([upper, last.expand(*upper.shape[:-2], 1, 4)], dim=-2)


def _check_planes(near: float, far: float, positive: bool) -> None:
    if far <= near or (positive and near <= 0):
        wanted = "0 < near < far" if positive else "near < far"
        raise ValueError(f"Camera: expected {wanted}, got near={near}, far={far}")
