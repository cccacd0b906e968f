"""The contract suite finds what is wrong: a method that keeps all promises is spoilt in one place at a time."""

from __future__ import annotations

import dataclasses
import importlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from framework import registry
from framework.registry import MethodSpec
from framework.testing.contract import parts
from framework.testing.contract.outcome import ContractError, Outcome, attempt
from framework.testing.contract.parts import check_entry, check_spec, spec_checks
from framework.testing.contract.prediction import check_prediction, draw_picture
from framework.testing.contract.sharing import check_sharing
from framework.testing.contract.suite import check_method, read_trial
from framework.testing.contract.training import check_training

PACKAGE = "atelier3d_ellipsoids"


def failures(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.check: outcome.problem for outcome in outcomes if not outcome.passed}


def spec() -> MethodSpec:
    return registry.method("ellipsoids")


def problem_of(spec: MethodSpec, check: str) -> str:
    """What one check of a spec says."""
    [outcome] = attempt("method", [pair for pair in spec_checks(spec) if pair[0] == check], PACKAGE)
    return outcome.problem


@pytest.mark.parametrize(
    ("changes", "check", "problem"),
    [
        ({"licence": ""}, "says what it is", "licence is empty"),
        ({"trials": ()}, "says what it is", "trials is empty"),
        ({"name": "Ellipsoids"}, "says what it is", "expected small letters"),
        ({"pipeline": ("ellipsoids/solit",)}, "its usual pipeline is registered", "Nearest: ellipsoids/solid"),
        ({"systems": {"other": 0}}, "every part can be chosen", "missing: system/ellipsoids/other.yaml"),
        ({"stages": {"solid": 1}}, "imports nothing heavy before options are checked", "scipy imports numpy"),
    ],
)
def test_a_spec_that_is_wrong(changes: dict[str, Any], check: str, problem: str, plugged: Path) -> None:
    entry = spec().systems["outline"]
    entries = (entry, dataclasses.replace(entry, config="scipy:Options"))
    for kind in {"systems", "stages"} & changes.keys():
        changes = changes | {kind: {key: entries[number] for key, number in changes[kind].items()}}
    assert problem in problem_of(dataclasses.replace(spec(), **changes), check)


