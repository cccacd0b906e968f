"""Where the files that come with this package are: in the checkout if there is one, else in the installed package."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


def shipped(*parts: str) -> Path:
    """Return the path of a shipped file or folder, as `shipped("configs", "config.yaml")`; it may not exist."""
    checkout = PACKAGE.parent.joinpath(*parts)
    return checkout if checkout.exists() else PACKAGE.joinpath("_shipped", *parts)
