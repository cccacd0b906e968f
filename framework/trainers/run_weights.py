"""Weights folders from the checkpoints of a run."""

from pathlib import Path
from typing import Any, Literal

from framework.systems.system import System
from framework.trainers.checkpoint_content import checkpoint_weights, read_checkpoint
from framework.trainers.checkpoints import BEST, LAST, read_best
from framework.trainers.run_folder import RunFolder


def choose_checkpoint(run_folder: RunFolder, which: Literal["best", "last"]) -> Path:
    """Return the best checkpoint if asked for and there is one, else the last one."""
    best = run_folder.checkpoints / BEST
    return best if which == "best" and best.is_file() else run_folder.checkpoints / LAST


def restore(system: System, checkpoint: Path) -> dict[str, Any]:
    """Load the averaged weights (the live ones if none were kept) of a checkpoint into `system`.

    Returns facts for the model card: the step, and the metric if it is the best checkpoint. Raises WeightsError when
    the checkpoint was made for another network.
    """
    stored = read_checkpoint(checkpoint)
    prefixes = tuple(f"{part}." for part in system.frozen_parts)
    state = checkpoint_weights(stored)
    own = {name: value for name, value in state.items() if not (prefixes and name.startswith(prefixes))}
    system.load_own_state(own, where=str(checkpoint))
    facts: dict[str, Any] = {"step": stored["global_step"], "averaged": "ema" in stored}
    best = read_best(checkpoint.parent)
    if checkpoint.name == BEST and best is not None:
        facts[best["metric"]] = best["value"]
    return facts


def save_run_weights(
    system: System, run_folder: RunFolder, which: Literal["best", "last"], output: Path, *, half: bool = False
) -> Path:
    """Write a weights folder from a checkpoint of a run and return it. `system` is left with these weights."""
    facts = restore(system, choose_checkpoint(run_folder, which))
    return system.save(output, half=half, facts={"run": run_folder.run_id} | facts)
