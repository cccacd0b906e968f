"""What a training's checkpoint holds, checked before anything believes it: the file may be damaged, or another's."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from framework.trainers.ema import CHECKPOINT_KEY
from framework.weights.checkpoint_file import CodeInCheckpoint, DamagedCheckpoint, load_plain
from framework.weights.folder import check_tensors, is_plain

Shapes = Mapping[str, tuple[int, ...]]
ANOTHER = "Continue from another checkpoint"
VERSION = "pytorch-lightning_version"
_TRAINING = {"loops": dict, "optimizer_states": list, "lr_schedulers": list, "epoch": int, VERSION: str}
"""What is there beside weights, so that a training can go on."""
ADAM = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
"""What Adam and its kin keep of each weight, in its shape."""


class CheckpointError(ValueError):
    """A checkpoint is missing or can't be used."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return a checkpoint as plain data and CPU tensors; CheckpointError when it is missing, damaged or none."""
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}. The run may have ended before its first one was written")
    try:
        content = load_plain(path)
    except (CodeInCheckpoint, DamagedCheckpoint) as error:
        raise CheckpointError(f"{path} {error}. {ANOTHER}") from error
    if not isinstance(content, dict) or not isinstance(content.get("global_step"), int):
        raise CheckpointError(f"{path} is no checkpoint of a training. {ANOTHER}")
    averages = content.get(CHECKPOINT_KEY, {"shadow": {}, "updates": 0})
    if not isinstance(averages, dict) or not isinstance(averages.get("updates"), int):
        raise CheckpointError(f"{path} holds no averages where they should be. {ANOTHER}")
    for weights in (content.get("state_dict"), averages.get("shadow")):
        if not isinstance(weights, dict) or not all(isinstance(key, str) and is_plain(weights[key]) for key in weights):
            raise CheckpointError(f"{path} holds something else than tensors where its weights are. {ANOTHER}")
    return content


def check_training(checkpoint: Mapping[str, Any], shapes: Shapes | None, path: Path) -> None:
    """Raise CheckpointError unless a training can go on from `checkpoint`, WeightsError if it is of another network.

    `shapes` are those of the network's weights; None leaves them out.
    """
    wrong = [key for key, kind in _TRAINING.items() if not isinstance(checkpoint.get(key), kind)]
    if wrong:
        raise CheckpointError(f"{path} holds weights but no training: {', '.join(wrong)} is missing. {ANOTHER}")
    if not re.fullmatch(r"\d+(\.\w+)*(\+[\w.]+)?", checkpoint[VERSION]):
        raise CheckpointError(f"{path}: {VERSION} is '{checkpoint[VERSION][:40]}', which is none. {ANOTHER}")
    if shapes is not None:
        check_tensors(shapes, checkpoint["state_dict"], str(path))
        averages = checkpoint.get(CHECKPOINT_KEY, {"shadow": {}})["shadow"]
        check_tensors({key: shapes[key] for key in averages.keys() & shapes.keys()}, averages, str(path))
    states = checkpoint["optimizer_states"]
    if not states or not all(_fits(state, shapes) for state in states):
        raise CheckpointError(f"{path}: the state of its optimiser is not one of this training. {ANOTHER}")


def checkpoint_weights(checkpoint: dict[str, Any], *, averaged: bool = True) -> dict[str, Tensor]:
    """Return the state of a checkpoint, with averaged values for the trainable weights where it has them."""
    state = dict(checkpoint["state_dict"])
    if averaged and CHECKPOINT_KEY in checkpoint:
        state.update(checkpoint[CHECKPOINT_KEY]["shadow"])
    return state


def read_step(path: Path) -> int | None:
    """Return the step of a checkpoint without reading its tensors; None when it is missing or damaged."""
    try:
        return int(load_plain(path)["global_step"])
    except (CodeInCheckpoint, DamagedCheckpoint, OSError, TypeError, LookupError, ValueError):
        return None


def tensors_in(value: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of nested mappings and lists with their paths."""
    if isinstance(value, Tensor):
        yield path, value
    elif isinstance(value, Mapping | list | tuple):
        for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from tensors_in(item, f"{path}.{key}".lstrip("."))


def _fits(state: Any, shapes: Shapes | None) -> bool:
    """Whether an optimiser's state is one: of each parameter plain values, and of Adam's averages like the weights."""
    entries = state.get("state") if isinstance(state, dict) else None
    groups = state.get("param_groups") if isinstance(state, dict) else None
    if not isinstance(entries, dict) or not isinstance(groups, list) or not groups:
        return False
    if not all(isinstance(entry, dict) for entry in (*entries.values(), *groups)):
        return False
    kept = [(name, value) for entry in entries.values() for name, value in entry.items()]
    known = set(shapes.values()) if shapes is not None else None
    return all(
        is_plain(value) and (known is None or name not in ADAM or tuple(value.shape) in known)
        if isinstance(value, Tensor)
        else value is None or isinstance(value, (bool, int, float))
        for name, value in kept
    )
