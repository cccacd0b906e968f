"""A shape in named parts (hair, clothes, body) that stand together in one frame."""

from collections.abc import Mapping
from dataclasses import dataclass

from framework.artifacts.errors import ArtifactError
from framework.geometry.mesh import Mesh, concatenate


@dataclass(frozen=True, eq=False)
class LayeredMesh:
    """Parts by name, in order; each is a mesh of its own, and parts may lie inside others."""

    parts: Mapping[str, Mesh]
    """At least one; names are what viewers show."""

    def __post_init__(self) -> None:
        if not self.parts:
            raise ArtifactError("LayeredMesh: no part")
        if not all(name.strip() for name in self.parts):
            raise ArtifactError(f"LayeredMesh: every part needs a name, got {list(self.parts)}")

    def merged(self) -> Mesh:
        """All parts as one mesh."""
        return concatenate(list(self.parts.values()))
