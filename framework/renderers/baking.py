"""Pictures for a surface that was laid flat: from views of the object, or from a field that knows its colours.

Every texel is a point of the surface. A view colours the points that it sees, weighted by how squarely it sees them,
and hardly at all beside edges of depth, where a picture that fits a little badly would bleed. What no view saw is
filled from its surroundings on the surface; a margin is painted around each island, for filters that reach beyond it.

Dimension letters: B views, P points, N texels, V vertices, F faces, S texels of a side, H rows, W columns.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d, normalize, pad

from framework.geometry.appearance import Appearance
from framework.geometry.camera import Camera, homogeneous
from framework.geometry.mesh import Mesh, MeshError
from framework.geometry.occupancy import closest_points
from framework.renderers.materials import textures_of
from framework.renderers.projection import completed, sample_picture
from framework.renderers.rasterizer import Rasterizer
from framework.renderers.shading import CLAY

_POWER = 4.0  # of the cosine: squarely seen beats slanting views early, which keeps details sharp
_GRAZING = 0.1
_EDGE, _EDGE_PIXELS = 0.02, 4.0  # by how much of the object's size, and pixels beyond that, depth jumps at an edge
_BESIDE_EDGES = 1e-3  # weight a pixel away from one, for points that nothing else sees
_FROM_BEHIND = 1e-2  # weight of what a view sees of the inner side: only sheets have one that can be seen


@dataclass(frozen=True, eq=False)
class Texels:
    """The texels whose centre lies in an island, as points of the surface."""

    size: int
    """S: the picture is square."""

    number: Tensor
    """(N,) int64 row * S + column."""

    positions: Tensor
    """(N, 3)."""

    normals: Tensor
    """(N, 3) unit, of the faces: where two sides of a sheet share their vertices, vertices have none."""

    face: Tensor
    """(N,) int64."""

    weights: Tensor
    """(N, 3) shares of the face's corners."""


def texels_of(mesh: Mesh, size: int, rasterizer: Rasterizer, device: torch.device | str = "cpu") -> Texels:
    """The texels of a picture of `size` x `size` on `mesh`; MeshError without texture coordinates in [0, 1]."""
    if mesh.appearance is None or len(mesh.appearance.uv) < 3:
        raise MeshError("baking: the mesh has no texture coordinates. Lay it flat first: framework.geometry.unwrap")
    low, high = float(mesh.appearance.uv.min()), float(mesh.appearance.uv.max())
    if low < 0.0 or high > 1.0:
        raise MeshError(f"baking: texture coordinates run from {low:.3g} to {high:.3g}, but a picture ends at 0 and 1")
    uv = torch.from_numpy(mesh.appearance.uv).to(device)
    flat = torch.cat([uv * 2 - 1, torch.zeros_like(uv[:, :1]), torch.ones_like(uv[:, :1])], 1)
    fragments = rasterizer.rasterize(flat[None], torch.from_numpy(mesh.appearance.corners).to(device), (size, size))
    face = fragments.face_index.flatten()
    number = (face >= 0).nonzero().squeeze(1)
    corners = torch.from_numpy(mesh.faces).to(device)[face[number]]
    weights = fragments.barycentric.reshape(-1, 3)[number]
    positions = _interpolated(torch.from_numpy(mesh.vertices).to(device), corners, weights)
    normals = torch.from_numpy(mesh.face_normals()).to(device)[face[number]]
    return Texels(size, number, positions, normals, face[number], weights)


