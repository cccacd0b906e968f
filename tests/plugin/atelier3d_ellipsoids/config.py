"""Options of the system, the data and the stage. Imports no torch: a misspelt option is reported before torch loads."""

from dataclasses import dataclass, field

from framework.config.errors import ConfigError
from framework.systems.config import OptimizerConfig, ScheduleConfig


@dataclass(kw_only=True)
class OutlineConfig:
    """The system `ellipsoids/outline`: learns centre and radii from the outline."""

    size: int = 16
    """Side of the outline in pixels."""
    width: int = 16
    """Channels of the hidden layer."""
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(learning_rate=1e-2, schedule=ScheduleConfig(warmup_steps=20))
    )
    """Optimiser and learning-rate schedule."""


@dataclass(kw_only=True)
class OutlinesConfig:
    """The data module `ellipsoids/outlines`: random ellipsoids as seen from the front."""

    size: int = 16
    """Side of an outline in pixels."""
    train: int = 4096
    """Ellipsoids in an epoch."""
    val: int = 256
    """Ellipsoids for validation, and as many for the test."""
    batch_size: int = 64
    """Items per step and device."""
    seed: int = 0
    """Seed of the ellipsoids and of their order."""


@dataclass(kw_only=True)
class SolidConfig:
    """The stage `ellipsoids/solid`: predicts the ellipsoid and makes its mesh."""

    resolution: int = 48
    """Grid points per axis."""

    def __post_init__(self) -> None:
        if not 8 <= self.resolution <= 512:
            raise ConfigError("resolution", f"is {self.resolution}, expected 8 to 512.")
