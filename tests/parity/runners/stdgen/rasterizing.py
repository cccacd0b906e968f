"""Runners of the rasterizer's operators, and of the six-view picture of normals, with their gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from framework.geometry.camera import Camera, homogeneous
from framework.geometry.normals import smooth_normals
from framework.renderers.rasterizer import Fragments
from framework.renderers.torch_rasterizer import TorchRasterizer
from tests.parity import fill
from tests.parity.fixture import Fixture
from tests.parity.runners.rules import of_the_largest

# These operators count rows from clip y = -1, which is the bottom of our pictures: positions are mirrored.
_MIRROR = torch.tensor([1.0, -1.0, 1.0, 1.0])
_VIEWS = (4, 3, 2, 0, 6, 5)


def operators(fixture: Fixture) -> dict[str, Any]:
    """Family nvdiffrast_ops: rasterize, interpolate, antialias, and the gradients of positions and attributes.

    `config` has `hw` and `matrices` (views, 4, 4); the mesh is stored (`mesh_vertices`, `mesh_faces`), `attr` are its
    attributes, and the loss is the sum of the antialiased picture times `inputs('loss_weights', its shape)`. Gradients
    may differ by the share of their largest magnitude that the tolerance `gradients` begins with.
    """
    height, width = fixture.config["hw"]
    faces = fixture.tensor("mesh_faces").long()
    matrices = torch.tensor(fixture.config["matrices"])
    positions = (homogeneous(fixture.tensor("mesh_vertices")) @ matrices.mT).requires_grad_()
    attributes = fixture.tensor("attr").requires_grad_()
    rasterizer, clip = TorchRasterizer(), positions * _MIRROR
    fragments = rasterizer.rasterize(clip, faces, (height, width))
    color = rasterizer.interpolate(attributes[None], fragments, faces)
    picture = torch.cat([color, fragments.mask[..., None].float()], 3)
    antialiased = rasterizer.antialias(picture, fragments, clip, faces)
    held = rasterizer.antialias(picture.detach(), fragments, clip, faces)
    weights = torch.from_numpy(fill.inputs("loss_weights", tuple(antialiased.shape), fixture.salt))
    gradients = {
        "grad_pos": torch.autograd.grad((antialiased * weights).sum(), positions, retain_graph=True)[0],
        "grad_attr": torch.autograd.grad((antialiased * weights).sum(), attributes, retain_graph=True)[0],
        "grad_pos_antialias_only": torch.autograd.grad((held * weights).sum(), positions)[0],
    }
    judged = {name: of_the_largest(fixture, name, value, "gradients") for name, value in gradients.items()}
    return {"rast": _packed(fragments), "color": color, "antialiased": antialiased} | judged


def _packed(fragments: Fragments) -> Tensor:
    """(B, H, W, 4): two barycentric weights, depth, face number + 1; zeros where nothing is seen."""
    depth = torch.where(fragments.mask, fragments.depth, 0)
    parts = [fragments.barycentric[..., :2], depth[..., None], fragments.face_index[..., None] + 1]
    return torch.cat([part.float() for part in parts], 3)


def normals_renderer(fixture: Fixture) -> dict[str, Any]:
    """Family normals_renderer: vertex normals, pictures of them from six sides, and the gradient of the vertices.

    `config.image_size` is (H, W), the mesh is stored (`mesh_vertices`, `mesh_faces`). The loss is the mean of all six
    pictures times `inputs('loss_weights', their shape)`.
    """
    height, width = fixture.config["image_size"]
    vertices, faces = fixture.tensor("mesh_vertices").requires_grad_(), fixture.tensor("mesh_faces").long()
    rasterizer, normals = TorchRasterizer(), smooth_normals(vertices, faces)
    camera = Camera.orthographic(six_poses(), 1.2, near=1.0, far=50.0)
    clip = homogeneous(vertices) @ camera.clip_from_world.float().mT
    fragments = rasterizer.rasterize(clip, faces, (height, width))
    color = rasterizer.interpolate(normals[None] * 0.5 + 0.5, fragments, faces)
    picture = torch.cat([color, fragments.mask[..., None].float()], 3)
    image = rasterizer.antialias(picture, fragments, clip, faces)
    weights = torch.from_numpy(fill.inputs("loss_weights", tuple(image.shape), fixture.salt))
    (gradient,) = torch.autograd.grad((image * weights).mean(), vertices)
    return {
        "image": image[[0, 1, 3]],
        "image_sum": image.double().sum((1, 2)),
        "grad": gradient,
        "vertex_normals": normals,
    }


def six_poses() -> Tensor:
    """(6, 4, 4) float64 world_from_camera: view i looks at the origin from a distance of 10, turned by i / 8."""
    angle = torch.tensor(_VIEWS, dtype=torch.float64) * (2 * torch.pi / 8)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    pose = torch.eye(4, dtype=torch.float64).repeat(len(_VIEWS), 1, 1)
    pose[:, 0], pose[:, 2] = torch.stack([cos, zero, -sin, -10 * sin], 1), torch.stack([sin, zero, cos, 10 * cos], 1)
    return pose
