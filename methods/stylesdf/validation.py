"""Pictures that show how a training goes: eight faces, each from eight sides (Or-El et al. 2022, published program)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from methods.stylesdf.cameras import cameras_at, sweep_angles
from methods.stylesdf.config import CameraConfig
from methods.stylesdf.nets.generator import Generator

FACES = 8
VIEWS = 8
TRUNCATION = 0.7
MEAN_OVER = 10_000
PADDING = 2


def sample_sheets(generator: Generator, config: CameraConfig) -> dict[str, NDArray[np.floating]]:
    """Return sheets (H, W, 3) in [0, 1] of pictures, always of the same faces: thumbnails, and what a decoder makes."""
    device = next(generator.parameters()).device
    random = torch.Generator().manual_seed(0)
    z = torch.randn(FACES, generator.style_dim, generator=random).to(device)
    means = generator.mean_latents(torch.randn(MEAN_OVER, generator.style_dim, generator=random).to(device))
    angles = sweep_angles(torch.rand(FACES, generator=random), config, VIEWS).to(device)
    still = replace(generator.renderer.config, perturb=False)
    rows = []
    for face in range(FACES):
        cameras = cameras_at(angles[face * VIEWS : (face + 1) * VIEWS], config)
        rows.append(
            generator(cameras, z[face : face + 1].expand(VIEWS, -1), psi=TRUNCATION, means=means, options=still)
        )
    sheets = {"samples": torch.stack([row.thumbnail if row.image is None else row.image for row in rows])}
    if rows[0].image is not None:
        sheets["thumbnails"] = torch.stack([row.thumbnail for row in rows])
    return {name: grid(images) for name, images in sheets.items()}


def as_picture(images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
    """From the networks' [-1, 1] to [0, 1]."""
    return (images.clamp(-1.0, 1.0) + 1.0) / 2.0


def grid(images: Float[Tensor, "R C 3 H W"]) -> NDArray[np.floating]:
    """One picture (H, W, 3) in [0, 1] of rows of pictures in [-1, 1], with black lines between and around."""
    shown = pad(as_picture(images.float()), (PADDING, 0, PADDING, 0))
    rows, columns, _, height, width = shown.shape
    whole = shown.permute(0, 3, 1, 4, 2).reshape(rows * height, columns * width, 3)
    return pad(whole, (0, 0, 0, PADDING, 0, PADDING)).cpu().numpy()
