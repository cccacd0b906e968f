"""Fields whose value is chosen by name: a mapping with `type: <registry name>` and the options of what it names."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Registered:
    """Marks a field as chosen from the registry: `data: Annotated[Any, Registered("data")]` will hold a `Choice`."""

    kind: str
    """Kind in the registry."""

    default: str = ""
    """Name that is meant where a mapping has no `type`; empty: one must be given."""
