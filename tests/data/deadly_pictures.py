"""Work that ends its process, in a module that is imported quickly."""

from __future__ import annotations

import os
import signal

from framework.data.square_pictures import PictureTask, Squares, squares


def squares_or_death(task: PictureTask) -> Squares:
    """Like `squares`; the picture `b.webp` ends the process, as the system does when memory is short."""
    if task.path.name == "b.webp":
        os.kill(os.getpid(), signal.SIGKILL)
    return squares(task)
