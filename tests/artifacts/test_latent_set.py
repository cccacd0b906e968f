"""The latent-set artifact."""

from pathlib import Path

import numpy as np
import pytest

from framework.artifacts.errors import ArtifactError
from framework.artifacts.latent_set import LatentSet


def test_round_trip_is_exact(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    path = LatentSet(vectors).save(tmp_path / "latents.safetensors")
    assert np.array_equal(LatentSet.load(path).vectors, vectors)


@pytest.mark.parametrize("vectors", [np.zeros(4), np.zeros((2, 0)), np.zeros((2, 2), int), np.full((2, 2), np.inf)])
def test_wrong_values_are_refused(vectors: np.ndarray) -> None:
    with pytest.raises(ArtifactError, match="LatentSet"):
        LatentSet(vectors)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "latents.safetensors"
    path.write_bytes(b"garbage")
    with pytest.raises(ArtifactError, match=r"latents\.safetensors"):
        LatentSet.load(path)
    with pytest.raises(ArtifactError, match="missing"):
        LatentSet.load(tmp_path / "missing.safetensors")
