"""What a training came to, in hashes: whether another one came to the same."""

import hashlib
from pathlib import Path

import torch

from framework.artifacts.digest import digest
from framework.trainers.checkpoint_content import read_checkpoint, tensors_in
from framework.trainers.loggers import METRICS_FILE
from framework.trainers.run_folder import RunFolder
from framework.weights.opening import fingerprint

PARTS = ("state_dict", "optimizer_states", "ema")
"""What is compared of a checkpoint: weights, the optimiser's states, the average. The rest are counters."""


def training_results(folder: RunFolder) -> dict[str, str]:
    """Return name -> SHA-256 of the metrics, of the last checkpoint's tensors, and of the weights folder's tensors.

    What a run did not write is left out.
    """
    makers = {
        METRICS_FILE: (folder.path / METRICS_FILE, digest),
        "last checkpoint": (folder.last_checkpoint, checkpoint_digest),
        "weights": (folder.weights, fingerprint),
    }
    return {name: make(path) for name, (path, make) in makers.items() if path.exists()}


def checkpoint_digest(path: Path) -> str:
    """Return the SHA-256 of a checkpoint's tensors with their names; CheckpointError when it can't be read."""
    checkpoint = read_checkpoint(path)
    total = hashlib.sha256()
    for part in PARTS:
        for name, value in sorted(tensors_in(checkpoint.get(part, {}), part)):
            total.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            total.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
