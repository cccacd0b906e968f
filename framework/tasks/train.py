"""The verb `train`: fit a system, from the start or from a run's last checkpoint."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytorch_lightning as pl
from rich.console import Console

from framework import registry
from framework.artifacts.atomic import remove_leftovers
from framework.config.build import to_dict
from framework.systems.system import System
from framework.tasks.config import TrainOptions
from framework.tasks.train_leg import Leg
from framework.trainers.manifest import read_manifest
from framework.trainers.run_folder import RunFolder, is_first_process
from framework.trainers.trainer import build_trainer
from framework.weights.opening import open_weights
from framework.weights.resolve import resolve


def run(options: TrainOptions, console: Console | None = None) -> int:
    """Train as `options` say; exit code 0, also when a time limit ended this leg, or 128 + the signal's number."""
    console = console or Console()
    folder = RunFolder.open(options.run) if options.run else RunFolder.place(options.system.type, options.output)
    checkpoint = folder.last_checkpoint if options.run and folder.last_checkpoint.is_file() else None
    before = read_manifest(folder.manifest)
    if checkpoint and before.get("status") == "finished" and before.get("step", 0) >= options.trainer.max_steps:
        console.print(f"run {folder.run_id} is finished: train on with trainer.max_steps=<more>", highlight=False)
        return 0
    system, data = build_parts(options, from_start=checkpoint is None)
    trainer = build_trainer(
        options.trainer, options.logger, folder, options.seed, system=system, device=options.device, console=console
    )
    changed = open_folder(options, folder)
    leg = Leg(options, folder, console, trainer, changed)
    if trainer.is_global_zero:
        leg.announce(system)
    return leg.fit(system, data, checkpoint)


def build_parts(options: TrainOptions, *, from_start: bool) -> tuple[System, pl.LightningDataModule]:
    """Return the system and the data; initial weights follow the seed.

    `from_start`: no checkpoint will be read, so the start weights count, if any are given.
    """
    pl.seed_everything(options.seed, verbose=False)
    system: System = registry.load_class("system", options.system.type)(options.system.config)
    if options.start_weights and from_start:
        start = open_weights(resolve(options.start_weights), options.system.type)
        system.load_own_state(start.tensors, where=options.start_weights)
    return system, registry.load_class("data", options.data.type)(options.data.config)


def open_folder(options: TrainOptions, folder: RunFolder) -> list[str]:
    """Make the folder of a new run, or note the options that a continued run goes on with.

    Returns what differs from the options before, as `<key> <before> -> <now>`.
    """
    # Where a run lies is no part of what it is: other verbs start from these options too.
    saved = to_dict(options) | {"run": None, "output": None}
    if is_first_process():
        remove_leftovers(folder.path, folder.checkpoints, folder.images)
    if not options.run:
        folder.make(saved)
        return []
    before = dict(flat(folder.read_config()))
    folder.write_config(saved)
    return [f"{key} {before.get(key)} -> {value}" for key, value in flat(saved) if value != before.get(key)]


def flat(options: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values of nested options."""
    for key, value in options.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value
