"""The command line: `python launch.py <verb> key=value ...`, or `atelier <verb> ...` once installed.

Words become the verb's dataclass of options, and everything that is wrong with them is said before the verb's code,
and with it torch, is imported.
"""

import sys
from collections.abc import Sequence

__all__ = ["main"]

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 the command itself is wrong, 130 interrupted."""
    from framework.cli.arguments import parse
    from framework.cli.help import help_text
    from framework.cli.options import build
    from framework.cli.report import plain_plugin_warnings, report, say
    from framework.cli.sweep import build_sweep

    plain_plugin_warnings()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        command = parse(words)
        if command.version:
            return say(_version())
        if command.help or command.verb is None:
            return say(help_text(command))
        options = build_sweep(command) if command.sweep else build(command)
        if command.show_config:
            return say(_resolved(options))
    except (ValueError, LookupError) as error:
        return report(error, EXIT_USAGE, traceback="--traceback" in words)
    try:
        return _run("sweep" if command.sweep else "task", "local" if command.sweep else str(command.verb), options)
    except (ValueError, ImportError, OSError, LookupError) as error:
        return report(error, EXIT_FAILED, traceback=command.traceback)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _run(kind: str, name: str, options: object) -> int:
    from framework import registry

    return registry.load_class(kind, name)(options)


def _resolved(options: object) -> str:
    from framework.config.build import to_dict
    from framework.config.compose import to_yaml

    return to_yaml(to_dict(options))


def _version() -> str:
    from framework import __version__

    return f"atelier3d {__version__}"
