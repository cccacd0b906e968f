"""What is known of each rasterizer before it is loaded: licence, devices, where it comes from, measured speed.

Imports no torch: `list renderers`, `doctor` and `renderer=auto` read this.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from framework.optional import has

Licence = Literal["any", "commercial"]
"""Which rasterizers may be chosen: all, or those whose licence allows commercial use."""


@dataclass(frozen=True)
class Backend:
    """One rasterizer. Names are those of the registry's kind `renderer`."""

    licence: str
    """Of the package that draws."""

    commercial: bool
    """Whether that licence allows commercial use."""

    devices: tuple[str, ...]
    """Kinds of torch devices that it draws on."""

    gradients: str
    """Whose gradients they are."""

    module: str = ""
    """Import name of what it needs; empty: nothing beyond the core."""

    attribute: str = ""
    """A name that only the real package has."""

    source: str = ""
    """Where a package comes from that the user builds."""

    @property
    def cure(self) -> str:
        """The command that builds it."""
        return f"pip install --no-build-isolation git+{self.source}"

    @property
    def installed(self) -> bool:
        """Whether it can be used; imports its package."""
        return not self.module or has(self.module, self.attribute)


_FINDS_FACES = "those of torch, silhouettes too; it finds the faces"

BACKENDS: dict[str, Backend] = {
    "torch": Backend("Apache-2.0", True, ("cpu", "cuda", "mps"), "all by autograd, silhouettes too"),
    "warp": Backend("Apache-2.0", True, ("cpu", "cuda"), "all by own adjoints, silhouettes too", "warp", "kernel"),
    "nvdiffrast": Backend(
        "NVIDIA Source Code License (research and evaluation only)",
        False,
        ("cuda",),
        "all by its kernels, silhouettes too",
        "nvdiffrast.torch",
        "rasterize",
        "https://github.com/NVlabs/nvdiffrast",
    ),
    "pytorch3d": Backend(
        "BSD-3-Clause",
        True,
        ("cpu", "cuda"),
        _FINDS_FACES,
        "pytorch3d.renderer",
        "MeshRasterizer",
        "https://github.com/facebookresearch/pytorch3d",
    ),
    "kaolin": Backend(
        "Apache-2.0",
        True,
        ("cuda",),
        _FINDS_FACES,
        "kaolin.render.mesh",
        "rasterize",
        "https://github.com/NVIDIAGameWorks/kaolin",
    ),
}
"""Registry name -> facts."""

FASTEST = {
    "cpu": ("warp", "torch", "pytorch3d"),
    "cuda": ("nvdiffrast", "warp", "kaolin", "pytorch3d", "torch"),
    "mps": ("torch",),
}
"""Kind of device -> rasterizers, the fastest first. The order on a CPU is measured (`benchmarks/rasterizer.py`)."""

MEASURED = Path(__file__).with_name("measured.json")
"""What `benchmarks/rasterizer.py --write` has found."""


def fastest(device: str, licence: Licence) -> str:
    """Return the name of the fastest rasterizer that is installed, draws on `device` and may be chosen."""
    for name in FASTEST.get(device, ("torch",)):
        backend = BACKENDS[name]
        if (licence == "any" or backend.commercial) and backend.installed:
            return name
    return "torch"


def measured() -> dict[str, float]:
    """Return how many times as fast as `torch` each measured rasterizer is, from the last benchmark."""
    return json.loads(MEASURED.read_text(encoding="utf-8"))["times_as_fast"] if MEASURED.is_file() else {}


def table() -> str:
    """Return the README's table of rasterizers."""
    speed = measured()
    lines = ["| `renderer=` | draws on | licence | gradients | speed, one core |", "| --- | --- | --- | --- | --- |"]
    for name, backend in BACKENDS.items():
        fast = f"{speed[name]:.2g} x" if name in speed else "not measured"
        cells = (f"`{name}`", ", ".join(backend.devices), backend.licence, backend.gradients, fast)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