def bake_views(
    mesh: Mesh,
    cameras: Camera,
    pictures: Tensor,
    rasterizer: Rasterizer,
    size: int = 1024,
    weights: Tensor | None = None,
) -> Mesh:
    """`mesh` with the colours of `pictures` (B, H, W, 4), sRGB and straight alpha, as its texture of `size` x `size`.

    cameras (B) made the pictures. weights (B,): how much each view counts (none: all the same). The mesh needs texture
    coordinates (MeshError), and may be another than the pictures show as long as it lies in the same place.
    """
    device = cameras.world_from_camera.device
    texels = texels_of(mesh, size, rasterizer, device)
    vertices = torch.from_numpy(mesh.vertices).to(device)
    faces = torch.from_numpy(mesh.faces).to(device)
    scene = _Scene(vertices, faces, cameras, pictures.to(device), rasterizer, weights)
    colors, seen = scene.colors(texels.positions, texels.normals)
    unseen = ~seen
    if bool(unseen.any()):
        of_vertex = _completed_vertices(mesh, texels, colors, seen)
        corners = torch.from_numpy(mesh.faces).to(device)[texels.face[unseen]]
        colors[unseen] = _interpolated(of_vertex, corners, texels.weights[unseen])
    return with_texture(mesh, texels, colors)


def bake_field(
    mesh: Mesh,
    field: Callable[[Tensor], Tensor],
    rasterizer: Rasterizer,
    size: int = 1024,
    device: torch.device | str = "cpu",
    chunk: int = 262_144,
) -> Mesh:
    """`mesh` with the sRGB colours that `field` gives for surface points, (P, 3) -> (P, 3), as its texture.

    `chunk` points are asked at once. The mesh needs texture coordinates (MeshError).
    """
    texels = texels_of(mesh, size, rasterizer, device)
    colors = torch.cat([field(points) for points in texels.positions.split(chunk)])
    return with_texture(mesh, texels, colors)


def colors_of(mesh: Mesh) -> Callable[[Tensor], Tensor]:
    """The colours of the place of `mesh` that is nearest to each point (P, 3), as a field for `bake_field`.

    So the looks of a mesh with any number of materials are brought to a copy of it, simplified or made anew.
    """
    textures = None if mesh.appearance is None else textures_of(mesh.appearance)
    vertex_colors = None if mesh.vertex_colors is None else torch.from_numpy(mesh.vertex_colors[:, :3])
    triangles, faces = torch.from_numpy(mesh.triangles).double(), torch.from_numpy(mesh.faces)

    def field(points: Tensor) -> Tensor:
        places, face = (torch.from_numpy(array) for array in closest_points(mesh, points.cpu().numpy()))
        weights = _barycentric(triangles[face], places).float()
        own = None if vertex_colors is None else _interpolated(vertex_colors, faces[face], weights)
        if textures is not None:
            own = textures.colors(_interpolated(textures.uv, textures.uv_faces[face], weights), face, own)
        return (points.new_tensor(CLAY).expand_as(points) if own is None else own).to(points)

    return field


def _barycentric(triangles: Tensor, places: Tensor) -> Tensor:
    """(P, 3) shares of the corners of `triangles` (P, 3, 3) at places on them; equal ones where there is no area."""
    a, b, c = triangles.unbind(1)
    normal = torch.linalg.cross(b - a, c - a)
    area = (normal * normal).sum(1, keepdim=True)
    parts = [torch.linalg.cross(v - u, places - u) for u, v in ((b, c), (c, a), (a, b))]
    shares = torch.cat([(part * normal).sum(1, keepdim=True) for part in parts], 1) / area
    return torch.where(area > 0, shares, 1 / 3).clamp(0, 1)


def with_texture(mesh: Mesh, texels: Texels, colors: Tensor) -> Mesh:
    """`mesh` with one material whose picture holds `colors` (N, 3) in [0, 1] at `texels`, spread beyond the islands."""
    assert mesh.appearance is not None
    picture = torch.zeros(texels.size**2, 3, device=colors.device).index_copy_(0, texels.number, colors.float())
    filled = torch.zeros(texels.size**2, dtype=torch.bool, device=colors.device).index_fill_(0, texels.number, True)
    pixels = (picture.clamp(0, 1) * 255).round().byte().view(texels.size, texels.size, 3).cpu().numpy()
    spread = _spread(pixels, filled.view(texels.size, texels.size).cpu().numpy())
    old = mesh.appearance
    one = np.zeros(len(mesh.faces), np.int64)
    material = replace(old.materials[0], base_color=(1.0, 1.0, 1.0, 1.0), base_color_picture=spread)
    return replace(mesh, appearance=Appearance([material], one, old.uv, old.corners))


