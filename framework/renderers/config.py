"""Options of the renderers. Imports no torch, so that a wrong option is reported before torch is loaded."""

from dataclasses import dataclass, field

from framework.geometry.remeshing.config import RemeshingConfig
from framework.renderers.backends import Licence


@dataclass(kw_only=True)
class TorchRasterizerConfig:
    """Options of the plain-torch rasterizer."""

    cull_backfaces: bool = False
    """Leave out triangles that turn their back to the camera: the same picture of a closed mesh in 0.6 of the time."""

    chunk: int = 262_144
    """Triangle rows, pixel tests, and pixels held in memory at once beside the pictures (about 100 bytes each)."""

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


@dataclass(kw_only=True)
class CarvingConfig:
    """How a mesh is carved towards pictures."""

    steps: int = 300
    """How many times the pictures are drawn and the vertices moved."""

    remeshing: RemeshingConfig = field(default_factory=RemeshingConfig)
    """The optimiser."""

    decay: float = 1.0
    """Factor on the learning rate before each step."""

    remesh_every: int = 1
    """Steps from one remeshing to the next; the first one follows the first step."""

    adapt_every: tuple[tuple[int, int], ...] = ((1, 1),)
    """(from step, interval): from that step on, edge lengths are adapted in steps that the interval divides."""

    def __post_init__(self) -> None:
        if self.steps < 0 or self.remesh_every < 1:
            raise ValueError(f"steps is {self.steps}, remesh_every {self.remesh_every}: expected at least 0 and 1")
        if not self.adapt_every or self.adapt_every[0][0] > 1 or any(interval < 1 for _, interval in self.adapt_every):
            raise ValueError(
                f"adapt_every is {self.adapt_every}: expected (from step, interval), the first from step 1"
            )

    def adaptation_interval(self, step: int) -> int:
        """The interval that holds in a step, counted from 1."""
        return [interval for start, interval in self.adapt_every if start <= step][-1]
