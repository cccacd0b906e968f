"""What a method says about itself: names and texts only, so that saying it imports nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Entry:
    """Where the code of a name is, and where its options are."""

    target: str
    """Class or function, as `package.module:Name`."""

    config: str
    """Dataclass of its options, as `package.module:Name`; the module imports no torch."""

    summary: str = ""
    """One line for `list`."""

    extra: str | None = None
    """Extra of the distribution that it needs, as in `pip install 'atelier3d[data]'`."""

    from_seed: bool = False
    """A stage that needs nothing: a prediction which it begins takes no picture."""


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """A checkpoint that a method's authors publish: where it is, and how to know it."""

    path: str
    """Where the authors' program expects it; its last part is the name of the file."""

    summary: str
    """What it holds, in a few words."""

    url: str
    """Where a browser fetches it."""

    licence: str
    """Licence of these weights."""

    size: int = 0
    """Bytes; 0 when this is not known."""

    md5: str = ""
    """MD5 of its bytes in hexadecimal; empty when it is not known."""

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class MethodSpec:
    """What a method brings: names only, so that importing it is free."""

    name: str
    """Name of the method; the first part of all its names."""

    summary: str
    """One line for `list methods`."""

    systems: Mapping[str, Entry] = field(default_factory=dict)
    """Trainable networks."""

    stages: Mapping[str, Entry] = field(default_factory=dict)
    """Steps of inference."""

    data: Mapping[str, Entry] = field(default_factory=dict)
    """Data modules that only this method needs."""

    encoders: Mapping[str, Entry] = field(default_factory=dict)
    """Networks from views to condition tokens (see `framework.nets.view_encoder`)."""

    pipeline: tuple[str, ...] = ()
    """Names of the stages of its usual pipeline, in order."""

    licence: str = ""
    """Licence of its code and weights."""

    official: str | None = None
    """Reader and writer of its authors' checkpoints: an `OfficialFormat`, as `package.module:Name`."""

    published: tuple[PublishedFile, ...] = ()
    """Checkpoints that its authors publish, for `list weights` and for messages; nothing here fetches them."""

    trials: tuple[str, ...] = ()
    """Commands at toy size, as typed after `launch.py`: trainings of all its systems, predictions through all its
    stages. The contract suite (`python -m framework.testing <name>`) runs them in an empty folder without network."""
