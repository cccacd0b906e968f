"""What the verbs `validate` and `test` share: metrics of a trained system on one split of a data set."""

from pathlib import Path
from typing import Literal

import pytorch_lightning as pl
from rich.console import Console

from framework import registry
from framework.artifacts.atomic import write_json
from framework.systems.system import System
from framework.tasks.config import EvaluateOptions
from framework.trainers.manifest import commit, timestamp, versions
from framework.trainers.run_folder import RunFolder
from framework.trainers.run_weights import choose_checkpoint, restore
from framework.trainers.trainer import build_evaluator

METRICS_FILE = "metrics.json"

Split = Literal["validate", "test"]


def evaluate(options: EvaluateOptions, split: Split, console: Console | None = None) -> int:
    """Compute the metrics, print them, write them as `metrics.json`, and return exit code 0.

    They go to `options.output`, else into the run's folder `validate/` or `test/`.
    """
    console = console or Console()
    pl.seed_everything(options.seed, verbose=False)
    system, source = load_system(options)
    data: pl.LightningDataModule = registry.load_class("data", options.data.type)(options.data.config)
    trainer = build_evaluator(options.trainer, options.seed, options.device)
    results = {"validate": trainer.validate, "test": trainer.test}[split](system, datamodule=data, verbose=False)
    metrics = {name: float(value) for result in results for name, value in result.items()}
    if split == "test":  # A system without a test of its own is tested by its validation, which names its metrics so.
        metrics = {name.replace("val/", "test/"): value for name, value in metrics.items()}
    console.print("  ".join(f"{name} {value:.4g}" for name, value in metrics.items()), highlight=False)
    folder = output_folder(options, split)
    if folder is not None:
        facts = {"weights": source, "data": options.data.type, "seed": options.seed}
        record = {"metrics": metrics} | facts | {"written": timestamp(), "versions": versions(), "commit": commit()}
        path = write_json(folder / METRICS_FILE, record)
        console.print(f"metrics: {path}", highlight=False, soft_wrap=True)
    return 0


def load_system(options: EvaluateOptions) -> tuple[System, str]:
    """Return the system with its weights, and where those came from: `options.weights`, else the run's checkpoint."""
    if options.weights:
        return System.load(options.weights), options.weights
    folder = RunFolder.open(options.run or "")
    checkpoint = choose_checkpoint(folder, options.trainer.weights)
    if not checkpoint.is_file() and folder.weights.is_dir():
        return System.load(folder.weights), str(folder.weights)
    system: System = registry.load_class("system", options.system.type)(options.system.config)
    restore(system, checkpoint)
    return system, str(checkpoint)


def output_folder(options: EvaluateOptions, split: Split) -> Path | None:
    """Return where `metrics.json` goes; None when weights without a run are evaluated and no output is given."""
    if options.output:
        return Path(options.output)
    return RunFolder.open(options.run).path / split if options.run else None
