"""Runs the command line from a checkout: `python launch.py <verb> ...` is `atelier <verb> ...`."""

import sys

from framework.cli import main

if __name__ == "__main__":
    sys.exit(main())
