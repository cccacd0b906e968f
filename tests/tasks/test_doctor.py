"""The verb `doctor`: what works, what is missing, and the command for it."""

import ast
import importlib.metadata
import io
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from rich.console import Console

from framework import registry
from framework.config.compose import choices
from framework.config.folders import ConfigPackage
from framework.config.places import PACKAGE
from framework.registry import Plugin
from framework.tasks import doctor, requirements
from framework.tasks.config import DoctorOptions

ROOT = Path(__file__).parents[2]


def report() -> tuple[int, str]:
    stream = io.StringIO()
    return doctor.run(DoctorOptions(), Console(file=stream, width=200)), stream.getvalue()


def needing(monkeypatch: pytest.MonkeyPatch, **groups: str) -> None:
    parsed = {name: [Requirement(line)] for name, line in groups.items()}
    monkeypatch.setattr(doctor, "requirements_by_extra", lambda: parsed)


def test_everything_is_on_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, text = report()
    assert code == 0
    for words in ("python 3", "cores", "GiB free", "offline", "works   device=cpu: torch 2", "nvdiffrast"):
        assert words in text
    assert "works   craftsman/small: its weights are here" in text
    assert all(f"{preset}: " in text for preset in choices("method"))


def test_weights_that_are_not_here_come_with_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "shipped", tmp_path.joinpath)
    monkeypatch.chdir(tmp_path)
    lines = report()[1].splitlines()
    row = next(number for number, line in enumerate(lines) if "craftsman/default: weights ckpts/craftsman/" in line)
    assert lines[row].split()[0] == "missing"
    assert "python launch.py export weights=<their folder> output=ckpts/craftsman" in lines[row + 1]


def test_a_missing_extra_has_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    needing(monkeypatch, core="numpy>=1", app="no-such-package>=3", log="rich>=1000")
    code, text = report()
    assert code == 0
    assert "missing app: for parts to come (no-such-package is not installed)\n" in text
    assert "          pip install 'atelier3d[app]'\n" in text
    assert f"(rich is {importlib.metadata.version('rich')}, expected >=1000)" in text


@pytest.mark.parametrize("line", ["no-such-package>=3", "numpy>=1000"])
def test_a_missing_or_old_core_package_fails(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    needing(monkeypatch, core=line)
    code, text = report()
    assert code == 1
    assert f"missing {line.partition('>')[0]} is " in text
    assert f"pip install -e {PACKAGE.parent}\n" in text


def test_without_torch_it_still_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    code, text = report()
    assert code == 1
    assert "broken  torch does not import" in text
    assert "pip install --force-reinstall torch" in text
    assert "rasterizers" in text


def test_plugins_that_work_and_those_that_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = next(iter(registry.methods()))
    plugins = [
        Plugin("sixth", "sixth:SPEC", "good 1.0"),
        Plugin("seventh", "seventh:SPEC", "bad 2.0", "'seventh:SPEC' failed to import: no luck"),
        Plugin(known, "eighth:SPEC", "rude 3.0", "the name is taken by first:SPEC"),
    ]
    packages = [
        ConfigPackage("sixth", "good 1.0", "sixth.configs", tmp_path),
        ConfigPackage("x", "bad 2.0", "x.y", None),
    ]
    monkeypatch.setattr(registry, "plugins", lambda: plugins)
    monkeypatch.setattr(doctor, "config_packages", lambda: packages)
    code, text = report()
    assert code == 0
    assert "works   method sixth of good 1.0\n" in text
    assert "method seventh of bad 2.0: 'seventh:SPEC' failed to import: no luck\n" in text
    assert "          pip install --upgrade bad\n" in text
    assert f"method {known} of rude 3.0: the name is taken by first:SPEC\n          pip uninstall rude\n" in text
    assert f"works   configuration files of good 1.0 in {tmp_path}\n" in text
    assert "broken  configuration files of bad 2.0: there is no 'x.y'\n" in text


def test_a_rasterizer_that_could_be_used_has_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framework.renderers.backends.has", lambda module, attribute: module == "kaolin.render.mesh")
    stream = io.StringIO()
    for finding in doctor._adapters():
        doctor._print(Console(file=stream, width=200), finding)
    assert stream.getvalue().splitlines() == [
        "  missing nvdiffrast",
        "          pip install --no-build-isolation git+https://github.com/NVlabs/nvdiffrast",
        "  missing pytorch3d",
        "          pip install --no-build-isolation git+https://github.com/facebookresearch/pytorch3d",
        "  works   kaolin",
    ]


def test_every_extra_that_some_code_asks_for_has_a_purpose() -> None:
    kinds = ("system", "stage", "data", "encoder", "renderer", "task")
    asked = {entry.extra for kind in kinds for entry in entries(kind) if entry.extra}
    for path in (ROOT / "framework").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "require":
                given = [*node.args[1:2], *(word.value for word in node.keywords if word.arg == "extra")]
                asked |= {value.value for value in given if isinstance(value, ast.Constant)}
    assert {"data", "video"} <= asked
    assert asked - {"all"} <= doctor.PURPOSES.keys()
    assert doctor.PURPOSES.keys() <= requirements.requirements_by_extra().keys()


def entries(kind: str) -> list[registry.Entry]:
    return [registry.entry(kind, name) for name in registry.names(kind)]


def test_requirements_of_an_installed_package(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["numpy>=1.26", 'lmdb>=1.4 ; extra == "data"', "rembg[cpu]>=2; extra == 'matting'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: lines)
    found = {name: [str(item) for item in items] for name, items in requirements._installed_requirements().items()}
    assert found == {"core": ["numpy>=1.26"], "data": ["lmdb>=1.4"], "matting": ["rembg[cpu]>=2"]}
