"""Where runs lie. Imports no torch: the command line reads a run's options before anything heavy."""

import difflib
import secrets
from datetime import datetime
from pathlib import Path

OUTPUTS = Path("outputs")
RUN_ID_VARIABLE = "ATELIER_RUN_ID"
"""Environment variable by which all processes of a run learn its id."""


class RunNotFound(ValueError):
    """No run has this id."""


def new_run_id() -> str:
    """Return a new id: the time and a random part."""
    return f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def find_run(run: str, outputs: Path = OUTPUTS) -> Path:
    """Return the folder of a run, given its id (looked up in `outputs/*/`) or its path.

    Raises RunNotFound with the nearest ids.
    """
    path = Path(run).expanduser()
    if (path / "config.yaml").is_file():
        return path
    ids = {folder.name: folder for folder in sorted(outputs.glob("*/*")) if (folder / "config.yaml").is_file()}
    if run in ids:
        return ids[run]
    near = difflib.get_close_matches(run, ids, n=3, cutoff=0.4) or sorted(ids)[-3:]
    hint = f"Nearest: {', '.join(near)}" if near else "There are no runs yet"
    raise RunNotFound(f"no run '{run}' in {outputs}/. {hint}. Give an id or the path of a run folder")
