"""Options of the renderers. Imports no torch, so that a wrong option is reported before torch is loaded."""

from dataclasses import dataclass

from framework.renderers.backends import Licence


@dataclass(kw_only=True)
class TorchRasterizerConfig:
    """Options of the plain-torch rasterizer."""

    cull_backfaces: bool = False
    """Leave out triangles that turn their back to the camera: the same picture of a closed mesh in 0.6 of the time."""

    chunk: int = 262_144
    """Triangle rows, and pixel tests, held in memory at once (about 100 bytes each)."""

    def __post_init__(self) -> None:
        if self.chunk < 1:
            raise ValueError(f"chunk is {self.chunk}, expected at least 1 (the default 262144 suits most machines)")


@dataclass(kw_only=True)
class WarpRasterizerConfig:
    """Options of the rasterizer on NVIDIA Warp."""

    cull_backfaces: bool = False
    """Leave out triangles that turn their back to the camera: the same picture of a closed mesh in less time."""


@dataclass(kw_only=True)
class AdapterConfig:
    """A rasterizer of another library, which the user builds; it has no options."""


@dataclass(kw_only=True)
class AutomaticConfig:
    """The fastest installed rasterizer; the run's manifest says which it was."""

    license: Licence = "commercial"
    """`commercial`: only rasterizers whose licence allows commercial use; `any`: all of them."""
