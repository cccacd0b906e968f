"""Turning whatever a stage raises into a reason and a hint for the user.

One case must never take the others down, so everything that is an `Exception` stops here; Ctrl-C and `SystemExit` pass.
"""

import errno
from types import TracebackType
from typing import Self

import torch

from framework.data.pictures import PictureError
from framework.pipeline.case import Failure
from framework.pipeline.stage import StageError

_DISK_ERRORS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file size limit (ulimit -f) is reached",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "writing there is not permitted",
}


class Isolated:
    """`with Isolated() as guard:` keeps an exception of the block in `guard.error` in place of passing it on."""

    error: Exception | None = None

    def __enter__(self) -> Self:
        """Return the guard."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Keep an Exception; Ctrl-C and the end of the process pass on."""
        if not isinstance(error, Exception):
            return False
        self.error = error
        return True


def describe(error: Exception, stage: str) -> Failure:
    """Return what `case.json` and the summary say about `error`, raised by `stage`."""
    if isinstance(error, StageError):
        return Failure(stage=stage, reason=error.reason, hint=error.hint)
    if isinstance(error, PictureError):
        return Failure(stage=stage, reason=f"{error.path} {error.reason}", hint=error.hint)
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return Failure(stage=stage, reason="out of memory", hint="Use a smaller preset or device=cpu")
    if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
        hint = "Make room or choose another folder: output=<folder>"
        return Failure(stage=stage, reason=f"{_DISK_ERRORS[error.errno]} ({error})", hint=hint)
    if isinstance(error, ImportError | ValueError | OSError):  # ours, and their texts are written for users
        return Failure(stage=stage, reason=str(error) or type(error).__name__)
    return Failure(
        stage=stage, reason=f"{type(error).__name__}: {error}", hint="The traceback is in error.txt of the case folder"
    )
