"""How long the command line takes to answer without doing anything heavy, against Python's own start.

python benchmarks/answers.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

LAUNCH = str(Path(__file__).parents[1] / "launch.py")
COMMANDS = {
    "python alone": ["-c", "pass"],
    "help": [LAUNCH, "--help"],
    "list methods": [LAUNCH, "list", "methods"],
    "a misspelt option": [LAUNCH, "train", "experiment=craftsman/small-autoencoder", "system.optimiser.betas=1"],
}


def seconds(arguments: list[str], repeats: int = 5) -> float:
    """Median wall time of a fresh process."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Print seconds and the ratio to the first row."""
    table, unit = Table("command", "seconds", "ratio"), None
    for name, arguments in COMMANDS.items():
        taken = seconds(arguments)
        unit = unit or taken
        table.add_row(name, f"{taken:.2f}", f"{taken / unit:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
