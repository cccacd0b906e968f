"""Whatever rasterizer is installed here draws what the plain-torch one draws: those that the user builds included."""

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

from framework import registry
from framework.geometry.camera import Camera, homogeneous, orbit
from framework.renderers.backends import BACKENDS
from framework.renderers.rasterizer import Rasterizer
from framework.renderers.texturing import screen_derivatives
from framework.renderers.torch_rasterizer import TorchRasterizer

SIZE = (64, 80)


def installed(name: str) -> tuple[Rasterizer, str]:
    """The rasterizer and a device that it draws on; skips where it can't be used."""
    backend = BACKENDS[name]
    if not backend.installed:
        pytest.skip(f"adapter '{name}' is not built" if backend.source else f"extra '{name}'")
    device = "cpu" if "cpu" in backend.devices else "cuda"
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip(f"adapter '{name}' needs a GPU")
    return registry.load_class("renderer", name)(registry.config_class("renderer", name)()), device


def picture(rasterizer: Rasterizer, device: str, kind: str) -> dict[str, Tensor]:
    """Everything that the contract has, on a torus seen from two sides, and the gradients."""
    mesh = trimesh.creation.torus(0.55, 0.25, major_sections=24, minor_sections=12)
    positions = torch.tensor(mesh.vertices, dtype=torch.float32, device=device).requires_grad_()
    faces = torch.tensor(np.array(mesh.faces), device=device)
    poses = orbit((25.0, 200.0), (30.0, -50.0), 3.0)
    camera = Camera.orthographic(poses, 1.0) if kind == "orthographic" else Camera.perspective(poses, 0.7, 1.25)
    generator = torch.Generator().manual_seed(0)
    uv = torch.rand(1, len(positions), 2, generator=generator).to(device).requires_grad_()
    texels = torch.rand(1, 32, 32, 3, generator=generator).to(device)
    weights = torch.rand(2, *SIZE, 4, generator=generator).to(device)
    clip = homogeneous(positions) @ camera.to(device).clip_from_world.mT
    front = rasterizer.rasterize(clip, faces, SIZE)
    behind = rasterizer.peel(clip, faces, front)
    coordinates = rasterizer.interpolate(uv, front, faces)
    steps = screen_derivatives(uv, front, clip, faces)
    color = rasterizer.texture(texels, coordinates, steps, "clamp") * front.mask[..., None]
    smooth = rasterizer.antialias(torch.cat([color, front.mask[..., None].float()], 3), front, clip, faces)
    of_positions, of_uv = torch.autograd.grad((smooth * weights).sum(), (positions, uv))
    results = {"front": front.face_index, "behind": behind.face_index, "depth": front.depth, "smooth": smooth}
    return {name: value.cpu() for name, value in (results | {"positions": of_positions, "uv": of_uv}).items()}


@pytest.mark.parametrize("kind", ["orthographic", "perspective"])
@pytest.mark.parametrize("name", list(BACKENDS))
def test_draws_what_plain_torch_draws(name: str, kind: str) -> None:
    rasterizer, device = installed(name)
    assert rasterizer.name == name
    found, expected = picture(rasterizer, device, kind), picture(TorchRasterizer(), "cpu", kind)
    same = found["front"] == expected["front"]
    assert same.float().mean() > 0.998 and (found["behind"] == expected["behind"]).float().mean() > 0.998
    assert (found["depth"] - expected["depth"])[same].abs().max() < 1e-4
    assert ((found["smooth"] - expected["smooth"]).abs().amax(3) < 0.02)[same].float().mean() > 0.998
    for gradient in ("positions", "uv"):
        similar = torch.nn.functional.cosine_similarity(found[gradient].flatten(), expected[gradient].flatten(), dim=0)
        assert similar > 0.98
