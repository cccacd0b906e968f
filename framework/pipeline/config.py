"""Options of pipelines and of the framework's own stages. Imports no torch."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from framework.config.registered import Registered

INPUT_MISSING = "input is missing. Give it: launch.py predict method=... input=<image or folder>"
"""What is said where stages read a picture and none is given."""


@dataclass(kw_only=True)
class MethodConfig:
    """The section `method`: a chain of stages and the weights they read."""

    name: str
    """Name of the method; outputs go below `outputs/<name>/`."""

    stages: list[Annotated[Any, Registered("stage")]]
    """Stages in the order in which they run, each with its `type` and options."""

    weights: dict[str, str] = field(default_factory=dict)
    """System -> its weights: a run id, a folder (beside the package too), a hub id, or an official checkpoint."""

    obtain: str = ""
    """How to get the weights where they are not part of this package; said when they are missing."""


@dataclass(kw_only=True)
class MattingConfig:
    """The stage `matting`: cuts the object out of its background and centres it on a transparent square."""

    ratio: float | None = 0.8
    """Longest side of the object as a share of the square; null keeps the picture's own framing."""

    size: int = 512
    """Side of the square in pixels."""

    def __post_init__(self) -> None:
        if self.ratio is not None and not 0.1 <= self.ratio <= 1.0:
            raise ValueError(f"ratio is {self.ratio}, expected 0.1 to 1.0, or null to keep the picture's framing")
        if not 16 <= self.size <= 4096:
            raise ValueError(f"size is {self.size}, expected 16 to 4096 pixels")
