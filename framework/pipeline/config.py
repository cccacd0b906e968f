"""Options of pipelines and of the framework's own stages. Imports no torch."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from framework.config.registered import Registered


@dataclass(kw_only=True)
class MethodConfig:
    """The section `method`: a chain of stages and the weights they read."""

    name: str
    """Name of the method; outputs go below `outputs/<name>/`."""

    stages: list[Annotated[Any, Registered("stage")]]
    """Stages in the order in which they run, each with its `type` and options."""

    weights: dict[str, str] = field(default_factory=dict)
    """System -> its weights: a run id, a folder (beside the package too), or a hub id."""
