"""Every shipped YAML file makes real objects: systems at full size without their memory, data, trainers, pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from framework import registry
from framework.cli.arguments import parse
from framework.cli.options import build
from framework.config.compose import choices, compose
from framework.pipeline.assembly import plan_method
from framework.tasks.config import TrainOptions
from framework.trainers.run_folder import RunFolder
from framework.trainers.trainer import build_trainer

ANYWHERE = ["trainer.precision=32", "trainer.strategy=auto", "device=cpu"]
"""Options of a recipe that need a GPU."""
SYSTEMS = choices("system")
TRAINERS = choices("trainer")


def train_options(*words: str) -> TrainOptions:
    return build(parse(["train", *words]))


def trainer_of(options: TrainOptions, folder: Path) -> pl.Trainer:
    system = registry.load_class("system", options.system.type)
    return build_trainer(
        options.trainer, options.logger, RunFolder(folder), options.seed, system=system, device=options.device
    )


def check(options: TrainOptions, folder: Path) -> None:
    """System, data module and trainer can be made, and the trainer keeps the recipe's numbers."""
    with torch.device("meta"):
        system = registry.load_class("system", options.system.type)(options.system.config)
    assert sum(parameter.numel() for parameter in system.parameters()) > 1000
    data: Any = registry.load_class("data", options.data.type)(options.data.config)
    assert isinstance(data, pl.LightningDataModule)
    assert trainer_of(options, folder).max_steps == options.trainer.max_steps


@pytest.mark.parametrize("recipe", choices("experiment"))
def test_recipe(recipe: str, tmp_path: Path) -> None:
    check(train_options(f"experiment={recipe}", *ANYWHERE), tmp_path)


@pytest.mark.parametrize("name", SYSTEMS)
def test_system_and_its_defaults(name: str, tmp_path: Path) -> None:
    check(train_options(f"system={name}", "data=procedural", "trainer=cpu"), tmp_path)


@pytest.mark.parametrize("name", choices("data"))
def test_data(name: str) -> None:
    words = ["data.source.type=procedural"] if name.endswith("/latents") else []
    options = train_options(f"system={SYSTEMS[0]}", f"data={name}", *words)
    registry.load_class("data", options.data.type)(options.data.config)


@pytest.mark.parametrize("name", TRAINERS)
def test_trainer(name: str, tmp_path: Path) -> None:
    words = [f"system={SYSTEMS[0]}", "data=procedural", f"trainer={name}", "device=cpu"]
    processes = {"ddp": 1, "fsdp": 2}
    options = train_options(*words, *([f"trainer.devices={processes[name]}"] if name in processes else []))
    assert options.trainer.precision == trainer_of(options, tmp_path).precision


@pytest.mark.parametrize("name", choices("method"))
def test_method(name: str) -> None:
    options = build(parse(["predict", f"method={name}", "input=x.png"]))
    assert plan_method(options.method)


@pytest.mark.parametrize(
    ("group", "name"), [(group, name) for group in ("logger", "renderer") for name in choices(group)]
)
def test_logger_and_renderer(group: str, name: str) -> None:
    section = compose({group: name})[group]
    if group == "renderer":
        assert registry.load_class("renderer", section["type"])
    else:
        assert (
            train_options(f"system={SYSTEMS[0]}", "data=procedural", f"logger={name}").logger.kinds == section["kinds"]
        )
