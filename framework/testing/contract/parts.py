"""Checks of what a method says about itself: its spec, its configuration files, and each of its parts by name."""

import dataclasses
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch import nn

from framework import registry
from framework.cli.arguments import parse
from framework.cli.options import build
from framework.config.build import from_dict, to_dict
from framework.config.compose import choices, groups
from framework.config.describe import options_of
from framework.config.folders import config_packages
from framework.export.artifact_files import ARTIFACT_TYPES
from framework.pipeline.stage import Stage
from framework.registry import Entry, MethodSpec
from framework.systems.system import System
from framework.testing.contract.fields import attributes_read, dataclasses_in
from framework.testing.contract.outcome import Check, ContractError, Outcome, attempt, expect

HEAVY = ("torch", "numpy", "hydra")
"""What must not be imported before an option has been checked."""


def entries_of(spec: MethodSpec) -> dict[tuple[str, str], Entry]:
    """Return the parts that a method brings, by kind and full name."""
    kinds = {"system": spec.systems, "stage": spec.stages, "data": spec.data, "encoder": spec.encoders}
    return {(kind, f"{spec.name}/{key}"): entry for kind, parts in kinds.items() for key, entry in parts.items()}


def module_of(method: str) -> str:
    """Return the import name of the module that holds a method's spec."""
    outside = {plugin.name: plugin.path for plugin in registry.plugins() if not plugin.problem}
    return outside.get(method, f"methods.{method}:SPEC").partition(":")[0]


def check_spec(spec: MethodSpec) -> list[Outcome]:
    """Check the spec itself, its page, what importing it costs, its pipeline and its configuration files."""
    return attempt(f"method {spec.name}", spec_checks(spec), module_of(spec.name))


def spec_checks(spec: MethodSpec) -> list[Check]:
    """Return the checks of a spec, not run yet."""
    return [
        ("says what it is", lambda: _says_what_it_is(spec)),
        ("has a README that speaks of its licence", lambda: _has_a_page(spec.name)),
        ("imports nothing heavy before options are checked", lambda: _imports_nothing_heavy(spec)),
        ("its usual pipeline is registered", lambda: [registry.entry("stage", name) for name in spec.pipeline]),
        ("every option is read by some code", lambda: _options_are_read(spec)),
        ("its configuration files are named after it", lambda: _files_are_named_after(spec.name)),
        ("every part can be chosen", lambda: _parts_can_be_chosen(spec)),
        ("every choice builds", lambda: _choices_build(spec.name)),
    ]


def check_entry(spec: MethodSpec, kind: str, name: str) -> list[Outcome]:
    """Check the options of a part, and that its code is what the registry says."""
    checks: list[Check] = [
        ("options have defaults and are explained", lambda: _options_are_explained(kind, name)),
        ("code is of its kind and goes by its name", lambda: _is_of_its_kind(kind, name)),
    ]
    return attempt(f"{kind} {name}", checks, module_of(spec.name))


def _says_what_it_is(spec: MethodSpec) -> None:
    expect(re.fullmatch(r"[a-z][a-z0-9_]*", spec.name), f"name: '{spec.name}', expected small letters, digits and _")
    expect(spec.summary and spec.licence, "summary or licence is empty: each needs a line")
    keys = [name.partition("/")[2] for _, name in entries_of(spec)]
    wrong = [key for key in keys if not re.fullmatch(r"[a-z][a-z0-9_-]*", key)]
    expect(not wrong, f"{', '.join(wrong)}: expected names of small letters, digits, _ and -")
    silent = [name for (_, name), entry in entries_of(spec).items() if not entry.summary]
    expect(not silent, f"{', '.join(silent)}: the entry has no summary")
    expect(spec.trials and not isinstance(spec.trials, str), "trials is empty: give commands at toy size to be tried")


def _has_a_page(method: str) -> None:
    """The README lies in the method's folder, or is the description of its distribution."""
    found = importlib.util.find_spec(module_of(method))
    beside = Path(found.origin).parent / "README.md" if found and found.origin else Path("README.md")
    text = beside.read_text(encoding="utf-8") if beside.is_file() else _description(method)
    expect(text, f"there is neither {beside} nor a `readme` in the distribution's pyproject.toml")
    expect(re.search(r"licen[cs]e", text, re.IGNORECASE), "the README does not say under which licence it is")


def _description(method: str) -> str:
    """What the distribution of an outside method says of itself at length."""
    packages = {plugin.name: plugin.package.partition(" ")[0] for plugin in registry.plugins()}
    if method not in packages:
        return ""
    metadata = importlib.metadata.metadata(packages[method])
    return str(metadata.get("Description") or metadata.get_payload() or "")  # type: ignore[attr-defined]


