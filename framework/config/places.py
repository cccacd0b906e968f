"""Where the files that come with this package are: a wheel carries them inside, in a checkout they stand beside it."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


def shipped(*parts: str) -> Path:
    """Return the path of a shipped file or folder, as `shipped("configs", "config.yaml")`; it may not exist."""
    carried = PACKAGE / "_shipped"
    return (carried if carried.is_dir() else PACKAGE.parent).joinpath(*parts)
