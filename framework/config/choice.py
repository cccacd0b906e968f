"""What a field that is chosen by name holds once it is built."""

from dataclasses import dataclass
from typing import Any


@dataclass
class Choice:
    """What was chosen from the registry, and its options as the dataclass that the registry names for it."""

    type: str
    """Registry name."""

    config: Any
    """Options of what it names."""
