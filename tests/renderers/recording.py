"""What other rasterizers are given and give back for one scene, in their own conventions: `recorded/adapters`.

Computed from the plain-torch rasterizer by the conventions that the libraries document, since none of them runs on
every machine. `python tests/renderers/recording.py` writes the file again.

nvdiffrast: row 0 lies at clip y = -1; fragments are (u, v, z / w, face + 1). PyTorch3D: x to the left, y up, the
shorter side in [-1, 1], z the depth, row 0 at the top. Kaolin: x to the right, y up, in [-1, 1], larger z nearer, row 0
at the top.
"""

from pathlib import Path

import torch
import trimesh
from safetensors.torch import save_file
from torch import Tensor

from framework.geometry.camera import Camera, homogeneous, orbit
from framework.renderers.rasterizer import Fragments
from framework.renderers.torch_rasterizer import TorchRasterizer

PATH = Path(__file__).parent / "recorded" / "adapters.safetensors"
SIZE = (20, 28)


def scene() -> dict[str, Tensor]:
    """Positions (2, V, 4), faces, attributes, a texture with coordinates for each pixel."""
    mesh = trimesh.creation.torus(0.6, 0.3, major_sections=9, minor_sections=6)
    positions, faces = torch.tensor(mesh.vertices, dtype=torch.float32), torch.tensor(mesh.faces.tolist())
    camera = Camera.perspective(orbit((25.0, 200.0), (30.0, -50.0), 3.0), 0.8, 1.4)
    generator = torch.Generator().manual_seed(0)
    return {
        "clip": homogeneous(positions) @ camera.clip_from_world.mT,
        "faces": faces,
        "attributes": torch.rand(1, len(positions), 3, generator=generator),
        "texture": torch.rand(1, 8, 6, 3, generator=generator),
        "uv": torch.rand(2, *SIZE, 2, generator=generator),
        "derivatives": torch.rand(2, *SIZE, 2, 2, generator=generator) * 0.3,
    }


def packed(fragments: Fragments) -> Tensor:
    """nvdiffrast's tensor, rows in our order."""
    parts = [
        fragments.barycentric[..., :2],
        torch.where(fragments.mask, fragments.depth, 0)[..., None],
        (fragments.face_index + 1).float()[..., None],
    ]
    return torch.cat(parts, 3)


def record() -> dict[str, Tensor]:
    """Everything in the file."""
    given, rasterizer = scene(), TorchRasterizer()
    clip, faces, (height, width) = given["clip"], given["faces"], SIZE
    front = rasterizer.rasterize(clip, faces, SIZE)
    picture = rasterizer.interpolate(given["attributes"], front, faces)
    # Mirrored positions: the library's first row is then the upper one, as in ours.
    tensors = given | {
        "nvdiffrast.pos": clip * torch.tensor([1.0, -1, 1, 1]),
        "nvdiffrast.tri": faces.int(),
        "nvdiffrast.rast": packed(front),
        "nvdiffrast.second": packed(rasterizer.peel(clip, faces, front)),
        "nvdiffrast.color": picture,
        "nvdiffrast.antialiased": rasterizer.antialias(picture, front, clip, faces),
        "nvdiffrast.uv_da": given["derivatives"].flatten(3),
        "nvdiffrast.texture": rasterizer.texture(given["texture"], given["uv"], given["derivatives"], "clamp"),
        "pytorch3d.pix_to_face": front.face_index[..., None],
        "kaolin.face_idx": front.face_index,
    }
    corners = (clip[..., :3] / clip[..., 3:])[:, faces]
    x, y, depth = corners[..., 0], corners[..., 1], corners[..., 2] * 0.5 + 0.5
    shorter = min(SIZE)
    tensors["pytorch3d.verts"] = torch.stack([-x * width / shorter, y * height / shorter, depth], 3).flatten(1, 2)
    tensors["kaolin.face_vertices_image"], tensors["kaolin.face_vertices_z"] = torch.stack([x, y], 3), -depth
    return {name: value.clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}


if __name__ == "__main__":
    save_file(record(), PATH)