def test_a_page_without_a_licence(plugged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_description", lambda method: "A method.")
    found = failures(check_spec(spec()))
    assert found == {"has a README that speaks of its licence": "the README does not say under which licence it is"}


def test_an_option_that_nobody_reads(plugged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unread = dataclasses.make_dataclass("Unread", [("nobody_reads_this", int, 0)])
    unread.__module__ = f"{PACKAGE}.config"
    monkeypatch.setattr(importlib.import_module(unread.__module__), "Unread", unread, raising=False)
    problem = problem_of(spec(), "every option is read by some code")
    assert problem == "Unread.nobody_reads_this: nobody reads it"


@pytest.mark.parametrize(
    ("file", "text", "check", "problem"),
    [
        (
            "method/other/small.yaml",
            "name: ellipsoids",
            "its configuration files are named after it",
            "method/other/small",
        ),
        ("methods/ellipsoids/small.yaml", "a: 1", "its configuration files are named after it", "expected <group>/"),
        (
            "system/ellipsoids/old.yaml",
            "type: ellipsoids/outline\nold: 1",
            "every choice builds",
            "system.old: unknown key",
        ),
        (
            "trainer/ellipsoids/fast.yaml",
            "max_steps: 1",
            "every choice builds",
            "system, data, experiment, method only",
        ),
        ("method/ellipsoids/stolen.yaml", "name: other\nstages: []", "every choice builds", "is of 'other'"),
    ],
)
def test_configuration_files_that_are_wrong(
    file: str, text: str, check: str, problem: str, site: Path, plug: Callable[[Path], None], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(site, copy)
    place = copy / PACKAGE / "configs" / file
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    plug(copy)
    assert problem in problem_of(spec(), check)


@dataclasses.dataclass
class Silent:
    """Options that say nothing."""

    resolution: int = 8


@pytest.mark.parametrize(
    ("place", "value", "part", "check", "problem"),
    [
        ("config.SolidConfig", Silent, "solid", "options have defaults and are explained", "below resolution"),
        (
            "systems.OutlineSystem.registry_name",
            "outline",
            "outline",
            "code is of its kind and goes by its name",
            "'outline'",
        ),
        ("stages.Solid.gives", {"mesh": str}, "solid", "code is of its kind and goes by its name", "mesh: expected"),
        ("stages.Solid.Config", Silent, "solid", "code is of its kind and goes by its name", "Config is Silent"),
    ],
)
def test_a_part_that_is_wrong(
    place: str, value: object, part: str, check: str, problem: str, plugged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(place, value, monkeypatch)
    kind = "system" if part == "outline" else "stage"
    assert problem in failures(check_entry(spec(), kind, f"ellipsoids/{part}"))[check]


def replace(place: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    module, *names = place.split(".")
    owner: Any = importlib.import_module(f"{PACKAGE}.{module}")
    for name in names[:-1]:
        owner = getattr(owner, name)
    monkeypatch.setattr(owner, names[-1], value)


def not_a_number(step: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda self, batch, index: step(self, batch, index) * torch.nan


def without_gradient(step: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda self, batch, index: step(self, batch, index) * 0


def with_a_memory(step: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    def stepped(self: Any, batch: Any, index: int) -> torch.Tensor:
        self.count = getattr(self, "count", 0) + 1
        return step(self, batch, index) * self.count

    return stepped


def unlogged(step: Callable[..., None]) -> Callable[..., None]:
    return lambda self, batch, index: self.log("val/other", 1.0)


def too_bright(images: Callable[..., dict[str, np.ndarray]]) -> Callable[..., dict[str, np.ndarray]]:
    return lambda self, batch: {name: 255 * picture for name, picture in images(self, batch).items()}


def shifted(load: Callable[..., None]) -> Callable[..., None]:
    return lambda self, tensors, where: load(self, {name: value + 1e-6 for name, value in tensors.items()}, where)


@pytest.mark.parametrize(
    ("method", "spoil", "check", "problem"),
    [
        ("training_step", not_a_number, "trains: finite loss, gradients, weights move", "nan"),
        (
            "training_step",
            without_gradient,
            "trains: finite loss, gradients, weights move",
            "no weight gets a gradient",
        ),
        ("training_step", with_a_memory, "a continued training equals a whole one", "it differs in state_dict."),
        (
            "validation_step",
            unlogged,
            "trains: finite loss, gradients, weights move",
            "the system's `monitor` is 'val/error', but its validation logged:",
        ),
        ("images", too_bright, "pictures lie in [0, 1]", "'outlines' has values from 0 to 255"),
        ("load_own_state", shifted, "saved and loaded it is the same, bit by bit", "differ after saving and loading"),
    ],
)
def test_a_system_that_is_wrong(
    method: str, spoil: Callable[..., Any], check: str, problem: str, plugged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system: Any = importlib.import_module(f"{PACKAGE}.systems").OutlineSystem
    monkeypatch.setattr(system, method, spoil(getattr(system, method)))
    _, options = read_trial(spec().trials[0])
    found = failures(check_training(options, PACKAGE))
    assert problem in found[check]
    assert all("not tried" in text for name, text in found.items() if name != check)


def as_if_alone(loader: Callable[..., Any]) -> Callable[..., Any]:
    def loaded(self: Any) -> Any:
        self.trainer = None
        return loader(self)

    return loaded


def without_the_rest(loader: Callable[..., Any]) -> Callable[..., Any]:
    """Each of several processes takes one batch."""

    def loaded(self: Any) -> Any:
        place = self.trainer and self.trainer.global_rank
        batches = list(loader(self))
        return batches if place is None else batches[:1]

    return loaded


def unequal(loader: Callable[..., Any]) -> Callable[..., Any]:
    """The first of several processes takes all, the other none."""

    def loaded(self: Any) -> Any:
        first = self.trainer is None or self.trainer.global_rank == 0
        self.trainer = None
        return list(loader(self)) if first else []

    return loaded


@pytest.mark.parametrize(
    ("method", "spoil", "problem"),
    [
        ("train_dataloader", as_if_alone, "both of two processes get the same items"),
        ("val_dataloader", without_the_rest, "two processes don't see each item once"),
        ("val_dataloader", unequal, "two processes get [2, 0] batches"),
    ],
)
def test_data_that_is_shared_wrongly(
    method: str, spoil: Callable[..., Any], problem: str, plugged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data: Any = importlib.import_module(f"{PACKAGE}.data").OutlinesData
    config: Any = importlib.import_module(f"{PACKAGE}.config").OutlinesConfig
    check_sharing(data(config(train=8, val=8, batch_size=4)))
    monkeypatch.setattr(data, method, spoil(getattr(data, method)))
    with pytest.raises(ContractError, match=re.escape(problem)):
        check_sharing(data(config(train=8, val=8, batch_size=2 if spoil is without_the_rest else 4)))


def at_random(run: Callable[..., None]) -> Callable[..., None]:
    def ran(self: Any, case: Any) -> None:
        run(self, case)
        mesh = case.read("mesh")
        case.write("mesh", dataclasses.replace(mesh, vertices=mesh.vertices * np.random.default_rng().uniform(0.9, 1)))

    return ran


def past_the_case(run: Callable[..., None]) -> Callable[..., None]:
    def ran(self: Any, case: Any) -> None:
        run(self, case)
        (case.folder / "notes.txt").write_text("mine")

    return ran


def in_vain(run: Callable[..., None]) -> Callable[..., None]:
    def ran(self: Any, case: Any) -> None:
        raise TypeError("no such thing")

    return ran


@pytest.mark.parametrize(
    ("spoil", "check", "problem"),
    [
        (at_random, "same case, same seed, same result", "mesh.glb differ"),
        (past_the_case, "writes what it declares, whole and readable", "notes.txt: written past `case.write`"),
        (in_vain, "makes a result", "TypeError: no such thing"),
    ],
)
def test_a_stage_that_is_wrong(
    spoil: Callable[..., Any], check: str, problem: str, plugged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage: Any = importlib.import_module(f"{PACKAGE}.stages").Solid
    monkeypatch.setattr(stage, "run", spoil(stage.run))
    draw_picture()
    _, options = read_trial(spec().trials[1])
    assert problem in failures(check_prediction(options, "pipeline", PACKAGE))[check]


def test_parts_that_no_trial_runs_and_trials_that_are_no_commands(
    plugged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = dataclasses.replace(spec(), trials=("predict method=ellipsoids/smal", "list methods"))
    monkeypatch.setattr(registry, "method", lambda name: found)
    outcomes = check_method("ellipsoids", tmp_path)
    problems = [outcome.problem for outcome in outcomes if not outcome.passed]
    assert any("'ellipsoids/smal' does not exist" in problem for problem in problems)
    assert any("'list methods': expected a command" in problem for problem in problems)
    untried = [outcome.part for outcome in outcomes if "none does" in outcome.problem]
    assert untried == ["system ellipsoids/outline", "stage ellipsoids/solid", "data ellipsoids/outlines"]
