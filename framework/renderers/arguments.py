"""What rasterizers are given, checked before anything is computed.

Wrong shapes and numbers get a sentence here. On a GPU an index out of range would otherwise end the whole process, and
compiled kernels check nothing by themselves.

Dimension letters: B pictures, V vertices, F faces, H rows, W columns, C channels.
"""

import torch
from torch import Tensor

from framework.renderers.rasterizer import Fragments


def check_scene(clip_positions: Tensor, faces: Tensor, resolution: tuple[int, int]) -> None:
    """Raise ValueError unless the arguments of `Rasterizer.rasterize` can be drawn."""
    if clip_positions.ndim != 3 or clip_positions.shape[2] != 4:
        raise ValueError(f"clip_positions have shape {tuple(clip_positions.shape)}, expected (B, V, 4)")
    if clip_positions.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"clip_positions are {clip_positions.dtype}, expected float32 or float64")
    check_faces(faces, clip_positions.shape[1], clip_positions.device)
    if len(resolution) != 2 or min(resolution) < 1:
        raise ValueError(f"resolution is {resolution}, expected (height, width) of at least 1 pixel each")
    if max(len(clip_positions) * resolution[0] * resolution[1], clip_positions.numel()) >= 2**31:
        raise ValueError("the pictures have too many pixels or vertices together: draw fewer of them at once")


def check_layer(clip_positions: Tensor, faces: Tensor, front: Fragments) -> None:
    """Raise ValueError unless the arguments of `Rasterizer.peel` fit together."""
    if front.face_index.ndim != 3:
        raise ValueError(f"front.face_index has shape {tuple(front.face_index.shape)}, expected (B, H, W)")
    pictures, height, width = front.face_index.shape
    check_scene(clip_positions, faces, (height, width))
    if len(clip_positions) != pictures:
        raise ValueError(f"clip_positions are of {len(clip_positions)} pictures, `front` of {pictures}")
    check_fragments(front, faces)
    if front.face_index.device != clip_positions.device:
        raise ValueError(f"`front` is on {front.face_index.device}, the vertices on {clip_positions.device}")


def check_faces(faces: Tensor, vertices: int, device: torch.device) -> None:
    """Raise ValueError unless `faces` are (F, 3) int64 on `device` with entries from 0 to `vertices` - 1."""
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype != torch.int64:
        raise ValueError(f"faces are {faces.dtype} of shape {tuple(faces.shape)}, expected int64 of shape (F, 3)")
    if faces.device != device:
        raise ValueError(f"faces are on {faces.device}, the vertices on {device}: move one of them with .to()")
    if len(faces):
        lowest, highest = faces.aminmax()
        if lowest < 0 or highest >= vertices:
            worst = int(lowest if lowest < 0 else highest)
            raise ValueError(f"faces name vertex {worst}, expected 0 to {vertices - 1} for {vertices} vertices")


def check_attributes(attributes: Tensor, fragments: Fragments, faces: Tensor) -> None:
    """Raise ValueError unless the arguments of `Rasterizer.interpolate` fit together."""
    check_fragments(fragments, faces)
    pictures = len(fragments.face_index)
    if attributes.ndim != 3 or len(attributes) not in (1, pictures):
        raise ValueError(f"attributes have shape {tuple(attributes.shape)}, expected (1 or {pictures}, V, C)")
    if not attributes.is_floating_point():
        raise ValueError(f"attributes are {attributes.dtype}, expected floating numbers: convert with .float()")
    if attributes.device != fragments.face_index.device:
        raise ValueError(f"attributes are on {attributes.device}, the fragments on {fragments.face_index.device}")
    check_faces(faces, attributes.shape[1], attributes.device)


def check_fragments(fragments: Fragments, faces: Tensor) -> None:
    """Raise ValueError where the parts of `fragments` don't fit together, or name a face that `faces` don't have."""
    face_index, shape = fragments.face_index, tuple(fragments.face_index.shape)
    if face_index.ndim != 3 or face_index.dtype != torch.int64:
        raise ValueError(f"fragments.face_index is {face_index.dtype} of shape {shape}, expected int64 (B, H, W)")
    for name, part, wanted in (("barycentric", fragments.barycentric, (*shape, 3)), ("depth", fragments.depth, shape)):
        if tuple(part.shape) != wanted or part.device != face_index.device:
            found = f"{tuple(part.shape)} on {part.device}"
            raise ValueError(f"fragments.{name} has shape {found}, expected {wanted} on {face_index.device}")
    if face_index.numel():
        lowest, highest = face_index.aminmax()
        if lowest < -1 or highest >= len(faces):
            worst = int(lowest if lowest < -1 else highest)
            raise ValueError(f"the fragments name face {worst}, but only {len(faces)} faces are given")


def check_image(image: Tensor, fragments: Fragments, clip_positions: Tensor, faces: Tensor) -> None:
    """Raise ValueError unless the arguments of `Rasterizer.antialias` fit together."""
    check_scene(clip_positions, faces, (1, 1))
    check_fragments(fragments, faces)
    shape = tuple(fragments.face_index.shape)
    if image.ndim != 4 or tuple(image.shape[:3]) != shape:
        raise ValueError(f"the image has shape {tuple(image.shape)}, expected {(*shape, 'C')} like the fragments")
    if not image.is_floating_point():
        raise ValueError(f"the image is {image.dtype}, expected floating numbers: convert with .float()")
    if len(clip_positions) != shape[0]:
        raise ValueError(f"clip_positions are of {len(clip_positions)} pictures, the fragments of {shape[0]}")
    devices = {image.device, fragments.face_index.device, clip_positions.device}
    if len(devices) > 1:
        names = ", ".join(sorted(map(str, devices)))
        raise ValueError(f"image, fragments and clip_positions are on {names}, expected one device: move with .to()")
