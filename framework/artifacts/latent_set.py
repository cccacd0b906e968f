"""A set of latent vectors, as shape autoencoders make them; on disk a safetensors file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from framework.artifacts.atomic import atomic_file
from framework.artifacts.containers import UNREADABLE_TENSORS, check_tensor_file
from framework.artifacts.errors import ArtifactError


@dataclass(frozen=True, eq=False)
class LatentSet:
    """Latent vectors of one object, in the units of the network that made them."""

    vectors: NDArray[np.float32]
    """(L, C) float32, finite: L latent vectors of C channels."""

    def __post_init__(self) -> None:
        vectors = np.asarray(self.vectors)
        if vectors.ndim != 2 or 0 in vectors.shape or not np.issubdtype(vectors.dtype, np.floating):
            raise ArtifactError(
                f"LatentSet: vectors have shape {vectors.shape} and type {vectors.dtype}, expected floats (L, C)"
            )
        if not np.isfinite(vectors).all():
            raise ArtifactError("LatentSet: vectors hold NaN or infinity")
        object.__setattr__(self, "vectors", np.ascontiguousarray(vectors, np.float32))

    def save(self, path: Path) -> Path:
        """Write a safetensors file to `path`, whole or not at all, and return `path`."""
        with atomic_file(path) as temporary:
            save_file({"vectors": self.vectors}, temporary)
        return path

    @staticmethod
    def load(path: Path) -> "LatentSet":
        """Read such a file; ArtifactError when it is missing, damaged or holds no `vectors`."""
        try:
            check_tensor_file(path)
            tensors = load_file(path)
            if "vectors" not in tensors:
                raise ArtifactError(f"it holds no 'vectors' but {sorted(tensors)[:4]}")
            return LatentSet(tensors["vectors"])
        except UNREADABLE_TENSORS as error:
            raise ArtifactError(f"{path}: can't be read as a latent set ({error})") from error