class _Scene:
    """The views of an object, ready to be asked for the colours of its points."""

    def __init__(
        self,
        vertices: Tensor,
        faces: Tensor,
        cameras: Camera,
        pictures: Tensor,
        rasterizer: Rasterizer,
        weights: Tensor | None,
    ) -> None:
        if pictures.ndim != 4 or len(pictures) != len(cameras) or pictures.shape[3] != 4:
            shape = tuple(pictures.shape)
            raise ValueError(f"bake_views: pictures have shape {shape}, expected ({len(cameras)}, H, W, 4) RGBA")
        self.cameras = cameras
        self.weights = [1.0] * len(cameras) if weights is None else weights.tolist()
        height, width = pictures.shape[1:3]
        self.extent = float((vertices.amax(0) - vertices.amin(0)).max())
        self.pixel = 2 / height * self.extent  # of a picture that shows all of the object, or more than one of that
        clip = homogeneous(vertices) @ cameras.clip_from_world.transpose(1, 2)
        fragments = rasterizer.rasterize(clip, faces, (height, width))
        distance = _distance(vertices, cameras)
        depth = rasterizer.interpolate(distance[..., None], fragments, faces)[..., 0]
        self.depth = torch.where(fragments.mask, depth, torch.inf)
        jump = _EDGE * self.extent + _EDGE_PIXELS * self.pixel
        # A clear pixel's colour means nothing, and one at an edge is mixed: they must not enter the interpolation.
        trust = _away_from_edges(self.depth, pictures[..., 3], jump) * pictures[..., 3]
        self.trusted = torch.cat([pictures[..., :3] * trust[..., None], trust[..., None]], 3)

    def colors(self, points: Tensor, normals: Tensor) -> tuple[Tensor, Tensor]:
        """(P, 3) weighted mean of the views' colours, and (P,) whether any view says something."""
        sums, total = torch.zeros_like(points), torch.zeros_like(points[:, 0])
        for view, own in enumerate(self.weights):
            color, trust, weight = self._seen(view, points, normals)
            sums += color * (own * weight)[:, None]
            total += own * weight * trust
        return sums / total.clamp(min=1e-12)[:, None], total > 1e-12

    def _seen(self, view: int, points: Tensor, normals: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(P, 3) colours times trust, (P,) trust and (P,) weights of one view."""
        camera = self.cameras[view]
        ndc = camera.project(points)
        facing = -(normals * _towards(camera, points)).sum(1)
        cosine = facing.abs()
        weight = ((cosine > _GRAZING) & (ndc[:, :2].abs() <= 1).all(1)) * torch.where(facing > 0, 1.0, _FROM_BEHIND)
        distance = _distance(points, self.cameras[view : view + 1])[0]
        weight = weight * _unoccluded(self.depth[view], ndc, distance, cosine, self.pixel)
        color, trust = sample_picture(self.trusted[view], ndc).split((3, 1), 1)
        return color, trust[:, 0], weight * cosine**_POWER


def _completed_vertices(mesh: Mesh, texels: Texels, colors: Tensor, seen: Tensor) -> Tensor:
    """(V, 3) colours of all vertices: those of the seen texels around them, and from there along the mesh's edges."""
    joined = torch.from_numpy(mesh.welded_faces()).to(colors.device)
    corners = joined[texels.face[seen]].flatten()
    shares = (texels.weights[seen] ** 4).flatten()  # near a vertex, near its colour
    total = colors.new_zeros(len(mesh.vertices)).index_add_(0, corners, shares)
    sums = colors.new_zeros(len(mesh.vertices), 3)
    sums.index_add_(0, corners, colors[seen].repeat_interleave(3, 0) * shares[:, None])
    known = total > 1e-6
    everywhere = colors[seen].mean(0) if bool(seen.any()) else 0.5  # for parts that no view reaches at all
    of_vertex = torch.where(known[:, None], sums / total.clamp(min=1e-6)[:, None], everywhere)
    filled = completed(of_vertex, known, joined)
    faces = torch.from_numpy(mesh.faces).to(colors.device)
    return filled.index_copy(0, faces.flatten(), filled[joined.flatten()])  # one place, one colour


def _interpolated(attributes: Tensor, corners: Tensor, weights: Tensor) -> Tensor:
    return torch.einsum("pcx,pc->px", attributes[corners], weights)


def _distance(points: Tensor, cameras: Camera) -> Tensor:
    """(B, P) distance of points (P, 3) from the cameras' planes."""
    offsets = points - cameras.origins[:, None]
    return torch.einsum("bpx,bx->bp", offsets, cameras.forward)


def _towards(camera: Camera, points: Tensor) -> Tensor:
    """(P, 3) unit directions in which the camera looks at the points: parallel for an orthographic one."""
    if bool(camera.clip_from_camera[3, 3] == 1):
        return camera.forward.expand_as(points)
    return normalize(points - camera.origins, dim=1)


def _away_from_edges(depth: Tensor, alpha: Tensor, jump: float) -> Tensor:
    """(B, H, W) one where depth is smooth and the picture opaque for two pixels around, little for one, else zero."""
    # Second differences: a slanting plane is no edge however steep it is.
    nearest = pad(depth.nan_to_num(posinf=1e6)[:, None], (1, 1, 1, 1), value=1e6)
    middle = nearest[..., 1:-1, 1:-1]
    lines = [nearest[..., 1:-1, :-2] + nearest[..., 1:-1, 2:], nearest[..., :-2, 1:-1] + nearest[..., 2:, 1:-1]]
    lines += [nearest[..., :-2, :-2] + nearest[..., 2:, 2:], nearest[..., :-2, 2:] + nearest[..., 2:, :-2]]
    bend = torch.stack([(ends - 2 * middle).abs() for ends in lines]).amax(0)
    smooth = ((bend < jump) & (alpha[:, None] > 0.99)).to(depth)
    return torch.lerp(-max_pool2d(-smooth, 3, 1, 1), smooth, _BESIDE_EDGES)[:, 0]


def _unoccluded(depth: Tensor, ndc: Tensor, distance: Tensor, cosine: Tensor, pixel: float) -> Tensor:
    """(P,) share of the four pixels around each point at which nothing lies before it, by the view's `depth` (H, W)."""
    height, width = depth.shape
    slope = (1 - cosine**2).clamp(min=0).sqrt() / cosine.clamp(min=_GRAZING)
    limit = distance - pixel * (1.0 + 1.5 * slope)
    x, y = (ndc[:, 0] + 1) / 2 * width - 0.5, (1 - ndc[:, 1]) / 2 * height - 0.5
    open_ = torch.zeros_like(distance)
    for row in (y.floor(), y.floor() + 1):
        for column in (x.floor(), x.floor() + 1):
            place = row.long().clamp(0, height - 1) * width + column.long().clamp(0, width - 1)
            open_ += (depth.flatten()[place] >= limit) * (1 - (x - column).abs()) * (1 - (y - row).abs())
    return open_


def _spread(pixels: np.ndarray, filled: np.ndarray) -> np.ndarray:
    """(S, S, 3) with every empty texel taking the colour of the nearest filled one."""
    from scipy.ndimage import distance_transform_edt

    if not filled.any():
        return pixels
    rows, columns = distance_transform_edt(~filled, return_distances=False, return_indices=True)
    return pixels[rows, columns]