def _imports_nothing_heavy(spec: MethodSpec) -> None:
    modules = {entry.config.partition(":")[0] for entry in entries_of(spec).values()} | {module_of(spec.name)}
    code = (
        "import importlib, sys\n"
        f"for name in {sorted(modules)}:\n"
        "    importlib.import_module(name)\n"
        f"    heavy = [module for module in {HEAVY} if module in sys.modules]\n"
        "    if heavy: sys.exit(f'{name} imports {heavy[0]}: options must be known without it')\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code]
    root = Path(registry.__file__).parents[2]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    expect(done.returncode == 0, (done.stderr.strip().splitlines() or ["the import failed"])[-1])


def _options_are_read(spec: MethodSpec) -> None:
    """By attribute name, in the method's own code or, for `optimizer` and the like, in ours."""
    init = Path(str(importlib.import_module(module_of(spec.name)).__file__))
    own = init.parent.rglob("*.py") if init.stem == "__init__" else [init]
    read = attributes_read([*own, *Path(registry.__file__).parents[1].rglob("*.py")])
    modules = {entry.config.partition(":")[0] for entry in entries_of(spec).values()}
    classes = [cls for module in sorted(modules) for cls in dataclasses_in(module)]
    unread = [f"{cls.__name__}.{name}" for cls in classes for name in cls.__annotations__ if name not in read]
    expect(not unread, f"{', '.join(unread)}: nobody reads it")


def _files_are_named_after(method: str) -> None:
    """Only of an outside package: ours share one folder, and each group of it has other methods' files too."""
    for package in config_packages():
        if package.name != method:
            continue
        if package.folder is None:
            raise ContractError(f"the entry point names the folder '{package.path}', which is not there")
        files = {file.relative_to(package.folder) for file in package.folder.rglob("*.yaml")}
        wrong = sorted(file.as_posix() for file in files if file.parts[:2] not in {(g, method) for g in groups()})
        expect(not wrong, f"{', '.join(wrong)}: expected <group>/{method}/<name>.yaml, groups: {', '.join(groups())}")


def _choices(method: str) -> list[tuple[str, str]]:
    """Group and name of every configuration file of a method."""
    return [(group, name) for group in groups() for name in choices(group) if name.partition("/")[0] == method]


def _parts_can_be_chosen(spec: MethodSpec) -> None:
    wanted = [(kind, name) for kind, name in entries_of(spec) if kind in ("system", "data")]
    missing = [f"{group}/{name}.yaml" for group, name in wanted if name not in choices(group)]
    if spec.stages and not any(group == "method" for group, _ in _choices(spec.name)):
        missing.append(f"method/{spec.name}/<preset>.yaml")
    expect(not missing, f"missing: {', '.join(missing)}")


def _choices_build(method: str) -> None:
    """The options of every choice can be built, and what they name belongs to the method."""
    for group, name in _choices(method):
        _builds(method, group, name)


def _builds(method: str, group: str, name: str) -> None:
    own_systems = [system for system in choices("system") if system.partition("/")[0] == method]
    words = {
        "system": ["train", f"system={name}", "data=procedural"],
        "data": ["train", f"system={(own_systems or choices('system'))[0]}", f"data={name}"],
        "experiment": ["train", f"experiment={name}"],
        "method": ["predict", f"method={name}", "input=picture.png"],
    }
    if group not in words:
        raise ContractError(f"{group}/{name}.yaml: a method brings {', '.join(words)} only")
    options = build(parse(words[group]))
    named = options.method.name if group == "method" else getattr(options, group, options.system).type
    expect(named.partition("/")[0] == method, f"{group}={name} is of '{named}', expected '{method}'")


def _options_are_explained(kind: str, name: str) -> None:
    config = registry.config_class(kind, name)
    expect(dataclasses.is_dataclass(config), f"{registry.entry(kind, name).config} is no dataclass")
    defaults = config()
    expect(from_dict(config, to_dict(defaults)) == defaults, "the defaults change when they are written and read again")
    silent = [option.path for option in options_of(config) if not option.text]
    expect(not silent, f"no docstring below {', '.join(silent)}")
    expect(inspect.getdoc(config), f"{config.__name__} has no docstring")


def _is_of_its_kind(kind: str, name: str) -> None:
    code: Any = registry.load_class(kind, name)
    bases = {"system": System, "stage": Stage, "data": pl.LightningDataModule, "encoder": nn.Module}
    expect(inspect.isclass(code) and issubclass(code, bases[kind]), f"{code} is no {bases[kind].__name__}")
    expect(code.__doc__, f"{code.__name__} has no docstring")
    if kind in ("system", "stage"):
        config = registry.config_class(kind, name)
        expect(code.Config is config, f"{code.__name__}.Config is {code.Config.__name__}, expected {config.__name__}")
    if kind == "system":
        expect(System in code.__bases__, f"{code.__name__} is not derived from System directly")
        expect(code.registry_name == name, f"registry_name is '{code.registry_name}', expected '{name}'")
    if kind == "stage":
        _speaks_of_artifacts(code)
        promised = registry.entry(kind, name).from_seed
        expect(not (promised and code.needs), f"its entry says from_seed, but it needs {', '.join(code.needs)}")


def _speaks_of_artifacts(code: type[Stage]) -> None:
    declared = {**code.needs, **code.uses, **code.gives, **code.may_give}
    wrong = [name for name, type_ in declared.items() if type_ not in ARTIFACT_TYPES]
    known = ", ".join(type_.__name__ for type_ in ARTIFACT_TYPES)
    expect(not wrong, f"{', '.join(wrong)}: expected artifact types ({known})")
    expect(code.gives or code.may_give, f"{code.__name__} gives nothing")
