"""The process of one job: `python -m framework.sweeps.job <job folder>/job.json`.

The file holds a verb and its resolved options, nothing about the sweep: the processes that a distributed training
starts for itself, by the same command, run the same job. How the job ended, if not well, goes to `ended.json`.
"""

import os
import signal
import stat
import sys
import threading
from pathlib import Path
from typing import Any

from framework import registry
from framework.artifacts.atomic import write_json
from framework.artifacts.reading import read_json
from framework.config.build import from_dict
from framework.sweeps.job_folder import JobFolder

EXIT_FAILED = 1
INTERRUPTED = {128 + number: number.name for number in (signal.SIGINT, signal.SIGTERM)}
STANDARD_INPUT = 0


def main(path: Path) -> int:
    """Run the job of a `job.json` and return its exit code, as the command line would."""
    first = os.environ.get("LOCAL_RANK", "0") == "0"  # the others are started by the first, with their rank
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    threading.Thread(target=_end_with_the_sweep, daemon=True).start()
    folder = JobFolder(path.parent)
    code, status, reason = EXIT_FAILED, "failed", ""
    try:
        code = _run(path)
        status, reason = ("interrupted", INTERRUPTED[code]) if code in INTERRUPTED else (status, folder.why_failed())
    except KeyboardInterrupt:
        code, status, reason = 128 + signal.SIGINT, "interrupted", "before it had begun"
    except (ValueError, ImportError, OSError, LookupError) as error:  # their texts are written for users
        reason = str(error) or type(error).__name__
        sys.stderr.write(f"error: {reason}\n")
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise
    finally:
        if code and first:
            write_json(folder.ended, {"status": status, "reason": reason})
    return code


def _run(path: Path) -> int:
    job = read_json(path)
    options: Any = from_dict(registry.config_class("task", job["verb"]), job["options"])
    return registry.load_class("task", job["verb"])(options)


def _end_with_the_sweep() -> None:
    """Save and stop when the sweep is gone, also after SIGKILL: the pipe that it holds open ends with it."""
    if stat.S_ISFIFO(os.fstat(STANDARD_INPUT).st_mode):
        while os.read(STANDARD_INPUT, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
