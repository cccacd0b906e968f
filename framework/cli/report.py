"""What the command line says: text to standard output, errors to standard error."""

from rich.console import Console


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
