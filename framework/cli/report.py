"""What the command line says: text to standard output, errors and warnings to standard error."""

import warnings

from rich.console import Console

from framework.registry import PluginWarning

_usual_format = warnings.formatwarning


def say(text: str) -> int:
    """Print text as it stands and return the exit code 0."""
    Console().print(text, markup=False, highlight=False, soft_wrap=True, end="" if text.endswith("\n") else "\n")
    return 0


def report(error: Exception, code: int, *, traceback: bool) -> int:
    """Print an error's text, or all of its traceback, and return the exit code `code`."""
    if traceback:
        raise error
    console = Console(stderr=True)
    console.print("error: ", style="bold red", end="")
    console.print(str(error) or type(error).__name__, markup=False, highlight=False, soft_wrap=True)
    return code


def plain_plugin_warnings() -> None:
    """Let this process say what is wrong with plug-ins in one line each, without a place in the source."""
    warnings.formatwarning = _formatted


def _formatted(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    if issubclass(category, PluginWarning):
        return f"warning: {message}\n"
    return _usual_format(message, category, filename, lineno, line)
