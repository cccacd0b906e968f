"""Frames of StyleSDF's films: what the generator shows along a path, and the surface under a lamp.

Dimension letters: F frames, H rows, W columns, L layers of the decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from framework.export.images import to_bytes
from framework.geometry.camera import Camera
from framework.geometry.mesh import Mesh
from framework.geometry.normals import angle_normals
from framework.renderers.rasterizer import Rasterizer
from framework.renderers.shading import PointLight
from framework.renderers.surface import Surface
from framework.renderers.views import render_surface
from methods.stylesdf.cameras import ViewCameras
from methods.stylesdf.config import RendererConfig
from methods.stylesdf.nets.generator import Generator
from methods.stylesdf.pictures import video_frame
from methods.stylesdf.surface import depth_mesh, surface_pass

LIGHT = PointLight()
"""The lamp of the published surface films; the framework's default is the same."""

NoiseOf = Callable[[ViewCameras], list[Tensor] | None]
"""One camera -> the decoder's noise, L tensors (1, 1, r, r); none: its own."""


def picture_frames(
    generator: Generator,
    latents: Tensor,
    codes: Tensor | None,
    path: ViewCameras,
    options: RendererConfig,
    noise_of: NoiseOf,
) -> Iterator[NDArray[np.uint8]]:
    """Yield F pictures (H, W, 3) of renderer latents (1, D) and decoder codes (1, L, 2D) along `path`."""
    for number in range(len(path)):
        camera = path[number : number + 1]
        made = generator(camera, renderer_latents=latents, decoder_codes=codes, noise=noise_of(camera), options=options)
        yield video_frame((made.thumbnail if made.image is None else made.image)[0])


def surface_frames(
    generator: Generator,
    latents: Tensor,
    path: ViewCameras,
    options: RendererConfig,
    resolution: int,
    size: int,
    rasterizer: Rasterizer,
) -> Iterator[NDArray[np.uint8]]:
    """Yield F pictures (`size`, `size`, 3) of the surface of renderer latents (1, D), seen by `resolution` samples."""
    for number in range(len(path)):
        camera = path[number : number + 1]
        mesh = depth_mesh(surface_pass(generator.renderer, latents, camera, options, resolution))
        assert mesh is not None
        grey = shaded(mesh_surface(mesh, latents.device), camera.to_camera(), size, rasterizer)
        yield to_bytes(grey[0, ..., None].expand(-1, -1, 3).cpu().numpy(), "down")


def mesh_surface(mesh: Mesh, device: torch.device) -> Surface:
    """A mesh ready to be drawn in white, its normals weighted by the angles of corners."""
    positions, faces = torch.from_numpy(mesh.vertices).to(device), torch.from_numpy(mesh.faces).to(device)
    return Surface(positions, faces, faces, angle_normals(positions, faces), colors=torch.ones_like(positions))


def shaded(surface: Surface, camera: Camera, size: int, rasterizer: Rasterizer, light: PointLight = LIGHT) -> Tensor:
    """(B, size, size) grey values of a white surface under one lamp, on white."""
    drawn = render_surface(surface, camera, size, rasterizer, ("phong", "mask"), light=light)
    return torch.where(drawn["mask"][..., 0] > 0, drawn["phong"][..., 0], 1.0)
