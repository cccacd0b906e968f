"""Formula faces, and both trainings at toy size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from framework.cli import main

SIZES = "size=32 style_dim=16 channel_multiplier=1 channel_max=16 renderer_resolution=16"
TRAINER = "val_interval=100 log_interval=1 checkpoint_interval=2 weights=last"


def options(prefix: str, text: str) -> list[str]:
    """`a=1 b=2` as options below `prefix`."""
    return [f"{prefix}.{word}" for word in text.split()]


SYSTEM = [*options("system.generator", SIZES), *options("system.renderer", "depth=2 width=16 N_samples=4")]
VOLUME = [
    *("system=stylesdf/volume", "data=image_lmdb", "device=cpu", "system.sphere_init.steps=3"),
    *options("data", "resolution=32 thumb_resolution=16 image=false batch_size=4 val_fraction=0.2"),
    *SYSTEM,
    *options("trainer", TRAINER),
]
FULL = [
    *("system=stylesdf/full", "data=image_lmdb", "device=cpu", "system.chunk=2"),
    *options("data", "resolution=32 thumb_resolution=0 batch_size=4 val_fraction=0.2"),
    *options("system.loss", "d_reg_every=3 g_reg_every=2"),
    *SYSTEM,
    *options("trainer", TRAINER),
]


def face(seed: int, side: int = 32) -> np.ndarray:
    """(S, S, 3) a smooth shaded ellipse before a plain ground, in 8 bits."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    centre, radii = random.uniform(-0.2, 0.2, 2), random.uniform(0.4, 0.7, 2)
    inside = 1 - ((x - centre[0]) / radii[0]) ** 2 - ((y - centre[1]) / radii[1]) ** 2
    shade = np.sqrt(inside.clip(0, 1))[..., None]
    picture = np.where(inside[..., None] > 0, shade * random.uniform(0.5, 1, 3), random.uniform(0, 1, 3))
    return np.rint(255 * picture).astype(np.uint8)


def write_faces(folder: Path, count: int = 24) -> Path:
    """An LMDB `faces.lmdb` in `folder` with pictures of 32 pixels; returns its path."""
    source = folder / "faces"
    source.mkdir(parents=True)
    for number in range(count):
        Image.fromarray(face(number)).save(source / f"{number:03d}.png")
    output = folder / "faces.lmdb"
    words = [f"source={source}", f"output={output}", "data.sizes=[32]", "data.processes=1"]
    assert main(["prepare", "data=image_lmdb", *words]) == 0
    return output
