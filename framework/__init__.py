"""Atelier3D: published methods that make 3D from images, in one framework.

Importing this package costs nothing: no torch, no GPU, no compiler.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framework.pipeline.loading import LoadedMethod

__version__ = "0.1.0"


def load(method: str, **options: Any) -> "LoadedMethod":
    """Return a method that is ready to call: `framework.load("<name>/<preset>")(image).save("chair.glb")`.

    `method` is what `method=` takes on the command line; the options are those of `framework.pipeline.loading.load`.
    Methods that begin with random numbers are called with a seed alone: `load("<name>")(seed=3)`.
    """
    from framework.pipeline.loading import load as load_method

    return load_method(method, **options)
