"""How much memory an operation takes (Linux)."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")


def with_peak(call: Callable[[], Result], trim: bool = True) -> tuple[Result, float]:
    """What `call` returns, and the most that the process held meanwhile above what it held before, in MiB.

    The figure is right only if what was freed before is handed back first (`trim`): else it hides what the operation
    needs. But then memory costs time when it is taken again.
    """
    gc.collect()
    if trim:
        ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the highest mark begins anew
    before = _kilobytes("VmRSS")
    result = call()
    return result, (_kilobytes("VmHWM") - before) / 1024


def _kilobytes(entry: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{entry}:"))
