"""Fields whose value is chosen by name: a mapping with `type: <registry name>` and the options of what it names."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Registered:
    """Marks a field as chosen from the registry: `data: Annotated[Any, Registered("data")]`."""

    kind: str
    """Kind in the registry."""


@dataclass
class Choice:
    """The value of such a field: what was chosen, and its options as the dataclass that the registry names."""

    type: str
    """Registry name."""

    config: Any
    """Options of what it names."""
